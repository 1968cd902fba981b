"""Observations as arrays of our own: copied once, and held to their spaces.

What does not fit its space is an error, with one exception: environments whose numbers leave the
bounds of a `Box` are common, and only worth a note.

An array keeps its dtype where TensorFlow can carry it: bool, int8 to int64, uint8, uint16 and
float32. float16 and float64 become float32, uint32 becomes int64, and so does uint64 unless its
bounds are too large: then it becomes float32. A `MultiDiscrete` has a spec by the name
'categories', of rank 1: each of its elements stands for a category, where any other array of
numbers is a measurement.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, MultiDiscrete, Tuple
from tf_agents.specs import array_spec

from envs import fitting, spaces
from envs.fitting import Misfit

Spec: TypeAlias = 'array_spec.ArraySpec | dict[str, array_spec.ArraySpec]'
Arrays: TypeAlias = 'np.ndarray | dict[str, np.ndarray]'

_CARRIED = tuple(
    np.dtype(name)
    for name in ('bool', 'int8', 'uint8', 'int16', 'uint16', 'int32', 'int64', 'float32')
)
_STEPS_SEARCHED = 1_000  # for values outside the bounds of a Box


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
        self.spec: Spec = self._batches[0].spec
        if self._is_dict:
            self.spec = {batch.part.name: batch.spec for batch in self._batches}
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
        self.part, self.spec = part, spec_of(part.space)
        assert part.space.shape is not None
        self._given_shape = (num_envs, *part.space.shape)
        self._shape = (num_envs, *self.spec.shape)
        self._dtype = self.spec.dtype
        self._is_float = self._dtype.kind == 'f'
        self._is_exact = not isinstance(part.space, Box)
        self._has_bounds = _has_bounds_of_its_own(part.space)
        if isinstance(self.spec, array_spec.BoundedArraySpec):
            self._low, self._high = self.spec.minimum, self.spec.maximum

    def copied(self, given: Any) -> np.ndarray:
        """A copy in the spec's dtype and shape; raises a Misfit."""
        shape, dtype = self._given_shape, self._dtype
        if type(given) is np.ndarray and given.dtype is dtype and given.shape == shape:
            array = given.copy()
        else:
            array = fitting.array_of(given, dtype, shape, self.part.label, self.part.space)
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
                words = fitting.not_in_space(self.part.label, value[copy], self.part.space)
                raise Misfit(words, copy)

    def note(self, value: np.ndarray) -> str | None:
        """What is to be said of a number outside its Box; None if there is none."""
        if self._has_bounds and np.count_nonzero(outside := self._outside(value)):
            number, space = spaces.in_short(value[outside][0]), spaces.in_short(self.part.space)
            return f'{self.part.label} contains {number}, outside {space}'
        return None

    def _outside(self, value: np.ndarray) -> np.ndarray:
        return (value < self._low) | (value > self._high)


def spec_of(space: Any) -> array_spec.ArraySpec:
    """The spec of one array; `space` is not a Dict or a Tuple."""
    low, high = (np.asarray(bound) for bound in spaces.bounds(space))
    dtype = np.dtype(space.dtype)
    if dtype not in _CARRIED:
        whole = dtype.kind == 'u' and int(high.max(initial=0)) <= np.iinfo(np.int64).max
        dtype = np.dtype(np.int64 if whole else np.float32)
    if dtype.kind == 'b':  # has no bounds
        return array_spec.ArraySpec(space.shape, dtype, name='observation')
    with np.errstate(over='ignore'):  # float64's bounds become float32 infinities
        low, high = low.astype(dtype), high.astype(dtype)
    if isinstance(space, MultiDiscrete):
        low, high = low.ravel(), high.ravel()
        return array_spec.BoundedArraySpec(low.shape, dtype, low, high, name='categories')
    return array_spec.BoundedArraySpec(space.shape, dtype, low, high, name='observation')


def _at(part: spaces.Part, given: Any) -> Any:
    try:
        for key in part.path:
            given = given[key]
    except (KeyError, IndexError, TypeError):
        raise Misfit(f'{part.label} is missing') from None
    return given


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
