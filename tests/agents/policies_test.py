"""How the policies of agents act, and what they tell."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import action_specs, policies, schedules
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
    num_rows, start = 20_000, 5
    spec = tensor_spec.BoundedTensorSpec([], dtype, start, start + 2)
    actions = action_specs.DiscreteActions(spec)
    greedy = tf.fill([num_rows], tf.constant(start + 1, dtype))
    mixed = policies.mix_in_random_actions(greedy, actions, 0.6, uniform)
    assert mixed.dtype == dtype and mixed.shape == greedy.shape
    shares = np.bincount(mixed - start, minlength=3) / num_rows
    np.testing.assert_allclose(shares, [0.2, 0.6, 0.2], atol=4 * np.sqrt(0.25 / num_rows))
    same = policies.mix_in_random_actions(greedy, actions, 0.0, uniform)
    np.testing.assert_array_equal(same, greedy)


@pytest.mark.parametrize('sizes', [(3, 3), (3, 2)])
def test_each_of_several_actions_is_replaced_by_itself(sizes):
    """With a share of 0.6, of which a third (or a half) draws the greedy action again."""
    num_rows = 20_000
    spec = tensor_spec.BoundedTensorSpec([2], tf.int64, 0, np.array(sizes) - 1)
    mixed = policies.mix_in_random_actions(
        tf.ones([num_rows, 2], tf.int64), action_specs.DiscreteActions(spec), 0.6, tf.random.uniform
    ).numpy()
    tolerance = 4 * np.sqrt(0.25 / num_rows)
    greedy = [0.4 + 0.6 / size for size in sizes]
    for column, size, share in zip(mixed.T, sizes, greedy):
        expected = np.where(np.arange(size) == 1, share, 0.6 / size)
        shares = np.bincount(column, minlength=size) / num_rows
        np.testing.assert_allclose(shares, expected, atol=tolerance)
    both = np.mean((mixed == 1).all(axis=1))
    assert abs(both - np.prod(greedy)) < tolerance


def test_the_value_of_several_actions_is_the_mean_of_their_best_values():
    q_values = tf.constant([[[1.0, 3.0], [6.0, 2.0]], [[0.0, 0.0], [0.0, 1.0]]])
    np.testing.assert_allclose(policies.state_value(q_values), [4.5, 0.5])
    np.testing.assert_allclose(policies.state_value(q_values[:, 0]), [3.0, 0.0])
