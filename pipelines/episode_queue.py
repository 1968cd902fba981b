"""Whole episodes through Reverb, each used exactly once: what policy gradients train on.

The table is a queue: an item is one episode's rows (see `row_codec`), put in when the
episode has ended and gone once it has been sampled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import reverb
import tensorflow as tf

from pipelines import cli
from pipelines.cli import UserError
from pipelines.row_codec import RowCodec

_TABLE = 'episodes'


class EpisodeQueue:
    """Server, writer and dataset in one object; use it as a context manager."""

    def __init__(self, row_spec, episodes_per_batch: int, stall_timeout_seconds: float = 60.0):
        """Plans the queue; `with` starts it.

        Args:
          row_spec: a `Trajectory` of tensor specs for one time step.
          episodes_per_batch: how many episodes a batch of `batches` holds.
          stall_timeout_seconds: without progress for so long, `put` fails.
        """
        self.codec = RowCodec(row_spec)
        self._episodes_per_batch = episodes_per_batch
        self._timeout_seconds = stall_timeout_seconds
        self._newest = np.zeros([0, self.codec.row_bytes], np.uint8)
        self._waiting = 0  # episodes put in and not yet taken

    @property
    def description(self) -> str:
        """One line: what an update is made from."""
        return f'{self._episodes_per_batch} whole episodes per update, each used once'

    def __enter__(self) -> EpisodeQueue:
        table = reverb.Table.queue(
            _TABLE,
            max_size=2 * self._episodes_per_batch,
            signature=tf.TensorSpec([1], tf.string, 'rows'),
        )
        with cli.quiet_native_stderr():
            self._server = reverb.Server([table])
            self._table = table
            self._writer = reverb.Client(self._address).trajectory_writer(num_keep_alive_refs=1)
        return self

    def __exit__(self, *exc_info) -> None:
        with cli.quiet_native_stderr(), contextlib.suppress(RuntimeError):
            self._writer.close()
        with cli.quiet_native_stderr():
            self._server.stop()

    @property
    def _address(self) -> str:
        return f'localhost:{self._server.port}'

    def put(self, episodes: Sequence[np.ndarray]) -> None:
        """Puts in whole episodes: uint8 [rows, row_bytes] each, the LAST row included.

        Raises:
          UserError: the server takes nothing.
        """
        for rows in episodes:
            # A column's tensors must all have one shape: a string's length is no shape.
            self._writer.append({'rows': np.array(rows.tobytes(), object)})
            self._writer.create_item(_TABLE, 1.0, self._writer.history['rows'][-1:])
        try:
            self._writer.flush(timeout_ms=int(1000 * self._timeout_seconds))
        except reverb.DeadlineExceededError as e:
            raise UserError(
                f'episode queue: it took nothing for {self._timeout_seconds:g} s and holds '
                f'{self._table.info.current_size} episodes; look for a learner that has died'
            ) from e
        self._newest = episodes[-1]
        self._waiting += len(episodes)

    def take(self) -> None:
        """Notes that a batch is about to be taken from `batches`.

        Raises:
          UserError: it has not been put in, and the iterator would wait for ever.
        """
        if self._waiting < self._episodes_per_batch:
            raise UserError(
                f'episode queue: a batch needs {self._episodes_per_batch} episodes and '
                f'{self._waiting} were put in: collect first'
            )
        self._waiting -= self._episodes_per_batch

    def batches(self) -> Iterator:
        """An endless iterator of uint8 [episodes_per_batch, most rows, row_bytes].

        Shorter episodes are padded with zeros. It waits for as long as it takes (collecting
        and evaluating may take long); `take` sees to it that there is something to wait for.
        """
        row_bytes = self.codec.row_bytes
        with cli.quiet_native_stderr():
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

    # What a session asks of experience. Episodes are used at once: nothing is kept on disk.

    def sync(self) -> None:
        """The position for a checkpoint to keep: there is none."""

    def restore(self, position: None) -> None:
        """Goes back to an empty queue."""

    def prune(self, position: None) -> None:
        """Nothing to delete."""

    def what_is_left(self) -> str:
        """After a restore, for a sentence."""
        return ''

    def newest_observations(self, count: int) -> np.ndarray:
        """[count, ...] or fewer, of the newest episode; none where none was put in."""
        return self.codec.decode(tf.constant(self._newest[-count:])).observation.numpy()
