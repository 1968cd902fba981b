import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import actor_critic_network, policies
from envs.errors import EnvError
from envs.task import Task
from pipelines.experience.episode_queue import EpisodeQueue
from pipelines.loops import rollout
from pipelines.loops.episodes import EpisodeCollector

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


class _Fails(gym.Env):
    """Its third reward in the second episode is NaN, and its episodes differ in length."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)
    episodes = 0
    made = 0

    def __init__(self):
        self.number = _Fails.made
        _Fails.made += 1

    def reset(self, *, seed=None, options=None):
        self.episodes = self.episodes + 1 if seed is None else 1
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        bad = self.episodes == 2 and self.steps == 3
        long = self.episodes == 1 and self.number == 1
        return (
            np.zeros(1, np.float32),
            np.nan if bad else 1.0,
            self.steps == 4 + 3 * long,
            False,
            {},
        )


gym.register('Fails-v0', _Fails)


def make(env_name, num_envs):
    env = Task(env_name, vectorization='sync').evaluation_envs(num_envs)
    time_step_spec = tensor_spec.from_spec(env.time_step_spec())
    action_spec = tensor_spec.from_spec(env.action_spec())
    network, distribution = actor_critic_network.make_actor_critic_network(
        time_step_spec.observation, action_spec, value_head=False
    )
    policy = policies.ActorPolicy(
        time_step_spec, action_spec, network, distribution, stochastic=True, keep_sample=True
    )
    queue = EpisodeQueue(policy.collect_data_spec, num_envs, stall_timeout_seconds=20)
    return env, policy, queue


def test_a_batch_is_one_whole_episode_of_each_environment():
    env, policy, queue = make('CartPole-v1', 5)
    statistics = rollout.EpisodeStatistics(5)
    env_steps = tf.Variable(0, dtype=tf.int64)
    collector = EpisodeCollector(env, policy, queue, statistics, env_steps)
    total = 0
    with queue:
        batches = queue.batches()
        for seed in range(4):
            collector.run(seed)
            episodes = queue.codec.decode(next(batches))
            for kinds, reward, discount, observation, action, sample in zip(
                episodes.step_type.numpy(), episodes.reward.numpy(), episodes.discount.numpy(),
                episodes.observation.numpy(), episodes.action.numpy(),
                episodes.policy_info.numpy(), strict=True,
            ):  # fmt: skip
                end = int(np.flatnonzero(kinds == LAST)[0])
                assert kinds[0] == FIRST and (kinds[1:end] == MID).all()
                assert not kinds[end + 1 :].any()
                assert reward[:end].sum() == end  # a point a step
                assert discount[end - 1] == 0.0 and (discount[: end - 1] == 1.0).all()
                assert np.abs(observation[end, [0, 2]]).max() > 0.2  # the state it fell in
                np.testing.assert_array_equal(action, sample)
                total += end
    assert int(env_steps) == total and statistics.num_episodes == 20
    np.testing.assert_allclose(sum(statistics.last_returns), total)


def test_a_reward_that_is_not_a_number_is_reported_with_its_episode_and_step():
    """In the first batch, the first environment waits three steps for the second."""
    env, policy, queue = make('Fails-v0', 2)
    statistics = rollout.EpisodeStatistics(2)
    env_steps = tf.Variable(0, dtype=tf.int64)
    collector = EpisodeCollector(env, policy, queue, statistics, env_steps)
    with queue:
        collector.run(0)
        with pytest.raises(EnvError, match='copy 2 of 2, episode 2, step 3: the reward is nan'):
            collector.run()
    assert int(env_steps) == 4 + 7
