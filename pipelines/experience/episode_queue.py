"""A queue of whole episodes in Reverb, each used exactly once, for policy gradients.

An item holds the rows of one episode (see `rows`). It is inserted after the episode has ended
and removed when it is sampled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import reverb
import tensorflow as tf

from pipelines.errors import UserError
from pipelines.experience import guard
from pipelines.experience.rows import RowCodec
from pipelines.native_noise import quiet_native_stderr

_TABLE = 'episodes'


class EpisodeQueue:
    """Server, writer and dataset in one object; use it as a context manager."""

    def __init__(self, row_spec: Any, episodes_per_batch: int, stall_timeout_seconds: float = 60.0):
        """Prepares the queue; entering it starts the server.

        Args:
          row_spec: a `Trajectory` of tensor specs for one time step.
          episodes_per_batch: number of episodes in a batch.
          stall_timeout_seconds: `put` fails after this long without progress.
        """
        self.codec = RowCodec(row_spec)
        self._episodes_per_batch = episodes_per_batch
        self._timeout_seconds = stall_timeout_seconds
        self._newest = np.zeros([0, self.codec.row_bytes], np.uint8)
        self._waiting = 0  # episodes inserted and not yet taken
        self._put = 0  # episodes inserted since the queue was entered

    @property
    def description(self) -> str:
        """One line about what an update uses."""
        return f'{self._episodes_per_batch} whole episodes per update, each used once'

    def __enter__(self) -> EpisodeQueue:
        table = reverb.Table.queue(
            _TABLE,
            max_size=2 * self._episodes_per_batch,
            signature=tf.TensorSpec([1], tf.string, 'rows'),
        )
        with quiet_native_stderr():
            self._server = reverb.Server([table], checkpointer=guard.NoCheckpoints())
            self._table = table
            self._writer = reverb.Client(self._address).trajectory_writer(num_keep_alive_refs=1)
        return self

    def __exit__(self, *exc_info: object) -> None:
        with quiet_native_stderr(), contextlib.suppress(RuntimeError):
            self._writer.close()
        with quiet_native_stderr():
            self._server.stop()

    @property
    def _address(self) -> str:
        return f'localhost:{self._server.port}'

    def put(self, episodes: Sequence[np.ndarray]) -> None:
        """Inserts whole episodes, each uint8 [rows, row_bytes] with its LAST row.

        Raises:
          UserError: the server accepted nothing within the timeout, or another program has changed
            what the queue holds.
        """
        for rows in episodes:
            # The tensors of a column must have one shape. Episodes vary in length, so each
            # becomes a string, which is a scalar.
            self._writer.append({'rows': np.array(rows.tobytes(), object)})
            self._writer.create_item(_TABLE, 1.0, self._writer.history['rows'][-1:])
        try:
            self._writer.flush(timeout_ms=int(1000 * self._timeout_seconds))
        except reverb.DeadlineExceededError as e:
            raise UserError(
                f'episode queue: accepted nothing for {self._timeout_seconds:g} s and holds '
                f'{self._table.info.current_size} episodes; look for a learner that has died'
            ) from e
        self._newest = episodes[-1]
        self._waiting += len(episodes)
        self._put += len(episodes)
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        guard.check_table(self._table, self._server.port, self._put)

    def take(self) -> None:
        """Announces that a batch will be taken from `batches`.

        Raises:
          UserError: the batch is not in the queue, so the iterator would wait for ever; or another
            program has changed what the queue holds.
        """
        if self._waiting < self._episodes_per_batch:
            raise UserError(
                f'episode queue: a batch needs {self._episodes_per_batch} episodes and '
                f'{self._waiting} were put in: collect first'
            )
        self._check_unchanged()  # or the iterator would wait for what another program has taken
        self._waiting -= self._episodes_per_batch

    def batches(self) -> Iterator:
        """Returns an endless iterator of uint8 [episodes_per_batch, most rows, row_bytes].

        Shorter episodes are padded with zeros. The iterator waits without a timeout, because
        collecting and evaluating may take long. Call `take` before each batch: it fails if
        waiting would be in vain.
        """
        row_bytes = self.codec.row_bytes
        with quiet_native_stderr():
            dataset = reverb.TrajectoryDataset(
                server_address=self._address,
                table=_TABLE,
                dtypes=tf.string,
                shapes=tf.TensorShape([1]),
                max_in_flight_samples_per_worker=self._episodes_per_batch,
                num_workers_per_iterator=1,
            )
            dataset = dataset.map(
                lambda sample: tf.reshape(
                    tf.io.decode_raw(sample.data[0], tf.uint8), [-1, row_bytes]
                )
            )
            return iter(
                dataset.padded_batch(
                    self._episodes_per_batch, [None, row_bytes], drop_remainder=True
                )
            )

    # The protocol `Experience`. Episodes are used at once, so nothing is kept on disk.

    def state(self) -> None:
        """Returns None: nothing is saved."""

    def restore(self, state: None) -> None:
        """Does nothing: a run always starts with an empty queue."""

    def prune(self, state: None) -> None:
        """Does nothing: nothing is on disk."""

    @property
    def contents(self) -> str:
        """Empty: the queue has nothing to report."""
        return ''

    def newest_observations(self, count: int) -> Any:
        """Returns observations of the newest episode, arrays [count, ...] or fewer."""
        rows = self.codec.decode(tf.constant(self._newest[-count:]))
        return tf.nest.map_structure(lambda t: t.numpy(), rows.observation)
