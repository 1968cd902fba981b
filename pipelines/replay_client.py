"""What speaks to a replay server from an address: collectors and learners may live elsewhere.

    spec      `table_signature`     what an item looks like
    writer    `ReplayWriter`        vector steps in, items out
    dataset   `replay_dataset`      samples of items
    updates   `update_priorities`   of sampled items, from inside a graph

See `replay` for what rows and items are.
"""

from __future__ import annotations

import collections

import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

TABLE = 'transitions'
# Reverb warns, line after line, where many more are unconfirmed.
_ITEMS_IN_FLIGHT = 32


def table_signature(block_rows: int, row_bytes: int) -> tf.TensorSpec:
    """The spec of an item: uint8 [block_rows, row_bytes]."""
    return tf.TensorSpec([block_rows, row_bytes], tf.uint8, name='rows')


def replay_dataset(
    address: str,
    signature: tf.TensorSpec,
    items_per_sample: int,
    timeout_seconds: float,
    prefetch: bool,
) -> tf.data.Dataset:
    """Endless samples of `items_per_sample` items each, from the server at `address`.

    Args:
      address: of the server.
      signature: of its items.
      items_per_sample: in one element.
      timeout_seconds: it ends where nothing can be sampled for so long.
      prefetch: whether a sample is put together before it is asked for, beside the one whose
        items are fetched in any case: faster, and one sample staler.

    Returns:
      A dataset of `reverb.ReplaySample`, `data` uint8 [items_per_sample, block_rows,
      row_bytes].
    """
    dataset = reverb.TrajectoryDataset(
        server_address=address,
        table=TABLE,
        dtypes=signature.dtype,
        shapes=signature.shape,
        max_in_flight_samples_per_worker=items_per_sample,
        num_workers_per_iterator=1,
        rate_limiter_timeout_ms=int(1000 * timeout_seconds),
    )
    dataset = dataset.batch(items_per_sample, drop_remainder=True)
    # Left to itself, tf.data fetches more and more ahead each time that it is found empty.
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    dataset = dataset.with_options(options)
    return dataset.prefetch(1) if prefetch else dataset


class ReplayWriter:
    """Appends vector steps and makes items of them, on the server at `address`."""

    def __init__(
        self,
        address: str,
        num_envs: int,
        lead_rows: int,
        transitions_per_item: int,
        tail_rows: int,
        rows_per_chunk: int,
        timeout_seconds: float,
    ):
        self._columns = [f'env_{i}' for i in range(num_envs)]
        self._lead, self._starts = lead_rows, transitions_per_item
        self._block = transitions_per_item + tail_rows
        self._rows_per_chunk = rows_per_chunk
        self._timeout_ms = int(1000 * timeout_seconds)
        # A block waits for the next one's start and for the chunk of its last row.
        keep = lead_rows + self._block + transitions_per_item + rows_per_chunk
        self._writer = reverb.Client(address).trajectory_writer(num_keep_alive_refs=keep)
        for column in self._columns:
            self._writer.configure(
                (column,), num_keep_alive_refs=keep, max_chunk_length=rows_per_chunk
            )
        self._step_types: collections.deque[np.ndarray] = collections.deque(maxlen=keep)
        self._appended = 0  # vector steps
        self._next_start = lead_rows  # of the first block that is no item yet

    def append(self, rows: np.ndarray, step_type: np.ndarray, priority: float = 1.0) -> None:
        """Appends one vector step, and creates the items whose chunks are now whole.

        Args:
          rows: uint8 [num_envs, row_bytes].
          step_type: int32 [num_envs], the rows' own.
          priority: of the items that become whole now.

        Raises:
          reverb.DeadlineExceededError: the server takes nothing.
        """
        if self._appended == 0 and (step_type == ts.StepType.FIRST).all():
            # Nothing was before: these lead rows are in no stack, which FIRST rows bound.
            for _ in range(self._lead):
                self._append_row(rows, step_type)
        self._append_row(rows, step_type)
        if self._appended % self._rows_per_chunk == 0:
            self.flush(priority)

    def _append_row(self, rows, step_type):
        self._writer.append(dict(zip(self._columns, rows, strict=True)))
        self._step_types.append(step_type)
        self._appended += 1

    def flush(self, priority: float = 1.0) -> None:
        """Creates the items whose blocks are whole, and waits until the table has them."""
        created = 0
        while self._next_start + self._block <= self._appended:
            age = self._appended - self._next_start  # 1: the newest row
            block = slice(-age - self._lead, self._block - age or None)
            kinds, next_kinds = self._step_types[-age], self._step_types[1 - age]
            starts = (kinds != ts.StepType.LAST) & (next_kinds != ts.StepType.FIRST)
            history = self._writer.history
            for column, is_start in zip(self._columns, starts, strict=True):
                if self._starts > 1 or is_start:
                    self._writer.create_item(
                        TABLE, priority=priority, trajectory=history[column][block]
                    )
                    created += 1
                    if created % _ITEMS_IN_FLIGHT == 0:
                        self._writer.flush(timeout_ms=self._timeout_ms)
            self._next_start += self._starts
        if created:
            self._writer.flush(timeout_ms=self._timeout_ms)

    def close(self) -> None:
        """Closes the stream."""
        self._writer.close()


def update_priorities(address: str, keys: tf.Tensor, priorities: tf.Tensor) -> tf.Tensor:
    """Gives items new priorities, in one call to the server; for the inside of a `tf.function`.

    Args:
      address: of the server.
      keys: uint64 [N], `info.key` of their samples; of one that comes twice the last counts,
        and one that has left the table is passed over.
      priorities: float [N].

    Returns:
      The highest of them.
    """
    client = reverb.TFClient(address)  # an operation of the graph: made outside it would not last
    priorities = tf.cast(priorities, tf.float64)
    with tf.control_dependencies([client.update_priorities(TABLE, keys, priorities)]):
        return tf.reduce_max(priorities)
