"""Each mistake changes what the product computes: under a renamed name it would change nothing."""

import types

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import action_distribution, ddqn, n_step, policies, q_network
from benchmarks import museum
from envs import gymnasium_env, suite
from pipelines import cli, loops, replay_client, rollout
from pipelines.replay import Replay
from tests.agents import ddqn_test, reinforce_test
from tests.pipelines import replay_test

SPOILED = [
    (action_distribution.Categorical, 'log_prob'),
    (q_network, 'dueling_aggregation'),
    (n_step, 'plan_minibatches'),
    (loops.Collector, 'run'),
    (ddqn.QLearningAgent, '_loss'),
    (replay_client.ReplayWriter, 'flush'),
    (gymnasium_env.GymnasiumEnv, '_step'),
]


@pytest.fixture
def spoil(monkeypatch):
    """Puts a mistake in until the test ends."""
    for owner, name in SPOILED:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    return lambda mistake: museum.MISTAKES[mistake]()


def test_every_mistake_is_here():
    assert len(SPOILED) == len(museum.MISTAKES)
    with pytest.raises(cli.UserError, match="museum.mistake = 'nope': must be one of"):
        museum.museum('nope')


def test_1_the_action_taken_has_no_say(spoil):
    def gradients():
        agent, table = reinforce_test.make(loss_per='episode')
        episodes = [([0, 9], [action], [3.0], True) for action in (0, 1)]
        return [
            reinforce_test.logits_gradient(agent, table, reinforce_test.batch(episode))
            for episode in episodes
        ]

    assert np.abs(np.subtract(*gradients())).max() > 1.0
    spoil('credit_without_the_action')
    np.testing.assert_array_equal(*gradients())


def test_2_values_depend_on_the_neighbours_in_the_batch(spoil):
    observation = tensor_spec.TensorSpec([3], tf.float32)
    action = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 1)

    def neighbours_matter():
        network = q_network.DuelingQNetwork(observation, action)
        network.create_variables()
        two = tf.constant([[1.0, 2.0, 3.0], [-3.0, 0.0, 5.0]])
        return np.abs(network(two)[0][:1] - network(two[:1])[0]).max() > 1e-3

    assert not neighbours_matter()
    spoil('mean_over_the_batch')
    assert neighbours_matter()


class Noting:
    """Notes how far the state that is bootstrapped at is from the one it starts in."""

    def __init__(self):
        self.steps = tf.Variable(-1, dtype=tf.int64)

    def train(self, transition):
        after, before = transition.next_time_step.observation, transition.time_step.observation
        self.steps.assign(tf.reduce_max(after[:, 2] - before[:, 2]))
        zero = tf.constant(0.0)
        return tf_agent.LossInfo(zero, types.SimpleNamespace(mean_q=zero))


def test_3_a_transition_ends_where_it_starts(spoil, tmp_path):
    def steps(directory):
        agent = Noting()
        with replay_test.make(directory, sample=4) as replay:
            replay_test.fill(replay, replay_test.Life([40], 1), 40)
            loops.Learner(
                agent, replay, n=1, gamma=0.9, batch_size=4, max_train_steps=1, num_frames=None,
                fuse=False,
            ).train(1)  # fmt: skip
        return int(agent.steps)

    assert steps(tmp_path / 'right') == 1
    spoil('next_state_is_the_state')
    assert steps(tmp_path / 'wrong') == 0


def collected(directory, num_vector_steps):
    """How many transitions a replay for forty has after so many vector steps, ten at a time."""
    env = suite.load('CartPole-v1', 2)
    env_steps = tf.Variable(0, dtype=tf.int64)
    policy = random_policy(env)
    with Replay(
        policy.trajectory_spec, 2, 0, 1, 4, directory, capacity_transitions=40,
        transitions_per_item=1, rows_per_chunk=1,
    ) as replay:  # fmt: skip
        collector = loops.Collector(env, policy, replay, rollout.EpisodeStatistics(2), env_steps)
        collector.reset(0)
        for _ in range(num_vector_steps // 10):
            collector.run(10)
        return replay.num_transitions


def random_policy(env):
    time_step, action = env.time_step_spec(), env.action_spec()
    time_step, action = tensor_spec.from_spec(time_step), tensor_spec.from_spec(action)
    network = q_network.PlainQNetwork(time_step.observation, action)
    network.create_variables()
    return policies.EpsilonGreedyQPolicy(time_step, action, network, lambda: tf.constant(1.0))


def test_4_a_full_replay_begins_again(spoil, tmp_path):
    assert collected(tmp_path / 'right', 40) == 40
    spoil('full_replay_begins_again')
    assert collected(tmp_path / 'wrong', 40) < 40


def test_10_each_target_is_held_against_each_value(spoil):
    batch = ddqn_test.transition((0, 1), (0.0, 0.0), (0.0, 0.0))  # Q(s, .) is 1 and 2, targets 0

    def loss():
        return float(ddqn_test.make()._loss(batch, tf.constant([1.0, 0.0])).loss)

    assert loss() == pytest.approx((1.0**2 * 1.0 + 2.0**2 * 0.0) / 2)
    spoil('targets_of_all_with_all')
    assert loss() == pytest.approx((2 * 1.0**2 * 1.0 + 2 * 2.0**2 * 0.0) / 4)
    # With weights [B] against errors [B, B] even the weights go to the wrong rows.
    info = ddqn_test.make()._loss(batch, tf.constant([1.0, 0.0]))
    np.testing.assert_allclose(info.extra.td_error, [1.5, 1.5])


def test_10_a_third_is_never_sampled(spoil, tmp_path):
    def share_sampled(directory):
        with replay_test.make(
            directory, sample=512, priority_exponent=0.5, rows_per_chunk=1
        ) as replay:
            replay_test.fill(replay, replay_test.Life([300], 1), 301)
            samples, keys = replay.samples(), set()
            for _ in range(20):
                keys |= set(next(samples).info.key.numpy().tolist())
            return len(keys) / replay.num_transitions

    assert share_sampled(tmp_path / 'right') == 1.0
    spoil('a_third_is_never_sampled')
    assert 0.5 < share_sampled(tmp_path / 'wrong') < 0.8


def test_11_a_time_limit_is_a_failure(spoil):
    def discount_at_the_limit():
        env = suite.load('Pendulum-v1', 1)  # 200 steps, and never a failure
        step = env.reset(seed=0)
        while not step.is_last()[0]:
            step = env.step(np.zeros([1, 1], np.float32))
        assert step.step_type[0] == ts.StepType.LAST
        return float(step.discount[0])

    assert discount_at_the_limit() == 1.0
    spoil('a_time_limit_is_a_failure')
    assert discount_at_the_limit() == 0.0
