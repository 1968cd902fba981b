"""How the policies of agents act, and what they tell."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from agents import policies, schedules
from tests.agents.fakes import table_q_agent


def test_greedy_policy_takes_the_best_action():
    agent = table_q_agent(online=((1.0, 2.0), (4.0, 3.0)))
    step = ts.restart(tf.constant([0, 1, 0], tf.int64), 3)
    np.testing.assert_array_equal(agent.policy.action(step).action, [1, 0, 1])
    with pytest.raises(NotImplementedError):
        agent.policy.distribution(step)


@pytest.mark.parametrize('target', ['none', 'hard'])
def test_the_greedy_policy_tells_what_both_networks_expect(target):
    """max Q of the network, and of the target network if there is one."""
    agent = table_q_agent(online=[[1.0, 3.0], [5.0, 2.0]], target=target)
    agent.initialize()
    agent.q_network.table.assign([[1.0, 3.5], [6.0, 2.0]])  # the target stays behind
    info = agent.policy.action(ts.restart(tf.constant([0, 1], tf.int64), 2)).info
    assert list(info['value']) == [3.5, 6.0]
    if target == 'none':
        assert info.keys() == {'value'}
    else:
        assert list(info['target_value']) == [3.0, 5.0]


def test_epsilon_follows_env_steps_and_is_the_share_of_random_actions():
    env_steps = tf.Variable(0, dtype=tf.int64)
    agent = table_q_agent(
        env_steps=env_steps, target='none', epsilon=schedules.LinearSchedule(1.0, 0.0, 100)
    )
    step = ts.restart(tf.zeros([20_000], tf.int64), 20_000)
    for steps, epsilon in ((0, 1.0), (60, 0.4), (100, 0.0)):
        env_steps.assign(steps)
        np.testing.assert_allclose(agent.epsilon(), epsilon, atol=1e-6)
        share = np.mean(agent.collect_policy.action(step).action.numpy() == 0)  # 1 is greedy
        assert abs(share - epsilon / 2) < 4 * np.sqrt(0.25 / 20_000)


@pytest.mark.parametrize('uniform', [tf.random.uniform, tf.random.Generator.from_seed(0).uniform])
@pytest.mark.parametrize('dtype', [tf.int32, tf.int64])
def test_random_actions_are_mixed_in_by_their_share_and_uniformly(uniform, dtype):
    num_rows = 20_000
    greedy = tf.fill([num_rows], tf.constant(1, dtype))
    mixed = policies.mix_in_random_actions(greedy, 3, 0.6, uniform)
    assert mixed.dtype == dtype and mixed.shape == greedy.shape
    shares = np.bincount(mixed, minlength=3) / num_rows
    np.testing.assert_allclose(shares, [0.2, 0.6, 0.2], atol=4 * np.sqrt(0.25 / num_rows))
    np.testing.assert_array_equal(policies.mix_in_random_actions(greedy, 3, 0.0, uniform), greedy)
