"""A replay server, and its clients, which need its address and can run in other processes.

    server    `serve`
    spec      `table_signature`     of an item
    writer    `ReplayWriter`        appends vector steps and creates items
    dataset   `replay_dataset`      samples items
    updates   `update_priorities`   of sampled items, inside a graph

See `rows` and `blocks` for rows and items.
"""

from __future__ import annotations

import collections

import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from pipelines.experience.minibatches import TransitionShape

TABLE = 'transitions'
# With many more unconfirmed items, Reverb prints one warning after another.
ITEMS_IN_FLIGHT = 32


def table_signature(block_rows: int, row_bytes: int) -> tf.TensorSpec:
    """Returns the spec of an item: uint8 [block_rows, row_bytes]."""
    return tf.TensorSpec([block_rows, row_bytes], tf.uint8, name='rows')


def replay_dataset(
    address: str,
    signature: tf.TensorSpec,
    items_per_sample: int,
    timeout_seconds: float,
    prefetch: bool,
) -> tf.data.Dataset:
    """Returns an endless dataset of samples from the server at `address`.

    Args:
      address: address of the server.
      signature: spec of an item.
      items_per_sample: number of items in a sample.
      timeout_seconds: the dataset ends after this long without a sample.
      prefetch: whether a sample is assembled before it is requested, in addition to the one
        whose items are fetched in any case: faster, but one sample staler.

    Returns:
      A dataset of `reverb.ReplaySample`, with `data` uint8 [items_per_sample, block_rows,
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
    # By default, tf.data enlarges its buffer each time that it is found empty.
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    dataset = dataset.with_options(options)
    return dataset.prefetch(1) if prefetch else dataset


class ReplayWriter:
    """Appends vector steps to the server at `address` and creates items from them."""

    def __init__(
        self,
        address: str,
        num_envs: int,
        shape: TransitionShape,
        transitions_per_item: int,
        rows_per_chunk: int,
        timeout_seconds: float,
        filling_rows: int = 0,
    ):
        self._columns = [f'env_{i}' for i in range(num_envs)]
        self._lead_rows, self._transitions_per_item = shape.lead_rows, transitions_per_item
        self._block_rows = transitions_per_item + shape.tail_rows  # without the lead
        self._rows_per_chunk = rows_per_chunk
        self._timeout_ms = int(1000 * timeout_seconds)
        self._filling_rows = filling_rows  # before the first row, if it starts the episodes
        self.filled_rows = 0  # how many of them there are
        # A block waits until the next one has started and the chunk of its last row is complete.
        keep = shape.lead_rows + self._block_rows + transitions_per_item + rows_per_chunk
        self._writer = reverb.Client(address).trajectory_writer(num_keep_alive_refs=keep)
        for column in self._columns:
            self._writer.configure(
                (column,), num_keep_alive_refs=keep, max_chunk_length=rows_per_chunk
            )
        self._step_types: collections.deque[np.ndarray] = collections.deque(maxlen=keep)
        self._appended = 0  # vector steps
        self.created = 0  # items
        self._next_start = shape.lead_rows  # row that starts the first block not yet an item

    def append(self, rows: np.ndarray, step_type: np.ndarray, priority: float = 1.0) -> None:
        """Appends one vector step, and creates the items whose chunks are now complete.

        Args:
          rows: uint8 [num_envs, row_bytes].
          step_type: int32 [num_envs], step types of the rows.
          priority: priority of the items that are created.

        Raises:
          reverb.DeadlineExceededError: the server accepted nothing within the timeout.
        """
        if self._appended == 0 and (step_type == ts.StepType.FIRST).all():
            # The first block needs lead rows too. No stack contains these: it stops at FIRST. A
            # short block needs more of them. They start nothing: FIRST follows FIRST.
            self.filled_rows = self._filling_rows
            for _ in range(self._lead_rows + self._filling_rows):
                self._append_row(rows, step_type)
        self._append_row(rows, step_type)
        if self._appended % self._rows_per_chunk == 0:
            self._create_items(priority)
            self._wait_until_few_are_in_flight()

    def _append_row(self, rows: np.ndarray, step_type: np.ndarray) -> None:
        self._writer.append(dict(zip(self._columns, rows, strict=True)))
        self._step_types.append(step_type)
        self._appended += 1

    def gap(self, filler: np.ndarray, step_type: np.ndarray, priority: float = 1.0) -> None:
        """Makes the next row begin a new piece of every column: no item holds rows of both.

        The block in progress is filled up with rows that start nothing:

            column    ... M M M M f f f f f M M M M ...     f: filler, of type FIRST
            items      |- starts -|tail|
                                         |lead|- starts -| ...

        Args:
          filler: uint8 [num_envs, row_bytes].
          step_type: int32 [num_envs], FIRST everywhere, as in `filler`.
          priority: priority of the items that are created.
        """
        self._create_items(priority)
        newest = self._appended - 1  # it starts nothing: its next row is missing
        while self._next_start < newest:
            self._append_row(filler, step_type)
            self._create_items(priority)
        self._next_start = self._appended + self._lead_rows

    def flush(self, priority: float = 1.0) -> None:
        """Creates the items whose blocks are complete, and waits until the table has them."""
        self._create_items(priority)
        self._writer.flush(timeout_ms=self._timeout_ms)

    def _wait_until_few_are_in_flight(self) -> None:
        # A round trip to the server for each vector step would cost more than all the rest.
        self._writer.flush(ITEMS_IN_FLIGHT, timeout_ms=self._timeout_ms)

    def _create_items(self, priority: float) -> None:
        """Creates the items whose blocks are complete."""
        created = 0
        while self._next_start + self._block_rows <= self._appended:
            age = self._appended - self._next_start  # 1: the newest row
            rows_after = age - self._block_rows  # the block's last row
            block = slice(-age - self._lead_rows, -rows_after if rows_after else None)
            kinds, next_kinds = self._step_types[-age], self._step_types[1 - age]
            starts = (kinds != ts.StepType.LAST) & (next_kinds != ts.StepType.FIRST)
            history = self._writer.history
            for column, is_start in zip(self._columns, starts, strict=True):
                if self._transitions_per_item > 1 or is_start:
                    self._writer.create_item(
                        TABLE, priority=priority, trajectory=history[column][block]
                    )
                    created += 1
                    self.created += 1
                    if created % ITEMS_IN_FLIGHT == 0:
                        self._wait_until_few_are_in_flight()
            self._next_start += self._transitions_per_item

    def close(self) -> None:
        """Closes the stream."""
        self._writer.close()


def update_priorities(address: str, keys: tf.Tensor, priorities: tf.Tensor) -> tf.Tensor:
    """Sets the priorities of items, in one call to the server, inside a `tf.function`.

    Args:
      address: address of the server.
      keys: uint64 [N], the items' `info.key` in samples; of a repeated key the last priority
        counts, and keys that have left the table are ignored.
      priorities: float [N].

    Returns:
      The highest of them, float64 [].
    """
    client = reverb.TFClient(address)  # its resource lives as long as the graph that it is made in
    priorities = tf.cast(priorities, tf.float64)
    with tf.control_dependencies([client.update_priorities(TABLE, keys, priorities)]):
        return tf.reduce_max(priorities)
