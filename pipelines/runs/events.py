"""TensorBoard's event file of a run.

`tf.summary.scalar` takes half a millisecond for each value, which runs of many short episodes
would notice; TensorFlow's writer of records takes a few microseconds for the same event.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import time
from collections.abc import Mapping

import tensorflow as tf


class Events:
    """Writes scalars; every start of a run begins a new file, as such files cannot be cut."""

    def __init__(self, directory: pathlib.Path):
        """Prepares; call `open` before the first scalars."""
        self._directory = directory

    def open(self) -> None:
        """Deletes what an earlier start left and begins a file; what was kept is added again."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        now = time.time()
        name = f'events.out.tfevents.{now:010.0f}.{socket.gethostname()}.{os.getpid()}.0.v2'
        self._writer = tf.io.TFRecordWriter(str(self._directory / name))
        self._write(tf.compat.v1.Event(wall_time=now, file_version='brain.Event:2'))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds scalars by name at `step`; they may stay in memory until `flush`."""
        summary = tf.compat.v1.Summary()
        for name, value in scalars.items():
            summary.value.add(tag=name, simple_value=value)
        self._write(tf.compat.v1.Event(wall_time=time.time(), step=step, summary=summary))

    def _write(self, event: tf.compat.v1.Event) -> None:
        self._writer.write(event.SerializeToString())

    def flush(self) -> None:
        """Makes the scalars so far visible to TensorBoard."""
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
