import gymnasium as gym
import numpy as np
import pytest
from tf_agents.environments import utils
from tf_agents.trajectories import time_step as ts

from envs import errors
from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))
REQUIRED = ('CartPole-v1', 'Acrobot-v1', 'MountainCar-v0', 'Taxi-v3', 'FrozenLake-v1')


def seen(step, i):
    """The observation of copy `i`, without a mask."""
    if isinstance(step.observation, dict):
        return step.observation['observation'][i]
    return step.observation[i]


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
    utils.validate_py_environment(Task(name).evaluation_envs(3), episodes=4)


@pytest.mark.parametrize('name', ['CartPole-v1', 'Acrobot-v1', 'FrozenLake-v1'])
def test_a_seeded_reset_makes_episodes_repeat(name):
    env = Task(name).evaluation_envs(3)
    first, _ = rows(env, 120, seed=5)
    again, _ = rows(env, 120, seed=5)
    other, _ = rows(env, 120, seed=6)
    assert all(np.array_equal(a.observation, b.observation) for a, b in zip(first, again))
    assert any(not np.array_equal(a.observation, b.observation) for a, b in zip(first, other))


@pytest.mark.parametrize('name', ['Acrobot-v1', 'FrozenLake-v1', 'Taxi-v3', 'MountainCar-v0'])
def test_rows_are_those_of_the_plain_environment_last_observations_included(name):
    """The same episode by hand: reset and step one Gymnasium environment alone."""
    env = Task(name).evaluation_envs(2)
    steps, actions = rows(env, 1100, seed=3)
    episodes_ended = 0
    for i in range(2):
        plain = gym.make(name)
        observation, _ = plain.reset(seed=3 + i)
        np.testing.assert_allclose(seen(steps[0], i), observation, rtol=1e-6)
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
            np.testing.assert_allclose(seen(after, i), observation, rtol=1e-6)
    assert episodes_ended >= 2


def test_native_cartpole_ends_outside_its_limits_and_starts_again_inside():
    env = Task('CartPole-v1').evaluation_envs(4)
    steps, _ = rows(env, 200, seed=0)
    for step in steps:
        for kind, observation in zip(step.step_type, step.observation):
            outside = abs(observation[0]) > 2.4 or abs(observation[2]) > 12 * np.pi / 180
            assert outside == (kind == LAST)
            if kind == FIRST:
                assert np.abs(observation).max() <= 0.05


def test_a_time_limit_is_not_a_failure():
    """MountainCar with random actions never arrives: every episode ends by its limit."""
    steps, _ = rows(Task('MountainCar-v0').evaluation_envs(2), 450, seed=0)
    last = [step for step in steps if (step.step_type == LAST).any()]
    assert len(last) == 2  # 200 steps each
    assert all((step.discount == 1.0).all() for step in last)


def test_cartpole_v0_is_cut_at_200_steps_with_discount_1():
    env = Task('CartPole-v0').evaluation_envs(8)
    time_step, lengths = env.reset(seed=0), np.zeros(8, int)
    cut = []
    for _ in range(2000):  # push the way the pole falls: often lasts
        action = (time_step.observation @ [0.1, 0.5, 3.0, 1.5] > 0).astype(int)
        time_step = env.step(action)
        lengths = np.where(time_step.step_type == FIRST, 0, lengths + 1)
        cut += list(time_step.discount[(time_step.step_type == LAST) & (lengths == 200)])
    assert len(cut) > 5 and np.all(np.array(cut) == 1.0)


def test_float64_observations_become_float32():
    env = Task('MountainCarContinuous-v0').evaluation_envs(1)
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


def test_actions_are_the_environments_own_numbers():
    env = GymnasiumEnv(gym.vector.SyncVectorEnv([_Odd, _Odd]))
    assert env.action_spec().minimum == 3 and env.action_spec().maximum == 4
    env.reset()
    step = env.step(np.array([3, 4]))
    assert _Odd.seen[-2:] == [3, 4]
    np.testing.assert_array_equal(step.observation, [[0, 1, 1], [0, 1, 1]])
    assert env.observation_spec().dtype == np.int8


@pytest.mark.parametrize(
    ('space', 'action', 'low', 'high'),
    [
        (gym.spaces.MultiDiscrete([2, 4]), [[0, 3], [1, 0]], [0, 0], [1, 3]),
        (gym.spaces.MultiDiscrete([2, 4], start=[5, -1]), [[6, -1], [5, 2]], [5, -1], [6, 2]),
        (gym.spaces.MultiBinary(3), [[0, 1, 1], [1, 0, 0]], [0] * 3, [1] * 3),
        (gym.spaces.MultiBinary((1, 2)), [[[0, 1]], [[1, 1]]], [[0, 0]], [[1, 1]]),
    ],
)
def test_several_actions_at_a_time_reach_the_environment_as_they_are(space, action, low, high):
    given = []

    class Several(_Odd):
        action_space = space

        def step(self, action):
            assert self.action_space.contains(action)
            given.append(action.tolist())
            return np.zeros(3, np.int8), 0.0, False, False, {}

    env = GymnasiumEnv(gym.vector.SyncVectorEnv([Several, Several]))
    spec = env.action_spec()
    assert spec.dtype == space.dtype and spec.shape == space.shape
    np.testing.assert_array_equal(np.broadcast_to(spec.minimum, spec.shape), low)
    np.testing.assert_array_equal(np.broadcast_to(spec.maximum, spec.shape), high)
    env.reset()
    env.step(np.array(action, spec.dtype))
    assert given == action


def test_an_action_space_without_numbers_is_named():
    class Words(_Odd):
        action_space = gym.spaces.Text(3)

    with pytest.raises(errors.EnvError, match='the action space Text.*MultiBinary and Box'):
        GymnasiumEnv(gym.vector.SyncVectorEnv([Words]))


def test_same_step_autoreset_is_refused():
    vector = gym.vector.SyncVectorEnv([_Odd], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    with pytest.raises(errors.EnvError, match='NEXT_STEP'):
        GymnasiumEnv(vector)


def test_an_unsupported_observation_space_is_named():
    with pytest.raises(errors.EnvError, match='Blackjack-v1.*Tuple.*MultiBinary'):
        Task('Blackjack-v1').evaluation_envs(1)
