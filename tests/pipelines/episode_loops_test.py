import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import action_distribution, actor_critic_network, policies
from envs import suite
from pipelines import episode_loops, rollout
from pipelines.cli import UserError
from pipelines.episode_queue import EpisodeQueue

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


class _Fails(gym.Env):
    """The reward of the third step of its second episode is no number; some wait for others."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)
    episodes = 0
    made = 0

    def __init__(self):
        self.number = _Fails.made
        _Fails.made += 1

    def reset(self, *, seed=None, options=None):
        self.episodes, self.steps = self.episodes + 1, 0
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
    env = suite.load(env_name, num_envs)
    time_step_spec = tensor_spec.from_spec(env.time_step_spec())
    action_spec = tensor_spec.from_spec(env.action_spec())
    distribution = action_distribution.make('auto', action_spec)
    network = actor_critic_network.ActorCriticNetwork(
        time_step_spec.observation, distribution, value_head=False
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
    collector = episode_loops.EpisodeCollector(env, policy, queue, statistics, env_steps)
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


def test_a_reward_that_is_no_number_names_its_episode_and_step():
    """The first environment waits three steps for the second one in the first batch."""
    env, policy, queue = make('Fails-v0', 2)
    statistics = rollout.EpisodeStatistics(2)
    env_steps = tf.Variable(0, dtype=tf.int64)
    collector = episode_loops.EpisodeCollector(env, policy, queue, statistics, env_steps)
    with queue:
        collector.run(0)
        with pytest.raises(UserError, match='reward nan in episode 3 at its step 3'):
            collector.run()
    assert int(env_steps) == 4 + 7
