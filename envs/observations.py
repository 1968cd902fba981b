"""Observations as arrays of our own: copied once, and held to their spaces.

What does not fit its space is an error, with one exception: environments whose numbers leave the
bounds of a `Box` are common, and only worth a note. Another dtype is accepted where each value is
one of the space's dtype too: any number becomes a float, but a fraction never a whole number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Tuple

from envs import spaces

if TYPE_CHECKING:
    from tf_agents.specs import array_spec

Spec: TypeAlias = 'array_spec.ArraySpec | dict[str, array_spec.ArraySpec]'
Arrays: TypeAlias = 'np.ndarray | dict[str, np.ndarray]'

_STEPS_SEARCHED = 1_000  # for values outside the bounds of a Box


class Misfit(Exception):
    """An observation that does not fit its space, in words; `copy` is its row in the batch."""

    def __init__(self, words: str, copy: int | None = None):
        super().__init__(words)
        self.copy = copy


class Observations:
    """The observations of environments that are stepped together.

    Attributes:
      spec: of one observation, an `ArraySpec` or a flat dict of them (see `spaces`).
    """

    def __init__(self, space: gym.Space, num_envs: int, env_name: str):
        """Raises an EnvError if `space`, that of one environment, is not supported."""
        parts = spaces.parts(space, env_name)
        self._batches = [_Batch(part, num_envs) for part in parts]
        self._is_dict = isinstance(space, Dict | Tuple)
        self.spec: Spec = parts[0].spec
        if self._is_dict:
            self.spec = {part.name: part.spec for part in parts}
        self._steps_to_search = _STEPS_SEARCHED

    def copied(self, given: Any) -> Arrays:
        """A vector environment's observation as arrays [num_envs, ...], each copied once.

        Raises:
          Misfit: an array is missing, or its shape or dtype is not what its space says.
        """
        if not self._is_dict:
            return self._batches[0].copied(given)
        return {batch.part.name: batch.copied(_at(batch.part, given)) for batch in self._batches}

    def check(self, arrays: Arrays) -> str | None:
        """Looks for values that do not fit their spaces in what `copied` has returned.

        Returns:
          The first time that a number is outside the bounds of its Box, a note that says so; else
          None. Only the first 1,000 steps are searched for it.

        Raises:
          Misfit: a number is not finite, or a value is outside its Discrete, MultiDiscrete or
            MultiBinary space.
        """
        values = arrays.values() if isinstance(arrays, dict) else (arrays,)
        for batch, value in zip(self._batches, values, strict=True):
            batch.check(value)
        if not self._steps_to_search:
            return None
        self._steps_to_search -= 1
        notes = (batch.note(value) for batch, value in zip(self._batches, values, strict=True))
        note = next(filter(None, notes), None)
        if note is not None:
            self._steps_to_search = 0
        return note


class _Batch:
    """One part of the observations, of all copies: an array [num_envs, ...]."""

    def __init__(self, part: spaces.Part, num_envs: int):
        self.part = part
        assert part.space.shape is not None
        self._given_shape = (num_envs, *part.space.shape)
        self._shape = (num_envs, *part.spec.shape)
        self._dtype = part.spec.dtype
        self._is_float = self._dtype.kind == 'f'
        self._is_exact = not isinstance(part.space, Box)
        self._has_bounds = _has_bounds_of_its_own(part.space)
        if hasattr(part.spec, 'minimum'):
            self._low, self._high = part.spec.minimum, part.spec.maximum

    def copied(self, given: Any) -> np.ndarray:
        """A copy in the spec's dtype and shape; raises a Misfit."""
        shape, dtype = self._given_shape, self._dtype
        if type(given) is np.ndarray and given.dtype is dtype and given.shape == shape:
            array = given.copy()
        else:
            array = _array(given, dtype, shape, self.part.label, self.part.space)
        return array if shape == self._shape else array.reshape(self._shape)  # MultiDiscrete

    def check(self, value: np.ndarray) -> None:
        """Raises a Misfit if a number is not finite, or a whole number outside its space."""
        if self._is_float:
            finite = np.isfinite(value)
            if np.count_nonzero(finite) < finite.size:
                copy = _first_row(~finite)
                words = f'{self.part.label} is not finite: {spaces.in_short(value[copy])}'
                raise Misfit(words, copy)
        elif self._is_exact:
            outside = self._outside(value)
            if np.count_nonzero(outside):
                copy = _first_row(outside)
                raise Misfit(_not_in_space(self.part.label, value[copy], self.part.space), copy)

    def note(self, value: np.ndarray) -> str | None:
        """What is to be said of a number outside its Box; None if there is none."""
        if self._has_bounds and np.count_nonzero(outside := self._outside(value)):
            number, space = spaces.in_short(value[outside][0]), spaces.in_short(self.part.space)
            return f'{self.part.label} contains {number}, outside {space}'
        return None

    def _outside(self, value: np.ndarray) -> np.ndarray:
        return (value < self._low) | (value > self._high)


def fitting(space: gym.Space, path: tuple[Any, ...] = ()) -> Callable[[Any], Any]:
    """A function that copies an observation of one environment, and raises a Misfit.

    It looks at structure, shape and dtype, and at the value where that is a single integer; the
    copy has the dtype of the space.

    Args:
      space: of the observation, supported by `spaces.parts`.
      path: keys that lead to it, for messages.
    """
    label = spaces.label_of(path)
    if isinstance(space, Dict | Tuple):
        below = [(key, fitting(child, (*path, key))) for key, child in spaces.children(space)]
        make = _fitting_dict if isinstance(space, Dict) else _fitting_tuple
        return make(below, label)
    if isinstance(space, Discrete):
        return _fitting_integer(space, label)
    dtype, shape = space.dtype, space.shape
    assert dtype is not None and shape is not None

    def fit(given: Any) -> np.ndarray:
        if type(given) is np.ndarray and given.dtype is dtype and given.shape == shape:
            return given.copy()
        return _array(given, dtype, shape, label, space)

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
            given = _array(given, dtype, (), label, space)[()]
        if low <= given <= high:
            return given
        raise Misfit(_not_in_space(label, given, space))

    return fit


def _array(
    given: Any, dtype: np.dtype, shape: tuple[int, ...], label: str, space: gym.Space
) -> np.ndarray:
    """A copy of what was given, whatever it is, in `dtype`; raises a Misfit."""
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


def _at(part: spaces.Part, given: Any) -> Any:
    try:
        for key in part.path:
            given = given[key]
    except (KeyError, IndexError, TypeError):
        raise Misfit(f'{part.label} is missing') from None
    return given


def _not_in_space(label: str, value: Any, space: gym.Space) -> str:
    return f'{label} is {spaces.in_short(value)}, which is outside {spaces.in_short(space)}'


def _has_bounds_of_its_own(space: Any) -> bool:
    """Whether a Box has bounds that its dtype does not have anyway."""
    kind = np.dtype(space.dtype).kind
    if not isinstance(space, Box) or kind == 'b':
        return False
    if kind == 'f':
        return bool(np.isfinite(space.low).any() or np.isfinite(space.high).any())
    limits = np.iinfo(space.dtype)
    return bool((space.low > limits.min).any() or (space.high < limits.max).any())


def _first_row(faulty: np.ndarray) -> int:
    """The first row of a bool array [B, ...] in which something is true."""
    return int(np.flatnonzero(faulty.reshape(len(faulty), -1).any(axis=1))[0])
