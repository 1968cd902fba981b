"""Each mistake changes what the product computes: under a renamed name it would change nothing."""

import types

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import action_distribution, ddqn, policies, q_network
from benchmarks import museum
from envs import gymnasium_env
from envs.task import Task
from pipelines.errors import UserError
from pipelines.experience import replay_client
from pipelines.experience.minibatches import TransitionShape
from pipelines.experience.replay import Replay
from pipelines.loops import learner, rollout
from pipelines.loops.collector import Collector
from pipelines.loops.learner import Learner
from tests.agents import fakes
from tests.pipelines.experience.fakes import Life, fill, make

SPOILED = [
    (action_distribution.Categorical, 'log_prob'),
    (q_network, 'dueling_aggregation'),
    (learner, 'choose_minibatches'),
    (Collector, 'run'),
    (ddqn.QLearningAgent, '_loss'),
    (replay_client.ReplayWriter, '_create_items'),
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
    with pytest.raises(UserError, match="museum.mistake = 'nope': must be one of"):
        museum.museum('nope')


def test_the_action_taken_has_no_say(spoil):
    def gradients():
        agent, table = fakes.table_actor_agent(loss_per='episode')
        episodes = [([0, 9], [action], [3.0], True) for action in (0, 1)]
        return [fakes.logits_gradient(agent, table, fakes.batch(episode)) for episode in episodes]

    assert np.abs(np.subtract(*gradients())).max() > 1.0
    spoil('credit_without_the_action')
    np.testing.assert_array_equal(*gradients())


def test_values_depend_on_the_neighbours_in_the_batch(spoil):
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


def test_a_transition_ends_where_it_starts(spoil, tmp_path):
    def steps(directory):
        agent = Noting()
        with make(directory, sample=4) as replay:
            fill(replay, Life([40], 1), 40)
            Learner(agent, replay, batch_size=4, max_train_steps=1, fuse=False).train(1)
        return int(agent.steps)

    assert steps(tmp_path / 'right') == 1
    spoil('next_state_is_the_state')
    assert steps(tmp_path / 'wrong') == 0


def collected(directory, num_vector_steps):
    """How many transitions a replay for forty has after so many vector steps, ten at a time."""
    env = Task('CartPole-v1').training_envs(2)
    env_steps = tf.Variable(0, dtype=tf.int64)
    policy = random_policy(env)
    with Replay(
        policy.trajectory_spec, 2, TransitionShape(1, 0.9), 4, directory, capacity_transitions=40,
        transitions_per_item=1, rows_per_chunk=1,
    ) as replay:  # fmt: skip
        collector = Collector(env, policy, replay, rollout.EpisodeStatistics(2), env_steps)
        collector.reset(0)
        for _ in range(num_vector_steps // 10):
            collector.run(10)
        return replay.num_starts


def random_policy(env):
    time_step, action = env.time_step_spec(), env.action_spec()
    time_step, action = tensor_spec.from_spec(time_step), tensor_spec.from_spec(action)
    network = q_network.PlainQNetwork(time_step.observation, action)
    network.create_variables()
    return policies.EpsilonGreedyQPolicy(time_step, action, network, lambda: tf.constant(1.0))


def test_a_full_replay_begins_again(spoil, tmp_path):
    assert collected(tmp_path / 'right', 40) == 40
    spoil('full_replay_begins_again')
    assert collected(tmp_path / 'wrong', 40) < 40


def test_each_target_is_held_against_each_value(spoil):
    batch = fakes.transition((0, 1), (0.0, 0.0), (0.0, 0.0))  # Q(s, .) is 1 and 2, targets 0

    def loss():
        return float(fakes.table_q_agent()._loss(batch, tf.constant([1.0, 0.0])).loss)

    assert loss() == pytest.approx((1.0**2 * 1.0 + 2.0**2 * 0.0) / 2)
    spoil('targets_of_all_with_all')
    assert loss() == pytest.approx((2 * 1.0**2 * 1.0 + 2 * 2.0**2 * 0.0) / 4)
    # With weights [B] against errors [B, B] even the weights go to the wrong rows.
    info = fakes.table_q_agent()._loss(batch, tf.constant([1.0, 0.0]))
    np.testing.assert_allclose(info.extra.td_error, [1.5, 1.5])


def test_a_third_is_never_sampled(spoil, tmp_path):
    def share_sampled(directory):
        with make(directory, sample=512, alpha=0.5, rows_per_chunk=1) as replay:
            fill(replay, Life([300], 1), 301)
            samples, keys = replay.samples(), set()
            for _ in range(20):
                keys |= set(next(samples).info.key.numpy().tolist())
            return len(keys) / replay.num_starts

    assert share_sampled(tmp_path / 'right') == 1.0
    spoil('a_third_is_never_sampled')
    assert 0.5 < share_sampled(tmp_path / 'wrong') < 0.8


def test_a_time_limit_is_a_failure(spoil):
    def discount_at_the_limit():
        env = Task('Pendulum-v1').training_envs(1)  # 200 steps, and never a failure
        step = env.reset(seed=0)
        while not step.is_last()[0]:
            step = env.step(np.zeros([1, 1], np.float32))
        assert step.step_type[0] == ts.StepType.LAST
        return float(step.discount[0])

    assert discount_at_the_limit() == 1.0
    spoil('a_time_limit_is_a_failure')
    assert discount_at_the_limit() == 0.0
