import pickle

import gymnasium as gym
import numpy as np
import pytest

from envs import errors, faults
from tests.envs.fakes import Scripted


def caught(function, *arguments):
    """What a function raises, with its traceback."""
    with pytest.raises(BaseException) as raised:
        function(*arguments)
    return raised.value


def boom(message='boom\nand more'):
    raise ValueError(message)


def test_an_exception_becomes_one_line_and_a_traceback():
    error = faults.raised(caught(boom), "environment 'Some-v0', step 3")
    assert str(error) == "environment 'Some-v0', step 3: it raised ValueError: boom"
    assert 'in boom' in error.traceback and error.traceback.endswith('and more\n')
    assert str(faults.raised(caught(boom, ''), 'here')) == 'here: it raised ValueError'


def test_an_env_error_is_passed_on_even_through_another_process():
    """Gymnasium's AsyncVectorEnv pickles it, and raises its class with it as the argument."""
    error = faults.raised(caught(boom), 'here')
    assert faults.raised(error, 'there') is error
    arrived = pickle.loads(pickle.dumps(error))
    again = faults.raised(errors.EnvError(arrived), 'there')
    assert str(again) == str(error) and again.traceback == error.traceback


def test_infos_that_cannot_be_put_together_are_said_to_be_so():
    sizes = iter([2, 3])
    make = lambda: Scripted(info=lambda t: {'path': np.zeros(next(sizes))})  # noqa: E731
    env = gym.vector.SyncVectorEnv([make, make])
    words = str(faults.raised(caught(env.reset), 'here'))
    assert words.startswith("here: the copies' infos cannot be put together (ValueError: could not")
    assert words.endswith('a value of one name needs the same type and shape in every copy, or '
                          'must be left out')  # fmt: skip


def make(entry_point, **kwargs):
    """What making an environment fails with, as its EnvError."""
    gym.register('Some-v0', entry_point, kwargs=kwargs)
    try:
        return faults.cannot_be_made(caught(gym.make, 'Some-v0'), 'Some-v0')
    finally:
        del gym.registry['Some-v0']


def not_installed():
    raise gym.error.DependencyNotInstalled('Box2D is not installed, run `pip install box2d`')


def type_error():
    raise TypeError('int is not a map')


def of_old_gym():
    return object()


@pytest.mark.parametrize(
    ('entry_point', 'kwargs', 'words', 'is_its_own'),
    [
        (boom, {}, 'ValueError: boom', True),
        (type_error, {}, 'TypeError: int is not a map was raised', True),
        (not_installed, {}, 'Box2D is not installed, run `pip install box2d`', True),
        (Scripted, {'size': 3}, "unexpected keyword argument 'size'", False),
        ('no_such_module_of_mine:Env', {}, "No module named 'no_such_module_of_mine'", False),
        (of_old_gym, {}, 'The environment must inherit from the gymnasium.Env class', False),
    ],
)
def test_why_an_environment_cannot_be_made(entry_point, kwargs, words, is_its_own):
    """The traceback is kept where the environment's own code is at fault."""
    error = make(entry_point, **kwargs)
    message = str(error)
    assert message.startswith("environment 'Some-v0' cannot be made: ")
    assert words in message and '\n' not in message
    assert (error.traceback is not None) == is_its_own


def test_an_env_error_says_itself_why_it_cannot_be_made():
    error = errors.EnvError('the reason')
    assert faults.cannot_be_made(error, 'Some-v0') is error


def test_a_note_is_said_once(capsys):
    for words in ('one', 'two', 'one'):
        faults.say_once(f'{words} of test_a_note_is_said_once')
    said = capsys.readouterr().out.splitlines()
    assert said == [f'note: {words} of test_a_note_is_said_once' for words in ('one', 'two')]


def test_moments_count_the_episodes_and_steps_of_each_copy():
    moments = faults.Moments('Some-v0', 2)
    moments.reset(anew=True)
    assert moments.now(0) == "environment 'Some-v0', copy 1 of 2, episode 1, at its reset"
    for starts in ([False, False], [False, False], [False, True], [False, False]):
        moments.step(np.array(starts))
    assert moments.now(0).endswith('copy 1 of 2, episode 1, step 4')
    assert moments.now(1).endswith('copy 2 of 2, episode 2, step 1')
    assert moments.now(None) == "environment 'Some-v0', 4 steps after a reset"
    moments.reset(anew=False)
    assert moments.now(1).endswith('copy 2 of 2, episode 3, at its reset')
    moments.reset(anew=True)
    assert moments.now(1).endswith('copy 2 of 2, episode 1, at its reset')
    alone = faults.Moments('Some-v0', 1)
    alone.reset(anew=True)
    assert alone.now(0) == "environment 'Some-v0', episode 1, at its reset"
