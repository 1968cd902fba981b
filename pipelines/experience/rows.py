"""One time step as one row of bytes: the same bytes on disk, in Reverb and in a batch.

A row is the concatenation of its leaves in their own dtypes, so nothing is rounded or widened.
A row of CartPole has 40 bytes:

    step_type  observation    action     next_step_type  reward    discount
    int32      float32 [4]    int64      int32           float32   float32
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec


class RowCodec:
    """Packs nests that match `spec` into uint8 rows, and unpacks them inside a graph."""

    def __init__(self, spec: Any):
        """`spec`: a nest of `tf.TensorSpec` for one time step, without batch dimensions."""
        self._spec = spec
        self._leaves = tf.nest.flatten(spec)
        self._names = [str(i) for i in range(len(self._leaves))]
        self._dtype = np.dtype(
            [
                (name, leaf.dtype.as_numpy_dtype, tuple(leaf.shape))
                for name, leaf in zip(self._names, self._leaves, strict=True)
            ]
        )

    @property
    def row_bytes(self) -> int:
        """Number of bytes in a row."""
        return self._dtype.itemsize

    @property
    def described(self) -> dict[str, Any]:
        """What a row holds, as JSON values: {'observation': 'float32 [4]', ...}."""
        words = tf.nest.map_structure(_words, self._spec)
        return json.loads(json.dumps(words._asdict(), default=dict))

    @property
    def frame_bytes(self) -> int:
        """Number of bytes of a row that are pictures (uint8 with two or more dimensions)."""
        return sum(
            int(np.prod(leaf.shape))
            for leaf in self._leaves
            if leaf.dtype == tf.uint8 and leaf.shape.rank >= 2
        )

    def encode(self, nest: Any) -> np.ndarray:
        """Packs a nest of arrays [N, ...] into uint8 [N, row_bytes]."""
        leaves = tf.nest.flatten(nest)
        rows = np.empty(len(leaves[0]), self._dtype)
        for name, leaf in zip(self._names, leaves, strict=True):
            rows[name] = leaf
        return rows.view(np.uint8).reshape(len(rows), -1)

    def leaf(self, rows: np.ndarray, index: int) -> np.ndarray:
        """Reads the leaf number `index`, [N, *leaf shape], from uint8 [N, row_bytes], in NumPy."""
        return rows.view(self._dtype)[self._names[index]][:, 0]

    def decode(self, rows: tf.Tensor) -> Any:
        """Unpacks uint8 [..., row_bytes] into a nest of tensors [..., *leaf shape]."""
        outer = tf.shape(rows)[:-1]
        tensors, start = [], 0
        for leaf in self._leaves:
            count, size = int(np.prod(leaf.shape)), leaf.dtype.size
            raw = rows[..., start : start + count * size]
            start += count * size
            tensor = self._reinterpret(raw, outer, count, size, leaf.dtype)
            tensor = tf.reshape(tensor, tf.concat([outer, leaf.shape], axis=0))
            tensors.append(tf.ensure_shape(tensor, rows.shape[:-1] + leaf.shape))
        return tf.nest.pack_sequence_as(self._spec, tensors)

    @staticmethod
    def _reinterpret(
        raw: tf.Tensor, outer: tf.Tensor, count: int, size: int, dtype: tf.DType
    ) -> tf.Tensor:
        if dtype == tf.bool:
            return tf.cast(raw, tf.bool)
        if size > 1:  # bitcast folds a last dimension of `size` bytes into one value
            raw = tf.reshape(raw, tf.concat([outer, [count, size]], axis=0))
        return tf.bitcast(raw, dtype)


def _words(leaf: tf.TensorSpec) -> str:
    """'float32 [4]', or with the values that an integer may have: 'int64 [], 0 to 1'."""
    words = f'{leaf.dtype.name} {leaf.shape.as_list()}'
    if not (leaf.dtype.is_integer and tensor_spec.is_bounded(leaf)):
        return words
    low, high = (np.unique(bound).tolist() for bound in (leaf.minimum, leaf.maximum))
    if len(low) == len(high) == 1:
        return f'{words}, {low[0]} to {high[0]}'
    return f'{words}, {np.asarray(leaf.minimum).tolist()} to {np.asarray(leaf.maximum).tolist()}'
