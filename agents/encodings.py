"""Observations as float32 features: what each kind of number counts as.

    one integer (Discrete)           one-hot; learned vectors where there are many values
    categories (MultiDiscrete)       the same for each element
    other integers and bools         from 0 to 1 between their bounds, if those are near enough
    floats                           as they are

A spec is of categories if that is its name (see `envs.spaces`). So is a stack of single integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from agents import errors

CATEGORIES = 'categories'  # the name of a spec whose integers each stand for something
MAX_ONE_HOT, EMBEDDING_UNITS = 1_000, 64
_MAX_EMBEDDED = 1_000_000  # values of one integer: a table of 256 MB
_INFINITE = 1e30  # TF-Agents replaces an infinite bound by the largest float32
_MAX_SCALED = 2**16  # integers with bounds further apart stay as they are


def is_categorical(spec: tf.TensorSpec) -> bool:
    """Whether the numbers stand for categories: one integer, or a spec of that name."""
    return spec.name == CATEGORIES or (spec.dtype.is_integer and spec.shape.rank == 0)


def bounds(spec: tf.TensorSpec) -> tuple[np.ndarray, np.ndarray] | None:
    """The smallest and largest value of each element, or None where one of them is infinite."""
    if spec.dtype == tf.bool:
        return np.zeros(spec.shape), np.ones(spec.shape)
    low, high = getattr(spec, 'minimum', None), getattr(spec, 'maximum', None)
    if low is None or high is None:
        return None
    low, high = (np.broadcast_to(bound, spec.shape).astype(np.float64) for bound in (low, high))
    known = (np.abs([low, high]) < _INFINITE).all()
    return (low, high) if known else None


def scaling(spec: tf.TensorSpec, floats: bool = False) -> tuple[Any, Any]:
    """(offset, divisor): (x - offset) / divisor is between 0 and 1, where x has near bounds.

    Args:
      spec: of numbers.
      floats: whether floats are scaled too.
    """
    found = None if spec.dtype.is_floating and not floats else bounds(spec)
    if found is None:
        return 0.0, 1.0
    low, high = found
    if low.size and low.min() == low.max() and high.min() == high.max():  # a number for all
        low, high = low.flat[0], high.flat[0]
    span = high - low
    near = span <= _MAX_SCALED
    return np.where(near, low, 0.0), np.where(near & (span > 0), span, 1.0)


class Encode(tf.keras.layers.Layer):
    """An observation that is one array [B, ...], as float32 features [B, F]."""

    def __init__(
        self,
        spec: tf.TensorSpec,
        max_one_hot: int = MAX_ONE_HOT,
        embedding_units: int = EMBEDDING_UNITS,
    ):
        """Makes the layer.

        Args:
          spec: of one observation, without the batch.
          max_one_hot: categories of more values than this become learned vectors.
          embedding_units: the length of those.

        Raises:
          ConfigError: there are too many values.
        """
        super().__init__(dtype='float32', autocast=False)
        self._spec = spec
        self._depths: list[int] | None = None
        if not is_categorical(spec):
            self._offset, self._divisor = scaling(spec)
            return
        low, high = (
            np.broadcast_to(bound, spec.shape).astype(np.int64).ravel()
            for bound in (spec.minimum, spec.maximum)
        )
        self._low = low
        self._depths = [int(b) - int(a) + 1 for a, b in zip(low, high, strict=True)]
        if max(self._depths, default=0) > _MAX_EMBEDDED:
            raise errors.ConfigError(
                f'an observation is one of {max(self._depths):,} values, and at most '
                f'{_MAX_EMBEDDED:,} can be told apart: give numbers (a Box), or fewer values'
            )
        self._embeddings = {
            str(i): tf.keras.layers.Embedding(depth, embedding_units, dtype='float32')
            for i, depth in enumerate(self._depths)
            if depth > max_one_hot
        }

    def call(self, observation: tf.Tensor) -> tf.Tensor:
        """float32 [B, F]."""
        batch_size = tf.shape(observation)[0]
        flat = tf.reshape(observation, [batch_size, int(np.prod(self._spec.shape))])
        if self._depths is None:
            numbers = tf.cast(flat, tf.float32)
            if np.any(self._offset):
                numbers -= np.float32(np.ravel(self._offset))
            if np.any(self._divisor != 1.0):
                numbers /= np.float32(np.ravel(self._divisor))
            return numbers
        # TensorFlow has no one-hot vectors of int16 and uint16.
        values = tf.cast(flat, tf.int64) - self._low  # [B, D]
        columns = []
        for i, depth in enumerate(self._depths):
            learned = self._embeddings.get(str(i))
            column = values[:, i]
            columns.append(tf.one_hot(column, depth) if learned is None else learned(column))
        return columns[0] if len(columns) == 1 else tf.concat(columns, axis=1)


class EncodeParts(tf.keras.layers.Layer):
    """The parts of an observation, encoded and joined in the order of their names: [B, F]."""

    def __init__(self, specs: Mapping[str, tf.TensorSpec], *options: int):
        """Makes the layer; `options` are those of `Encode`."""
        super().__init__(dtype='float32', autocast=False)
        self._encode = {name: Encode(specs[name], *options) for name in sorted(specs)}

    def call(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """float32 [B, F]."""
        parts = [encode(observation[name]) for name, encode in self._encode.items()]
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)
