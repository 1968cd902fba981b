"""Faults of environments: each becomes one line that says where it happened and what it was.

`checked.Checked` surrounds a single environment and sees its faults where they happen;
`GymnasiumEnv` sees those of vector environments and their wrappers.
"""

from __future__ import annotations

import importlib
import pathlib
import traceback

import gymnasium as gym
import numpy as np
import tqdm

from envs.errors import EnvError

# What the code of an environment may raise; sys.exit() must not end a run that has a checkpoint.
RAISED = (Exception, SystemExit)

_GYMNASIUM = str(pathlib.Path(gym.__file__).parent)
_said: set[str] = set()


def say_once(words: str) -> None:
    """Prints a note, the first time that this process has it."""
    if words not in _said:
        _said.add(words)
        tqdm.tqdm.write(f'note: {words}')  # above the bar, if there is one


def raised(error: BaseException, where: str) -> EnvError:
    """The EnvError for what the code of an environment, or of a wrapper, has raised.

    Args:
      error: the exception. An EnvError is returned as it is, and out of the copy that
        Gymnasium's AsyncVectorEnv makes of one.
      where: the environment and the moment, such as "environment 'A-v0', at its reset".
    """
    if isinstance(error, EnvError):
        inner = error.args[0] if error.args else None
        return inner if isinstance(inner, EnvError) else error
    text = ''.join(traceback.format_exception(error))
    if _frames(error)[-1:] == ['_add_info']:
        return EnvError(
            f"{where}: the copies' infos cannot be put together ({_in_one_line(error)}): a value "
            'of one name needs the same type and shape in every copy, or must be left out',
            text,
        )
    return EnvError(f'{where}: it raised {_in_one_line(error)}', text)


def cannot_be_made(error: BaseException, env_name: str) -> EnvError:
    """The EnvError for what was raised while an environment was made."""
    if isinstance(error, EnvError):
        return error
    if is_gymnasiums(error):
        words, text = _first_line(error), None
    else:
        is_plain = isinstance(error, gym.error.Error | ImportError)
        words = _first_line(error) if is_plain else _in_one_line(error)
        text = ''.join(traceback.format_exception(error))
    return EnvError(f"environment '{env_name}' cannot be made: {words}", text)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split('\n')[0]


def _in_one_line(error: BaseException) -> str:
    message = _first_line(error)
    return f'{type(error).__name__}: {message}' if message else type(error).__name__


def _frames(error: BaseException) -> list[str]:
    """The names of the functions that an exception has left, the innermost last."""
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def is_gymnasiums(error: BaseException) -> bool:
    """Whether Gymnasium, not an environment, is where an exception was raised first."""
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
    names = [frame.filename for frame in frames]
    files = [name for name in names if name != importlib.__file__ and not name.startswith('<froz')]
    return not files or files[-1].startswith(_GYMNASIUM)


def moment(episode: int, step: int) -> str:
    """When in a copy's life something happened; step 0 is the reset."""
    return f'episode {episode:,}, ' + (f'step {step:,}' if step else 'at its reset')


class Moments:
    """Which episode each copy of an environment is in, and at which step."""

    def __init__(self, env_name: str, num_envs: int):
        self._env_name, self._num_envs = env_name, num_envs
        self._vector_steps = 0  # since the last reset of all
        self._episodes = np.zeros(num_envs, int)
        self._began = np.zeros(num_envs, int)  # the vector steps at which the last one did

    def reset(self, anew: bool) -> None:
        """All copies begin an episode; `anew` means that it counts as their first."""
        self._vector_steps, self._began[:] = 0, 0
        self._episodes = np.ones_like(self._began) if anew else self._episodes + 1

    def step(self, starts: np.ndarray) -> None:
        """A vector step; those copies that `starts`, bool [num_envs], marks begin an episode."""
        self._vector_steps += 1
        if np.count_nonzero(starts):
            self._episodes += starts
            self._began[starts] = self._vector_steps

    def now(self, copy: int | None) -> str:
        """The environment and the moment; `copy` counts from 0, None means no one in particular."""
        name = f"environment '{self._env_name}'"
        if copy is None:
            return f'{name}, {self._vector_steps:,} steps after a reset'
        number = f', copy {copy + 1} of {self._num_envs}' if self._num_envs > 1 else ''
        step = self._vector_steps - int(self._began[copy])
        return f'{name}{number}, {moment(int(self._episodes[copy]), step)}'
