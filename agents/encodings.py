"""Observations as float32 features: what each kind of number counts as.

    one integer (Discrete)           one-hot; an embedding where there are more than 1 000 values
    categories (MultiDiscrete)       a one-hot vector for each element
    other integers and bools         from 0 to 1 between their bounds, if those are near enough
    floats                           as they are

A spec is of categories if that is its name (see `envs.spaces`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

MAX_ONE_HOT = 1_000  # values of one integer; more are embedded
_EMBEDDING_UNITS = 64
_MAX_SCALED = 2**16  # integers with bounds further apart stay as they are


def bounds(spec: tf.TensorSpec) -> tuple[np.ndarray, np.ndarray] | None:
    """The smallest and largest value of each element, or None where one of them is infinite."""
    if spec.dtype == tf.bool:
        return np.zeros(spec.shape), np.ones(spec.shape)
    low, high = getattr(spec, 'minimum', None), getattr(spec, 'maximum', None)
    if low is None or high is None:
        return None
    low, high = (np.broadcast_to(bound, spec.shape).astype(np.float64) for bound in (low, high))
    return (low, high) if np.isfinite(low).all() and np.isfinite(high).all() else None


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
    if np.max(span, initial=0) > _MAX_SCALED:
        return 0.0, 1.0
    return low, np.where(span == 0, 1.0, span)


class Encode(tf.keras.layers.Layer):
    """An observation that is one array [B, ...], as float32 features [B, F]."""

    def __init__(self, spec: tf.TensorSpec):
        super().__init__(dtype='float32', autocast=False)
        self._spec = spec
        self._embedding = None
        self._depths: np.ndarray | None = None
        is_one = spec.dtype.is_integer and spec.shape.rank == 0
        if is_one or spec.name == 'categories':
            low, high = bounds(spec) or (0, 0)
            self._low = np.atleast_1d(low).astype(np.int64)
            self._depths = (np.atleast_1d(high) - self._low + 1).astype(np.int64)
            if is_one and self._depths[0] > MAX_ONE_HOT:
                self._embedding = tf.keras.layers.Embedding(
                    int(self._depths[0]), _EMBEDDING_UNITS, dtype='float32'
                )
        else:
            self._offset, self._divisor = scaling(spec)

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
        if self._embedding is not None:
            return self._embedding(values[:, 0])
        columns = [tf.one_hot(values[:, i], int(depth)) for i, depth in enumerate(self._depths)]
        return columns[0] if len(columns) == 1 else tf.concat(columns, axis=1)


class EncodeParts(tf.keras.layers.Layer):
    """The parts of an observation, encoded and joined in the order of their names: [B, F]."""

    def __init__(self, specs: Mapping[str, tf.TensorSpec]):
        super().__init__(dtype='float32', autocast=False)
        self._encode = {name: Encode(specs[name]) for name in sorted(specs)}

    def call(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """float32 [B, F]."""
        parts = [encode(observation[name]) for name, encode in self._encode.items()]
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)
