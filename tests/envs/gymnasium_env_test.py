import gymnasium as gym
import numpy as np
import pytest
from tf_agents.environments import utils
from tf_agents.trajectories import time_step as ts

from envs import errors, noisy_reward, suite
from envs.gymnasium_env import GymnasiumEnv

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))
REQUIRED = ('CartPole-v1', 'Acrobot-v1', 'MountainCar-v0', 'Taxi-v3', 'FrozenLake-v1')


def rows(env, num_steps, seed, action_seed=0):
    """Steps with random actions; the time steps and the actions between them."""
    rng = np.random.default_rng(action_seed)
    steps, actions = [env.reset(seed=seed)], []
    for _ in range(num_steps):
        actions.append(rng.integers(0, env.action_spec().maximum + 1, env.batch_size))
        steps.append(env.step(actions[-1]))
    return steps, actions


@pytest.mark.parametrize('name', REQUIRED)
def test_tf_agents_own_validation_passes(name):
    utils.validate_py_environment(suite.load(name, 3), episodes=4)


@pytest.mark.parametrize('name', ['CartPole-v1', 'Acrobot-v1', 'FrozenLake-v1'])
def test_a_seeded_reset_makes_episodes_repeat(name):
    env = suite.load(name, 3)
    first, _ = rows(env, 120, seed=5)
    again, _ = rows(env, 120, seed=5)
    other, _ = rows(env, 120, seed=6)
    assert all(np.array_equal(a.observation, b.observation) for a, b in zip(first, again))
    assert any(not np.array_equal(a.observation, b.observation) for a, b in zip(first, other))


@pytest.mark.parametrize('name', ['Acrobot-v1', 'FrozenLake-v1', 'Taxi-v3', 'MountainCar-v0'])
def test_rows_are_those_of_the_plain_environment_last_observations_included(name):
    """The same episode by hand: reset and step one Gymnasium environment alone."""
    env = suite.load(name, 2)
    steps, actions = rows(env, 1100, seed=3)
    episodes_ended = 0
    for i in range(2):
        plain = gym.make(name)  # the id must be known by now: `suite` registers Taxi-v3
        observation, _ = plain.reset(seed=3 + i)
        np.testing.assert_allclose(steps[0].observation[i], observation, rtol=1e-6)
        done = False
        for before, action, after in zip(steps, actions, steps[1:]):
            if done:  # the action of this step is ignored, and it starts the next episode
                observation, _ = plain.reset()
                assert before.step_type[i] == LAST and after.step_type[i] == FIRST
                assert after.reward[i] == 0.0 and after.discount[i] == 1.0
                done = False
            else:
                observation, reward, terminated, truncated, _ = plain.step(action[i])
                done = terminated or truncated
                episodes_ended += done
                assert after.step_type[i] == (LAST if done else MID)
                assert after.reward[i] == np.float32(reward)
                assert after.discount[i] == (0.0 if terminated else 1.0)
            np.testing.assert_allclose(after.observation[i], observation, rtol=1e-6)
    assert episodes_ended >= 2


def test_native_cartpole_ends_outside_its_limits_and_starts_again_inside():
    env = suite.load('CartPole-v1', 4)
    steps, _ = rows(env, 200, seed=0)
    for step in steps:
        for kind, observation in zip(step.step_type, step.observation):
            outside = abs(observation[0]) > 2.4 or abs(observation[2]) > 12 * np.pi / 180
            assert outside == (kind == LAST)
            if kind == FIRST:
                assert np.abs(observation).max() <= 0.05


def test_museum_11_a_time_limit_is_not_a_failure():
    """MountainCar with random actions never arrives: every episode ends by its limit."""
    steps, _ = rows(suite.load('MountainCar-v0', 2), 450, seed=0)
    last = [step for step in steps if (step.step_type == LAST).any()]
    assert len(last) == 2  # 200 steps each
    assert all((step.discount == 1.0).all() for step in last)


def test_cartpole_v0_is_cut_at_200_steps_with_discount_1():
    env = suite.load('CartPole-v0', 8)
    time_step, lengths = env.reset(seed=0), np.zeros(8, int)
    cut = []
    for _ in range(2000):  # push the way the pole falls: often lasts
        action = (time_step.observation @ [0.1, 0.5, 3.0, 1.5] > 0).astype(int)
        time_step = env.step(action)
        lengths = np.where(time_step.step_type == FIRST, 0, lengths + 1)
        cut += list(time_step.discount[(time_step.step_type == LAST) & (lengths == 200)])
    assert len(cut) > 5 and np.all(np.array(cut) == 1.0)


def test_float64_observations_become_float32():
    env = suite.load('MountainCarContinuous-v0', 1)
    assert env.observation_spec().dtype == np.float32
    assert env.action_spec().dtype == np.float32 and env.action_spec().shape == (1,)


class _Odd(gym.Env):
    """Actions count from 3; observations are MultiBinary."""

    observation_space = gym.spaces.MultiBinary(3)
    action_space = gym.spaces.Discrete(2, start=3)
    seen: list = []

    def reset(self, *, seed=None, options=None):
        return np.array([1, 0, 1], np.int8), {}

    def step(self, action):
        self.seen.append(int(action))
        return np.array([0, 1, 1], np.int8), 1.0, False, False, {}


def test_actions_count_from_zero_whatever_the_space_starts_at():
    env = GymnasiumEnv(gym.vector.SyncVectorEnv([_Odd, _Odd]))
    assert env.action_spec().minimum == 0 and env.action_spec().maximum == 1
    env.reset()
    step = env.step(np.array([0, 1]))
    assert _Odd.seen[-2:] == [3, 4]
    np.testing.assert_array_equal(step.observation, [[0, 1, 1], [0, 1, 1]])
    assert env.observation_spec().dtype == np.int8


def test_same_step_autoreset_is_refused():
    vector = gym.vector.SyncVectorEnv([_Odd], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    with pytest.raises(errors.EnvError, match='NEXT_STEP'):
        GymnasiumEnv(vector)


def test_a_misspelt_id_names_the_nearest():
    with pytest.raises(errors.EnvError, match="no environment 'CartPol-v1'.*CartPole-v1"):
        suite.load('CartPol-v1', 1)


def test_an_unsupported_observation_space_is_named():
    with pytest.raises(errors.EnvError, match='Blackjack-v1.*Tuple.*MultiBinary'):
        suite.load('Blackjack-v1', 1)


def test_zero_environments_are_refused():
    with pytest.raises(errors.EnvError, match='num_envs = 0'):
        suite.load('CartPole-v1', 0)


@pytest.mark.parametrize('sigma', [0.0, 1.0])
def test_noisy_reward_is_normal_around_1_and_keeps_the_raw_reward(sigma):
    env = suite.load(
        'CartPole-v0', 16, training_wrappers=[lambda v: noisy_reward.NoisyReward(v, sigma)]
    )
    env.reset(seed=1)
    noise = []
    for _ in range(500):
        step = env.step(np.random.default_rng(0).integers(0, 2, 16))
        starts = step.step_type == FIRST
        assert (step.reward[starts] == 0).all() and (env.raw_reward[starts] == 0).all()
        assert (env.raw_reward[~starts] == 1).all()
        noise.extend(step.reward[~starts])
    error = 4 * max(sigma, 1e-6) / np.sqrt(len(noise))  # four standard errors
    assert abs(np.mean(noise) - 1.0) <= error
    assert abs(np.std(noise) - sigma) <= error


def test_noisy_reward_repeats_with_its_seed():
    def rewards(seed):
        env = suite.load(
            'CartPole-v0', 2, training_wrappers=[lambda v: noisy_reward.NoisyReward(v, 1.0)]
        )
        steps, _ = rows(env, 20, seed)
        return np.array([s.reward for s in steps])

    np.testing.assert_array_equal(rewards(3), rewards(3))
    assert not np.array_equal(rewards(3), rewards(4))


def test_an_id_without_a_time_limit_is_cut_after_1000_steps():
    """CliffWalking, always to the left: the agent stands in its corner for ever."""
    env = suite.load('CliffWalking-v1', 1)
    env.reset(seed=0)
    for step in range(1, 1001):
        time_step = env.step(np.array([3]))
    assert step == 1000 and time_step.is_last().all() and (time_step.discount == 1.0).all()
