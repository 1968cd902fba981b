"""What fits an observation space: structure, shape and dtype of what one environment gives.

Another dtype is accepted where each value is one of the space's dtype too: any number becomes a
float, but a fraction never a whole number.

Environment processes import this module, so nothing here imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Dict, Discrete, Tuple

from envs import spaces


class Misfit(Exception):
    """An observation that does not fit its space, in words; `copy` is its row in the batch."""

    def __init__(self, words: str, copy: int | None = None):
        super().__init__(words)
        self.copy = copy


def checker(space: gym.Space, path: tuple[Any, ...] = ()) -> Callable[[Any], Any]:
    """A function that copies an observation of one environment, and raises a Misfit.

    It looks at structure, shape and dtype, and at the value where that is a single integer; the
    copy has the dtype of the space.

    Args:
      space: of the observation, supported by `spaces.parts`.
      path: keys that lead to it, for messages.
    """
    label = spaces.label_of(path)
    if isinstance(space, Dict | Tuple):
        below = [(key, checker(child, (*path, key))) for key, child in spaces.children(space)]
        make = _fitting_dict if isinstance(space, Dict) else _fitting_tuple
        return make(below, label)
    if isinstance(space, Discrete):
        return _fitting_integer(space, label)
    dtype, shape = space.dtype, space.shape
    assert dtype is not None and shape is not None

    def fit(given: Any) -> np.ndarray:
        if type(given) is np.ndarray and given.dtype is dtype and given.shape == shape:
            return given.copy()
        return array_of(given, dtype, shape, label, space)

    return fit


def _fitting_dict(below: list[tuple[Any, Callable]], label: str) -> Callable[[Any], Any]:
    def fit(given: Any) -> dict:
        if not isinstance(given, Mapping):
            raise Misfit(f'{label} is a {type(given).__name__}, not a dict')
        if len(given) > len(below):
            extra = next(key for key in given if key not in dict(below))
            raise Misfit(f'{label} has the key {extra!r}, which its space does not have')
        try:
            found = [(key, fit_child, given[key]) for key, fit_child in below]
        except KeyError as e:
            raise Misfit(f'{label} lacks the key {e}') from None
        return {key: fit_child(value) for key, fit_child, value in found}

    return fit


def _fitting_tuple(below: list[tuple[Any, Callable]], label: str) -> Callable[[Any], Any]:
    def fit(given: Any) -> tuple:
        if not isinstance(given, tuple | list | np.ndarray) or len(given) != len(below):
            raise Misfit(f'{label} is {spaces.in_short(given)}, not a tuple of {len(below)}')
        return tuple(fit_child(value) for (_, fit_child), value in zip(below, given, strict=True))

    return fit


def _fitting_integer(space: Discrete, label: str) -> Callable[[Any], Any]:
    low, high = (int(bound) for bound in spaces.bounds(space))
    dtype = space.dtype
    assert dtype is not None

    def fit(given: Any) -> Any:
        if type(given) is not int and type(given) is not np.int64:
            given = array_of(given, dtype, (), label, space)[()]
        if low <= given <= high:
            return given
        raise Misfit(not_in_space(label, given, space))

    return fit


def array_of(
    given: Any, dtype: np.dtype, shape: tuple[int, ...], label: str, space: gym.Space
) -> np.ndarray:
    """A copy of what was given, whatever it is, as an array of `dtype` and `shape`.

    Raises:
      Misfit: it is not one; the message calls it `label`, and names `space`.
    """
    try:
        array = np.asarray(given)
    except ValueError:  # lists of different lengths
        array = np.array(None)
    if array.dtype.kind not in 'biuf':
        raise Misfit(f'{label} is {spaces.in_short(given)}, its space {spaces.in_short(space)}')
    if array.shape != shape:
        raise Misfit(
            f'{label} has the shape {array.shape}, its space {spaces.in_short(space)} says {shape}'
        )
    if not _holds(dtype, array):
        raise Misfit(f'{label} is {array.dtype}, its space {spaces.in_short(space)}')
    return array.astype(dtype)


def _holds(dtype: np.dtype, array: np.ndarray) -> bool:
    """Whether `dtype` has each value of an array of numbers; floats may be rounded."""
    if dtype.kind == 'f' or np.can_cast(array.dtype, dtype):
        return True
    return array.dtype.kind != 'f' and bool((array.astype(dtype) == array).all())


def not_in_space(label: str, value: Any, space: gym.Space) -> str:
    """The words for a value outside its space."""
    return f'{label} is {spaces.in_short(value)}, which is outside {spaces.in_short(space)}'
