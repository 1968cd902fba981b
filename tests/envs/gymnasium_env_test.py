import sys

import gymnasium as gym
import numpy as np
import pytest
from tf_agents.environments import utils
from tf_agents.trajectories import time_step as ts

from envs import checked, errors, infos
from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task
from tests.envs.fakes import UNIT, Scripted, registered

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


def made(*, num_envs=2, **kwargs):
    """Copies of `Scripted`, checked as a task checks them."""
    wrap = checked.wrapper('Some-v0', num_envs)
    vector = gym.vector.SyncVectorEnv([lambda: wrap(Scripted(**kwargs))] * num_envs)
    return GymnasiumEnv(vector, 'Some-v0')


def play(env, steps):
    """The time steps of a seeded reset and so many steps; everything is kept as it was given."""
    seen = [env.reset(seed=0)]
    spec = env.action_spec()
    for _ in range(steps):
        seen.append(env.step(np.zeros((env.batch_size, *spec.shape), spec.dtype)))
    return seen


def fault(env, steps=12):
    """The one line that playing ends with."""
    with pytest.raises(errors.EnvError) as raised:
        play(env, steps)
    message = str(raised.value)
    assert '\n' not in message and message.startswith("environment '")
    return message


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
    vector = gym.vector.SyncVectorEnv([Scripted], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    with pytest.raises(errors.EnvError, match='NEXT_STEP'):
        GymnasiumEnv(vector)


def test_an_unsupported_observation_space_is_named():
    with (
        registered(Scripted, space=gym.spaces.Dict(a=gym.spaces.Text(3))) as name,
        pytest.raises(
            errors.EnvError, match=r"'Scripted-v0': observation\['a'\] has the space Text"
        ),
    ):
        Task(name).evaluation_envs(2)


def test_a_tuple_becomes_a_flat_dict():
    env = Task('Blackjack-v1').evaluation_envs(3)
    utils.validate_py_environment(env, episodes=4)
    observation = env.reset(seed=0).observation
    assert {name: x.dtype for name, x in observation.items()} == {
        f'observation_{i}': np.int64 for i in range(3)
    }
    plain = gym.make('Blackjack-v1')
    for i in range(3):
        expected, _ = plain.reset(seed=i)
        assert tuple(x[i] for x in observation.values()) == expected


DICT = gym.spaces.Dict(
    picture=gym.spaces.Box(0, 255, (2, 2), np.uint8),
    place=gym.spaces.Dict(x=gym.spaces.Box(-1, 1, (1,), np.float64), y=gym.spaces.Discrete(9)),
)


def observe_dict(t):
    return {'picture': np.full((2, 2), t, np.uint8), 'place': {'x': np.array([t / 9]), 'y': t}}


@pytest.mark.parametrize('vectorize', [gym.vector.SyncVectorEnv, 'native'])
def test_a_nested_dict_becomes_a_flat_one(vectorize):
    if vectorize == 'native':
        env = GymnasiumEnv(_Reuses(DICT, lambda n, t: _stacked(observe_dict(t), n)))
    else:
        env = made(observe=observe_dict, space=DICT)
    utils.validate_py_environment(env, episodes=2)
    spec = env.observation_spec()
    assert {name: each.dtype for name, each in spec.items()} == {
        'picture': np.uint8, 'place_x': np.float32, 'place_y': np.int64,
    }  # fmt: skip
    for t, step in enumerate(play(env, 5)):
        assert list(step.observation) == ['picture', 'place_x', 'place_y']
        assert step.observation['picture'].shape == (2, 2, 2)
        np.testing.assert_array_equal(step.observation['picture'], t)
        np.testing.assert_allclose(step.observation['place_x'], np.full((2, 1), t / 9), rtol=1e-6)
        np.testing.assert_array_equal(step.observation['place_y'], [t, t])


def _stacked(observation, n):
    if isinstance(observation, dict):
        return {key: _stacked(value, n) for key, value in observation.items()}
    return np.stack([np.asarray(observation)] * n)


class _Reuses(gym.vector.VectorEnv):
    """A native environment of five steps that writes everything into the same arrays.

    It also writes into the actions that it is given. Where `at` maps a step to a function, it
    gives what the function does.
    """

    metadata = {'autoreset_mode': gym.vector.AutoresetMode.NEXT_STEP}

    def __init__(self, space=UNIT, observe=None, at=None, num_envs=2, actions=None):
        self.num_envs, self.at, self.info = num_envs, at or {}, {}
        self.single_observation_space = space
        self.single_action_space = actions or gym.spaces.Discrete(2)
        self.observe = observe or (lambda n, t: np.full((n, *space.shape), t / 10, space.dtype))
        self.observation, self.t = self.observe(num_envs, 0), 0
        self.reward, self.raw = np.zeros(num_envs), np.zeros(num_envs, np.float32)
        self.terminated, self.truncated = np.zeros(num_envs, bool), np.zeros(num_envs, bool)
        self.discount = np.ones(num_envs, np.float32)

    def _write(self):
        fresh = self.observe(self.num_envs, self.t)
        for kept, new in zip(_arrays(self.observation), _arrays(fresh), strict=True):
            kept[:] = new
        return self.observation

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self._write(), {}

    def step(self, actions):
        actions[:] = 1
        self.t = self.t + 1 if self.t < 5 else 0
        if self.t in self.at:
            return self.at[self.t]()
        self.reward[:], self.raw[:], self.discount[:] = self.t, -self.t, self.t % 2
        self.terminated[:], self.truncated[:] = self.t == 5, False
        told = {infos.RAW_REWARD: self.raw, infos.DISCOUNT: self.discount}
        return self._write(), self.reward, self.terminated, self.truncated, told


def _arrays(observation):
    if isinstance(observation, dict):
        return [x for value in observation.values() for x in _arrays(value)]
    return [observation]


def test_a_native_environment_may_reuse_all_its_arrays():
    env = GymnasiumEnv(_Reuses())
    before, raw = [env.reset(seed=0)], []
    action = np.zeros(2, np.int64)
    for _ in range(7):
        before.append(env.step(action))
        raw.append(env.raw_reward)
    np.testing.assert_array_equal(action, [0, 0])
    ts_ = [0, 1, 2, 3, 4, 5, 0, 1]
    for t, step in zip(ts_, before):
        np.testing.assert_array_equal(step.observation, np.full((2, 3), t / 10, np.float32))
        np.testing.assert_array_equal(step.reward, [t, t])
        np.testing.assert_array_equal(step.discount, [t % 2 if step is not before[0] else 1] * 2)
    np.testing.assert_array_equal(np.array(raw)[:, 0], [-t for t in ts_[1:]])
    kinds = [int(step.step_type[0]) for step in before]
    assert kinds == [FIRST, MID, MID, MID, MID, LAST, FIRST, MID]


class _SameArray(gym.vector.VectorWrapper):
    """Hands out one observation array, and changes it before each step."""

    def reset(self, **kwargs):
        self.kept, info = self.env.reset(**kwargs)
        return self.kept, info

    def step(self, actions):
        self.kept[:] = -1
        observation, *rest = self.env.step(actions)
        self.kept[:] = observation
        return self.kept, *rest


def test_a_wrapper_may_reuse_its_arrays():
    vector = _SameArray(gym.vector.SyncVectorEnv([Scripted, Scripted]))
    for t, step in enumerate(play(GymnasiumEnv(vector), 5)):
        np.testing.assert_array_equal(step.observation, np.full((2, 3), t / 10, np.float32))


def test_nothing_is_copied_twice():
    """Gymnasium's own copy is a slow one."""
    env = made()
    vector = env._env
    assert vector.copy is False
    env.reset(seed=0)
    step = env.step(np.array([0, 0]))
    assert not np.shares_memory(step.observation, vector._observations)


OWN = {'raw_reward': 100.0, 'discount': 0.0}


def test_an_infos_own_names_mean_nothing():
    """Gymnasium fills what a copy does not report with zeros."""
    lengths = iter([2, 4])
    vector = gym.vector.SyncVectorEnv(
        [lambda: Scripted(length=next(lengths), info=lambda t: OWN if t == 2 else {})] * 2
    )
    env = GymnasiumEnv(vector)
    env.reset(seed=0)
    for rewards, discounts in (([1, 1], [1, 1]), ([2, 2], [0, 1]), ([0, 3], [1, 1])):
        step = env.step(np.array([0, 0]))
        np.testing.assert_array_equal(step.reward, rewards)
        np.testing.assert_array_equal(env.raw_reward, rewards)
        np.testing.assert_array_equal(step.discount, discounts)


def test_a_single_environment_that_tells_is_believed_of_its_own_copy_alone():
    told = {infos.RAW_REWARD: 100.0, infos.DISCOUNT: 0.0}
    vector = gym.vector.SyncVectorEnv(
        [lambda: Scripted(info=lambda t: told if t == 2 else {}), Scripted]
    )
    env = GymnasiumEnv(vector)
    env.reset(seed=0)
    env.step(np.array([0, 0]))
    step = env.step(np.array([0, 0]))
    np.testing.assert_array_equal(env.raw_reward, [100, 2])
    np.testing.assert_array_equal(step.reward, [2, 2])
    np.testing.assert_array_equal(step.discount, [0, 1])


@pytest.mark.parametrize(
    ('at', 'words'),
    [
        (lambda t: np.full(3, np.nan), 'copy 1 of 2, episode 1, step 3: the observation is not'),
        (lambda t: np.array([0, np.inf, 0]), 'step 3: the observation is not finite: [ 0. inf 0.]'),
    ],
)
def test_an_observation_that_is_not_finite_is_told_with_its_moment(at, words):
    assert words in fault(made(observe=lambda t: at(t) if t == 3 else np.zeros(3)))


@pytest.mark.parametrize('number', [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_not_finite_is_told_with_its_moment(number):
    message = fault(made(num_envs=1, reward=lambda t: number if t == 4 else 1.0))
    assert message == f"environment 'Some-v0', episode 1, step 4: the reward is {number}"


def test_a_state_outside_its_space_is_told_with_its_moment():
    message = fault(made(observe=lambda t: t, space=gym.spaces.Discrete(3)))
    assert message.endswith('episode 1, step 3: the observation is 3, which is outside Discrete(3)')
    native = _Reuses(gym.spaces.Discrete(3), lambda n, t: np.arange(n) + t)
    assert fault(GymnasiumEnv(native, 'Some-v0')).endswith(
        'copy 2 of 2, episode 1, step 2: the observation is 3, which is outside Discrete(3)'
    )


ZERO = np.zeros((2, 3), np.float32)
OK = np.zeros(2), np.zeros(2, bool), np.zeros(2, bool)


@pytest.mark.parametrize(
    ('result', 'words'),
    [
        (
            (np.zeros((2, 4)), *OK, {}),
            '2 steps after a reset: the observation has the shape (2, 4)',
        ),
        ((ZERO, None, *OK[1:], {}), '2 steps after a reset: the reward has the shape (), not (2,)'),
        ((ZERO, ['a', 'b'], *OK[1:], {}), "the reward is ['a', 'b']"),
        ((ZERO, np.zeros(3), *OK[1:], {}), 'the reward has the shape (3,), not (2,)'),
        (
            (ZERO, OK[0], False, OK[2], {}),
            '2 steps after a reset: terminated and truncated must be bool [num_envs]',
        ),
        ((ZERO, OK[0], OK[1], np.zeros((2, 1), bool), {}), 'terminated and truncated must be bool'),
        ((ZERO, OK[0], np.array([None, 1]), OK[1], {}), 'terminated and truncated must be bool'),
        ((ZERO, *OK, {infos.DISCOUNT: np.full(2, np.nan)}), 'step 2: the discount is nan'),
        ((ZERO, *OK), '2 steps after a reset: step must return observation, reward,'),
        ((ZERO, *OK, None), 'step must return observation, reward,'),
        (None, 'step must return observation, reward,'),
    ],
)
def test_what_a_native_environment_must_not_give(result, words):
    assert words in fault(GymnasiumEnv(_Reuses(at={2: lambda: result}), 'Some-v0'))


def boom():
    raise ValueError('boom')


@pytest.mark.parametrize(
    ('raises', 'words'), [(boom, 'ValueError: boom'), (sys.exit, 'SystemExit')]
)
def test_what_a_native_environment_raises_is_told(raises, words):
    env = GymnasiumEnv(_Reuses(at={3: raises}), 'Some-v0')
    with pytest.raises(errors.EnvError) as raised:
        play(env, 4)
    message = f"environment 'Some-v0', 3 steps after a reset: it raised {words}"
    assert str(raised.value) == message and '_Reuses' not in message
    assert words in raised.value.traceback


def test_a_single_environments_fault_keeps_its_words():
    env = made(at={3: boom})
    message = "environment 'Some-v0', copy 1 of 2, episode 1, step 3: it raised ValueError: boom"
    assert fault(env) == message


class _NanReward(gym.vector.VectorWrapper):
    def step(self, actions):
        observation, reward, *rest = self.env.step(actions)
        return observation, reward * np.nan, *rest


def test_a_wrappers_reward_is_not_blamed_on_the_environment():
    below = infos.RewardBelow(gym.vector.SyncVectorEnv([Scripted]))
    message = fault(GymnasiumEnv(_NanReward(below), 'Some-v0'))
    assert message.endswith("step 1: the training wrappers' reward is nan")


def test_a_number_outside_its_box_is_a_note_once(capsys):
    for _ in range(2):
        env = GymnasiumEnv(_Reuses(observe=lambda n, t: np.full((n, 3), t, np.float32)), 'Far-v0')
        assert play(env, 4)[-1].observation[0, 0] == 4
    assert capsys.readouterr().out == (
        "note: environment 'Far-v0': the observation contains 2.0, outside Box(-1.0, 1.0, (3,), "
        'float32), and is used as it is\n'
    )


def test_an_environment_gets_clipped_copies_of_actions():
    """In its own dtype; whoever chose them keeps them."""
    box = gym.spaces.Box(np.zeros(2), np.array([np.inf, 1.0]), dtype=np.float64)
    env = made(num_envs=1, actions=box)
    env.reset(seed=0)
    action = np.array([[-1.0, 7.0]], np.float32)
    env.step(action)
    np.testing.assert_array_equal(action, [[-1, 7]])
    np.testing.assert_array_equal(Scripted.last.actions, [[0, 1]])
    assert Scripted.last.actions[0].dtype == np.float64


def test_trying_out_finds_what_is_wrong_at_once():
    made().try_out()
    Task('Blackjack-v1').training_envs(2).try_out()
    Task('Pendulum-v1').training_envs(2).try_out()
    with pytest.raises(errors.EnvError, match='at its reset: it raised ValueError'):
        made(at={0: boom}).try_out()
    with pytest.raises(errors.EnvError, match='step 1: it raised ValueError'):
        made(at={1: boom}).try_out()


def test_trying_out_takes_an_action_that_the_mask_allows():
    space = gym.spaces.Dict(action_mask=gym.spaces.MultiBinary(3), x=UNIT)
    mask = np.array([0, 0, 1], np.int8)
    env = made(
        observe=lambda t: {'action_mask': mask, 'x': np.zeros(3)},
        space=space,
        actions=gym.spaces.Discrete(3),
    )
    env.try_out()
    assert Scripted.last.actions == [2]


def test_what_render_raises_is_told():
    env = made(num_envs=1)
    env.reset(seed=0)
    Scripted.last.render = boom
    with pytest.raises(errors.EnvError, match="'Some-v0', in `render`: it raised ValueError: boom"):
        env.render()
