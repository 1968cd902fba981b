"""How copies of an environment are stepped together: natively, in turn, or in processes.

native   Gymnasium's own vector version, where an id has one: the fastest
sync     one after the other, in this process: right where a step takes microseconds
async    side by side, a process for each: right where a step or a reset takes long
"""

from __future__ import annotations

import copy
import functools
import pickle
import statistics
import time
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import CloudpickleWrapper

from envs import checked
from envs.errors import EnvError
from envs.processes import ProcessVectorEnv
from envs.recipe import Recipe

TIMED = ('sync', 'async')  # a timing chooses between them
MODES = ('auto', 'native', *TIMED)

# A process for each of 16 copies pays from some 0.3 ms a step on (two cores, timed once); at 1 ms
# a vector step takes 0.6 of the time.
SLOW_STEP_SECONDS = 0.001
SLOW_RESET_SECONDS = 0.02  # a hundred evaluation episodes would wait two seconds

_TIMED_STEPS, _TIMED_SECONDS = 100, 0.2

# One copy plays the same either way, and on arrays of one NumPy takes three times as long.
_NOT_NATIVE_ALONE = ('CartPole-v0', 'CartPole-v1')


class Choice(NamedTuple):
    """What 'auto' has come to."""

    mode: str  # one of `MODES`, but not 'auto'
    why: str | None = None  # a line for the user


class Timing(NamedTuple):
    """Seconds that one copy takes."""

    step: float  # median
    reset: float


def check_mode(mode: Any) -> None:
    """Raises an EnvError unless `mode` is one of `MODES`."""
    if mode not in MODES:
        raise EnvError(f'task.vectorization = {mode!r}: must be one of {MODES}')


def is_native(recipe: Recipe, has_kwargs: bool) -> bool:
    """Whether 'auto' uses the native vector version: nothing is wanted of single copies."""
    spec = recipe.spec
    if spec.vector_entry_point is None:
        return False
    single = recipe.wrappers or spec.additional_wrappers or has_kwargs
    return spec.entry_point is None or not single


def choose(recipe: Recipe, num_envs: int) -> Choice:
    """'sync' or 'async', by a short timing of random play in one copy.

    An environment that fails meanwhile is 'sync': whoever plays it says what went wrong.

    Raises:
      EnvError: the environment cannot be made.
    """
    if num_envs == 1:
        return Choice('sync')
    env = recipe.make()
    try:
        timing = measure(env)
    except (Exception, SystemExit):
        return Choice('sync')
    finally:
        env.close()
    slow = timing.step > SLOW_STEP_SECONDS or timing.reset > SLOW_RESET_SECONDS
    slow = slow and _can_be_sent(recipe)
    mode = 'async' if slow else 'sync'
    where = 'in processes' if slow else 'one after the other in this process'
    other = "'sync' has them in this process" if slow else "'async' gives each a process"
    return Choice(
        mode,
        f'{num_envs} environments {where}: a step takes {_in_words(timing.step)}, a reset '
        f'{_in_words(timing.reset)} (task.vectorization = {other})',
    )


def _can_be_sent(recipe: Recipe) -> bool:
    try:
        pickle.dumps(CloudpickleWrapper(recipe.make))
    except Exception:
        return False
    return True


def _in_words(seconds: float) -> str:
    return f'{seconds:.1f} s' if seconds >= 1 else f'{1_000 * seconds:.2g} ms'


def measure(env: gym.Env) -> Timing:
    """Times up to two resets, and up to 100 steps of random play that a mask allows."""
    env.action_space.seed(0)
    began = time.perf_counter()
    observation, info = env.reset(seed=0)
    reset = time.perf_counter() - began
    if reset > SLOW_RESET_SECONDS:  # it may have loaded something for good
        began = time.perf_counter()
        observation, info = env.reset()
        reset = min(reset, time.perf_counter() - began)
    steps: list[float] = []
    while len(steps) < _TIMED_STEPS and sum(steps) < _TIMED_SECONDS:
        try:
            action = env.action_space.sample(_mask(observation, info))
        except Exception:  # a mask of another form
            break
        began = time.perf_counter()
        observation, _, terminated, truncated, info = env.step(action)
        steps.append(time.perf_counter() - began)
        if terminated or truncated:
            if len(steps) > 1 and reset > SLOW_RESET_SECONDS:
                break
            observation, info = env.reset()
    return Timing(statistics.median(steps or [0.0]), reset)


def _mask(observation: Any, info: Mapping[str, Any]) -> Any:
    """The mask of legal actions, as `Space.sample` takes it; None where there is none."""
    given = observation if isinstance(observation, Mapping) else info
    mask = given.get('action_mask', info.get('action_mask'))
    return None if mask is None else np.asarray(mask, np.int8)


def make(recipe: Recipe, num_envs: int, mode: str) -> gym.vector.VectorEnv:
    """`num_envs` copies that step together.

    Args:
      recipe: makes one copy.
      num_envs: number of copies, >= 1.
      mode: one of `MODES`, but not 'auto'.

    Raises:
      EnvError: a copy cannot be made, or there is no native version that could do what the
        recipe says.
    """
    if mode == 'native' and num_envs == 1 and recipe.spec.id in _NOT_NATIVE_ALONE:
        mode = 'sync'
    try:
        if mode == 'native':
            return _native(recipe, num_envs)
        if recipe.spec.entry_point is None:
            raise EnvError(
                f"environment '{recipe.name}' exists as a vector environment alone: wrappers and "
                "pictures need single ones; use task.vectorization = 'native' without wrappers"
            )
        number_of = ('', *(f', copy {i + 1} of {num_envs}' for i in range(num_envs)))
        copies = [
            functools.partial(_checked_copy, recipe, words)
            for words in (number_of[:1] if num_envs == 1 else number_of[1:])
        ]
        if mode == 'async':
            return ProcessVectorEnv(recipe.name, copies)
        return gym.vector.SyncVectorEnv(copies)
    except (Exception, SystemExit) as e:
        raise recipe.not_made(e) from e


def _checked_copy(recipe: Recipe, words: str) -> gym.Env:
    return checked.Checked(recipe.make(), recipe.name, words)


def _native(recipe: Recipe, num_envs: int) -> gym.vector.VectorEnv:
    spec = recipe.spec
    if spec.vector_entry_point is None or recipe.wrappers or spec.additional_wrappers:
        why = 'wrappers are for single environments' if recipe.wrappers else 'it has no such form'
        raise EnvError(
            f"task.vectorization = 'native' does not fit '{recipe.name}': {why}; use 'auto'"
        )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # "CartPole-v0 is out of date": the user's choice
        return gym.make_vec(copy.deepcopy(spec), num_envs, vectorization_mode='vector_entry_point')
