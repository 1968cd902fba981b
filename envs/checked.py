"""A single environment, held to Gymnasium's interface and to its spaces at every step.

A vector environment writes what its copies give into one array, in which a wrong shape or dtype,
or a buffer that several copies share, can no longer be told.

Environment processes import this module, so nothing here imports TensorFlow.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from envs import faults, fitting, spaces
from envs.errors import EnvError

_NUMBERS = frozenset({float, int, np.float64, np.float32, np.int64})  # the usual types of rewards
_FLAGS = frozenset({bool, np.bool_})
_GUIDE = 'see https://gymnasium.farama.org/introduction/migration_guide/'
_RETURNS = {
    'reset': '(observation, info)',
    'step': '(observation, reward, terminated, truncated, info)',
}
# What Python says where a wrapper of Gymnasium cannot take apart what an environment returned.
_NOT_TAKEN_APART = re.compile(
    r'values to unpack \(expected (2|5)(?:, got (\d+))?\)|cannot unpack non-iterable (\w+) object'
)


def wrapper(env_name: str, num_envs: int) -> Callable[[gym.Env], Checked]:
    """What wraps each of `num_envs` copies, and numbers them as they are made.

    Where each copy is made in another process it cannot number them: give it 1 for `num_envs`.
    """
    numbers = itertools.count(1)

    def wrap(env: gym.Env) -> Checked:
        copy = f', copy {next(numbers)} of {num_envs}' if num_envs > 1 else ''
        return Checked(env, env_name, copy)

    return wrap


class Checked(gym.Wrapper):
    """Holds a single environment to Gymnasium's interface and to its spaces, and copies.

    Numbers that are not finite, and values outside their space, are left to `Observations`, which
    sees all copies at once.

    Raises:
      EnvError: in the constructor: the observation space is not supported. In `reset` and `step`:
        the environment raised, or gave what does not fit.
    """

    def __init__(self, env: gym.Env, env_name: str, copy: str = ''):
        """Wraps an environment; `copy` says which one it is, such as ', copy 2 of 4'."""
        super().__init__(env)
        spaces.parts(env.observation_space, env_name)
        self._fit = fitting.checker(env.observation_space)
        self._who = f"environment '{env_name}'{copy}"
        self._episode = self._step = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        self._episode = self._episode + 1 if seed is None else 1
        self._step = 0
        try:
            result = self.env.reset(seed=seed, options=options)
        except faults.RAISED as e:
            raise self._raised(e) from e
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
            raise self._old_interface('reset', result)
        try:
            return self._fit(result[0]), result[1]
        except fitting.Misfit as e:
            raise self._error(str(e)) from None

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self._step += 1
        try:
            result = self.env.step(action)
        except faults.RAISED as e:
            raise self._raised(e) from e
        if not isinstance(result, tuple) or len(result) != 5:
            raise self._old_interface('step', result)
        observation, reward, terminated, truncated, info = result
        try:
            observation = self._fit(observation)
        except fitting.Misfit as e:
            raise self._error(str(e)) from None
        if type(reward) not in _NUMBERS:
            reward = self._single('reward', reward, 'a number')
        if type(terminated) not in _FLAGS:
            terminated = self._flag('terminated', terminated)
        if type(truncated) not in _FLAGS:
            truncated = self._flag('truncated', truncated)
        if not isinstance(info, dict):
            raise self._error(f'info is {spaces.in_short(info)}, and must be a dict')
        return observation, reward, terminated, truncated, info

    def _single(self, name: str, value: Any, must_be: str) -> Any:
        """The number in a value that is not of one of the usual types."""
        try:
            array = np.asarray(value)
        except ValueError:  # lists of different lengths
            array = np.array(None)
        if array.dtype.kind in 'biuf' and array.size == 1:
            return array.item()
        raise self._error(f'{name} is {spaces.in_short(value)}, and must be {must_be}')

    def _flag(self, name: str, value: Any) -> bool:
        must_be = 'True or False'
        flag = self._single(name, value, must_be)
        if flag in (0, 1):
            return bool(flag)
        raise self._error(f'{name} is {spaces.in_short(value)}, and must be {must_be}')

    def _error(self, words: str) -> EnvError:
        return EnvError(f'{self._where()}: {words}')

    def _where(self) -> str:
        return f'{self._who}, {faults.moment(self._episode, self._step)}'

    def _raised(self, error: BaseException) -> EnvError:
        if isinstance(error, TypeError) and (words := _reset_without(self.env, error)):
            return EnvError(f'{self._who}: {words}')
        if faults.is_gymnasiums(error) and (found := _NOT_TAKEN_APART.search(str(error))):
            expected, got, kind = found.groups()
            gave = kind or (f'{got} values' if got else f'more than {expected} values')
            in_step = expected == '5' if expected else self._step > 0
            return self._not_returned('step' if in_step else 'reset', gave)
        return faults.raised(error, self._where())

    def _old_interface(self, method: str, result: Any) -> EnvError:
        many = f'{len(result)} values' if isinstance(result, tuple) else spaces.in_short(result)
        return self._not_returned(method, many)

    def _not_returned(self, method: str, gave: str) -> EnvError:
        return EnvError(
            f'{self._where()}: {method} returned {gave}, and must return {_RETURNS[method]}: if it '
            f'was written for the old Gym, {_GUIDE}'
        )


def _reset_without(env: gym.Env, error: TypeError) -> str | None:
    """What is to be said of a `reset` without Gymnasium's arguments; None if there is none."""
    if 'unexpected keyword argument' not in str(error):
        return None
    while True:
        parameters = inspect.signature(env.reset).parameters
        any_name = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
        lacks = [name for name in ('seed', 'options') if name not in parameters and not any_name]
        if lacks:
            return (
                f'{type(env).__name__}.reset takes no {" and no ".join(lacks)}, as in the old Gym: '
                f'write reset(self, *, seed=None, options=None) -> {_RETURNS["reset"]}, {_GUIDE}'
            )
        if not isinstance(env, gym.Wrapper):
            return None
        env = env.env
