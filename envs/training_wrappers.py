"""Wrappers for training alone, which may change rewards and nothing else.

Evaluations, films and the exported policy do without them: a policy that was trained on other
observations, other actions or other ends of episodes would be judged on what it never met.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gin
import gymnasium as gym
import numpy as np

from agents.ranges import Makers
from envs import faults, infos, wrapping
from envs import noisy_reward as noisy_reward  # gin files name NoisyReward
from envs.errors import EnvError

TrainingWrapper = Callable[[gym.vector.VectorEnv], gym.vector.VectorEnv]

_BINDING = 'load_environment.training_wrappers'
_WATCHED_STEPS, _WATCHED_SECONDS = 16, 0.5


@gin.configurable('load_environment', denylist=['vector_env'])
def wrap(
    vector_env: gym.vector.VectorEnv,
    training_wrappers: Makers = (),
) -> gym.vector.VectorEnv:
    """`vector_env` in `training_wrappers`, the first one innermost.

    They are first watched over some steps of random play, from which only `reset` with a seed
    returns. What is reported is the reward below them, unless one tells another (see
    `GymnasiumEnv`).

    Raises:
      EnvError: one of them changes a space, observations, actions or the ends of episodes, or
        keeps running statistics.
    """
    if not training_wrappers:
        return vector_env
    _check_they_change_rewards_alone(vector_env, training_wrappers)
    vector_env = infos.RewardBelow(vector_env)
    for each in training_wrappers:
        vector_env = _wrapped(each, vector_env)
    return vector_env


def _wrapped(wrapper: TrainingWrapper, env: gym.vector.VectorEnv) -> gym.vector.VectorEnv:
    name = getattr(wrapper, '__name__', repr(wrapper))
    try:
        return wrapper(env)
    except (AssertionError, gym.error.Error) as e:  # those of single environments
        raise EnvError(f'{_BINDING}: {name} does not wrap vector environments: {e}') from e
    except (TypeError, ValueError):  # most likely about a value of gin's
        raise
    except faults.RAISED as e:
        raise faults.raised(e, f"training wrapper '{name}'") from e


class _Seen(NamedTuple):
    """What passed a place between two wrappers in one step."""

    actions: Any
    observations: Any
    ends: Any


class _Watch(gym.vector.VectorWrapper):
    """Keeps what passes it."""

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        observations, info = self.env.reset(seed=seed, options=options)
        self.seen = copy.deepcopy(_Seen(None, observations, None))
        return observations, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        actions_before = copy.deepcopy(actions)
        observations, reward, terminated, truncated, info = self.env.step(actions)
        ends = [terminated, truncated]
        self.seen = copy.deepcopy(_Seen(actions_before, observations, ends))
        return observations, reward, terminated, truncated, info


def _check_they_change_rewards_alone(
    vector_env: gym.vector.VectorEnv, training_wrappers: Sequence[TrainingWrapper]
) -> None:
    """Raises an EnvError that names a wrapper and what it changes."""
    outer: gym.vector.VectorEnv = _Watch(vector_env)
    watches = [outer]
    for each in training_wrappers:
        before = outer
        outer = _wrapped(each, outer)
        wrapping.refuse_running_statistics(outer, _BINDING)
        if outer.single_observation_space != before.single_observation_space:
            raise _changes(outer, 'the observation space')
        if outer.single_action_space != before.single_action_space:
            raise _changes(outer, 'the action space')
        outer = _Watch(outer)
        watches.append(outer)
    outer.action_space.seed(0)
    try:
        _play(outer, lambda: _compare(watches))
    except EnvError:
        raise
    except Exception:  # whoever plays it says what went wrong
        return


def _play(env: gym.vector.VectorEnv, after_each: Callable[[], None]) -> None:
    observations, info = env.reset(seed=0)
    after_each()
    began = time.perf_counter()
    for _ in range(_WATCHED_STEPS):
        if time.perf_counter() - began > _WATCHED_SECONDS:
            return
        observations, _, _, _, info = env.step(_actions(env, observations, info))
        after_each()


def _actions(env: gym.vector.VectorEnv, observations: Any, info: Mapping[str, Any]) -> Any:
    """Random actions; where there is a mask, the first that it allows."""
    given = observations if isinstance(observations, Mapping) else info
    masks = given.get('action_mask', info.get('action_mask'))
    if masks is None:
        return env.action_space.sample()
    first = np.argmax(np.stack([np.asarray(mask) for mask in masks]), axis=1)
    return first + getattr(env.single_action_space, 'start', 0)


def _compare(watches: Sequence[Any]) -> None:
    for inner, outer in zip(watches, watches[1:], strict=False):
        for what, a, b in zip(_Seen._fields, inner.seen, outer.seen, strict=True):
            if not _same(a, b):
                words = 'when episodes end' if what == 'ends' else what
                raise _changes(outer.env, words)


def _same(a: Any, b: Any) -> bool:
    """Whether two nests of arrays are equal; NaN is equal to itself."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(_same, a, b))
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _changes(wrapper: gym.vector.VectorEnv, what: str) -> EnvError:
    return EnvError(
        f'{_BINDING}: {type(wrapper).__name__} changes {what}, which evaluations and the exported '
        'policy would not see: training wrappers may change rewards alone; use task.wrappers'
    )
