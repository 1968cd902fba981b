import re
import sys

import gymnasium as gym
import numpy as np
import pytest

from envs import checked, errors
from tests.envs.fakes import UNIT, Scripted

ZERO = np.zeros(3, np.float32)


def play(env, steps=6):
    """A seeded reset and so many steps, with a reset after each episode; all observations."""
    seen = [env.reset(seed=0)[0]]
    for _ in range(steps):
        observation, _, terminated, truncated, _ = env.step(0)
        seen.append(observation)
        if terminated or truncated:
            seen.append(env.reset()[0])
    return seen


def fault(env, steps=12):
    """The one line that playing ends with, and the error."""
    with pytest.raises(errors.EnvError) as raised:
        play(checked.Checked(env, 'Some-v0', ', copy 2 of 4'), steps)
    message = str(raised.value)
    assert '\n' not in message and message.startswith("environment 'Some-v0', copy 2 of 4")
    return message, raised.value


def test_a_sound_environment_plays_as_without():
    for seen, expected in zip(play(checked.Checked(Scripted(), 'Some-v0')), play(Scripted())):
        np.testing.assert_array_equal(seen, expected)
        assert seen.dtype == np.float32


def test_a_buffer_that_is_used_again_does_no_harm():
    buffer = np.zeros(3, np.float32)

    def observe(t):
        buffer[:] = t
        return buffer

    seen = play(checked.Checked(Scripted(observe), 'Some-v0'), steps=5)
    assert [x[0] for x in seen] == [0, 1, 2, 3, 4, 5, 0]


def test_copies_may_share_a_buffer():
    """Gymnasium puts the batch together after all copies have stepped."""
    buffer, given = np.zeros(3, np.float32), iter(range(100))

    def observe(t):
        buffer[:] = next(given)
        return buffer

    wrap = checked.wrapper('Some-v0', 2)
    env = gym.vector.SyncVectorEnv([lambda: wrap(Scripted(observe))] * 2)
    np.testing.assert_array_equal(env.reset(seed=0)[0][:, 0], [0, 1])
    np.testing.assert_array_equal(env.step(np.array([0, 0]))[0][:, 0], [2, 3])


def test_copies_are_numbered():
    wrap = checked.wrapper('Some-v0', 2)
    first, second = wrap(Scripted()), wrap(Scripted(at={3: lambda: None}))
    play(first)
    with pytest.raises(
        errors.EnvError, match="'Some-v0', copy 2 of 2, episode 1, step 3: step returned"
    ):
        play(second)
    alone = checked.wrapper('Some-v0', 1)(Scripted(at={3: lambda: None}))
    with pytest.raises(
        errors.EnvError, match="environment 'Some-v0', episode 1, step 3: step returned"
    ):
        play(alone)


def boom():
    raise ValueError('boom\nand more')


def leave():
    sys.exit(3)


@pytest.mark.parametrize(
    ('at', 'words'),
    [
        ({3: boom}, 'episode 1, step 3: it raised ValueError: boom'),
        ({0: boom}, 'episode 1, at its reset: it raised ValueError: boom'),
        ({3: leave}, 'episode 1, step 3: it raised SystemExit: 3'),
        ({0: leave}, 'at its reset: it raised SystemExit: 3'),
        ({2: lambda: {}['x']}, "step 2: it raised KeyError: 'x'"),
        ({2: lambda: (_ for _ in ()).throw(RuntimeError)}, 'it raised RuntimeError'),
    ],
)
def test_what_an_environment_raises_is_told_and_its_traceback_kept(at, words):
    message, error = fault(Scripted(at=at))
    assert message.endswith(words)
    assert 'fakes.py' in error.traceback and words.split('raised ')[1] in error.traceback


def test_the_episode_is_counted_from_the_seeded_reset():
    env = Scripted()
    surrounded = checked.Checked(env, 'Some-v0', '')
    for _ in range(2):
        play(surrounded, steps=14)  # two whole episodes of five, and four steps
        env._at = {5: boom}
        with pytest.raises(errors.EnvError, match='episode 3, step 5: it raised ValueError'):
            surrounded.step(0)
        env._at = {}


def test_an_interrupt_is_not_a_fault():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(checked.Checked(Scripted(at={2: interrupt}), 'Some-v0'))


def in_gymnasiums_wrappers(env):
    """As `gym.make` would wrap it."""
    return gym.wrappers.TimeLimit(gym.wrappers.OrderEnforcing(env), 50)


@pytest.mark.parametrize('wrap', [lambda env: env, in_gymnasiums_wrappers])
@pytest.mark.parametrize(
    ('result', 'words'),
    [
        ((ZERO, 1.0, False, {}), 'step returned 4 values, and must return (observation, reward,'),
        ((ZERO, 1.0), 'step returned 2 values, and must'),
        ((ZERO, 1.0, False, False, {}, {}), 'step returned 6 values|step returned more than 5'),
        (None, 'step returned None|step returned NoneType'),
    ],
)
def test_a_step_of_the_old_interface_is_told_its_cure(wrap, result, words):
    message, _ = fault(wrap(Scripted(at={2: lambda: result})))
    assert any(each in message for each in words.split('|')), message
    assert 'migration_guide' in message


@pytest.mark.parametrize(
    'wrap', [lambda env: env, in_gymnasiums_wrappers, gym.wrappers.FlattenObservation]
)
@pytest.mark.parametrize('result', [ZERO, (ZERO, {}, {}), (ZERO, ZERO), {}, None])
def test_a_reset_of_the_old_interface_is_told_its_cure(wrap, result):
    message, _ = fault(wrap(Scripted(at={0: lambda: result})))
    assert re.search(r': reset returned .*, and must return \(observation, info\)', message)
    assert 'migration_guide' in message


class _NoArguments(Scripted):
    def reset(self):
        return ZERO


class _NoOptions(Scripted):
    def reset(self, seed=None):
        return ZERO, {}


class _AnyArguments(Scripted):
    def reset(self, **kwargs):
        raise TypeError("f() got an unexpected keyword argument 'x'")


@pytest.mark.parametrize('wrap', [lambda env: env, in_gymnasiums_wrappers])
def test_a_reset_without_a_seed_is_told_its_cure(wrap):
    message, error = fault(wrap(_NoArguments()))
    assert ': _NoArguments.reset takes no seed and no options, as in the old Gym: write' in message
    assert 'reset(self, *, seed=None, options=None) -> (observation, info)' in message
    message, _ = fault(wrap(_NoOptions()))
    assert ': _NoOptions.reset takes no options, as' in message
    message, error = fault(wrap(_AnyArguments()))  # the fault is elsewhere
    assert message.endswith("it raised TypeError: f() got an unexpected keyword argument 'x'")
    assert error.traceback


@pytest.mark.parametrize(
    ('result', 'words'),
    [
        ((np.zeros(4), 1.0, False, False, {}), 'step 2: the observation has the shape (4,)'),
        (('abc', 1.0, False, False, {}), "step 2: the observation is 'abc'"),
        ((ZERO, None, False, False, {}), 'step 2: reward is None, and must be a number'),
        ((ZERO, 'a', False, False, {}), "reward is 'a', and must be a number"),
        ((ZERO, [1.0, 2.0], False, False, {}), 'reward is [1.0, 2.0], and must be a number'),
        ((ZERO, 1j, False, False, {}), 'reward is 1j, and must be a number'),
        ((ZERO, {}, False, False, {}), 'reward is {}, and must be a number'),
        ((ZERO, 1.0, None, False, {}), 'terminated is None, and must be True or False'),
        ((ZERO, 1.0, False, 'no', {}), "truncated is 'no', and must be True or False"),
        ((ZERO, 1.0, {}, False, {}), 'terminated is {}, and must be True or False'),
        ((ZERO, 1.0, 0.5, False, {}), 'terminated is 0.5, and must be True or False'),
        ((ZERO, 1.0, 2, False, {}), 'terminated is 2, and must be True or False'),
        ((ZERO, 1.0, False, False, None), 'info is None, and must be a dict'),
    ],
)
def test_what_a_step_must_not_give(result, words):
    message, error = fault(Scripted(at={2: lambda: result}))
    assert 'copy 2 of 4, episode 1, step 2: ' in message and words in message
    assert error.traceback is None


@pytest.mark.parametrize(
    ('reward', 'number'),
    [
        (3, 3),
        (True, 1),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.array(2.0), 2),
        (np.array([2]), 2),
        (np.int8(7), 7),
    ],
)
def test_a_reward_may_be_any_number(reward, number):
    env = checked.Checked(Scripted(reward=lambda t: reward), 'Some-v0')
    env.reset(seed=0)
    assert env.step(0)[1] == number


@pytest.mark.parametrize('over', [True, np.True_, 1, np.int64(1), np.array(True), np.array([True])])
def test_an_end_may_be_said_in_any_way_that_is_clear(over):
    env = checked.Checked(Scripted(at={1: lambda: (ZERO, 1.0, over, over, {})}), 'Some-v0')
    env.reset(seed=0)
    _, _, terminated, truncated, _ = env.step(0)
    assert terminated == truncated == True  # noqa: E712, NumPy's too


def test_an_unsupported_space_is_refused_before_gymnasium_sees_it():
    space = gym.spaces.Dict(words=gym.spaces.Text(3), a=UNIT)
    with pytest.raises(errors.EnvError, match=r"observation\['words'\] has the space Text"):
        checked.Checked(Scripted(space=space), 'Some-v0')


def test_actions_and_pictures_pass_through():
    env = Scripted()
    env.render = lambda: 'picture'
    surrounded = checked.Checked(env, 'Some-v0')
    surrounded.reset(seed=0)
    surrounded.step(1)
    assert env.actions == [1] and surrounded.render() == 'picture'
