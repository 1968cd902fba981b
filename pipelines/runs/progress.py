"""Reports a run while it lasts: progress.csv, TensorBoard, a live line."""

from __future__ import annotations

import csv
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO, TypedDict

import numpy as np
import tensorflow as tf
import tqdm

from pipelines.protocols import Metrics


def columns(more: Sequence[str]) -> tuple[str, ...]:
    """Returns the columns of progress.csv: those of every run, and `more`."""
    return (
        'env_steps',
        'train_steps',
        'episodes',
        'return_mean_100',  # of the last 100 training episodes, raw reward
        'eval_return_mean',  # of the policy without exploration; empty if none was made
        *more,
        'env_steps_per_second',
        'wall_seconds',
    )


_TENSORBOARD_NAMES = {
    'return_mean_100': 'reward',
    'loss': 'avg loss',
    'eval_return_mean': 'evaluation reward',
}


class Cadence:
    """Says when a count has reached another multiple of `interval`."""

    def __init__(self, interval: int, start: int = 0):
        self._interval, self._passed = interval, start // interval

    @property
    def next_due(self) -> int:
        """The next multiple."""
        return (self._passed + 1) * self._interval

    def due(self, count: int) -> bool:
        """Whether `count` has reached another multiple since the last call."""
        if count // self._interval == self._passed:
            return False
        self._passed = count // self._interval
        return True


class State(TypedDict):
    """What a checkpoint records."""

    num_bytes: int  # of progress.csv; rows written after the checkpoint are cut off
    maxima: dict[str, float]


class Progress:
    """Gathers the metrics of turns, and writes them row by row."""

    def __init__(
        self,
        directory: pathlib.Path,
        metrics: Sequence[str],
        gauges: Mapping[str, Callable[[], Any]],
        evaluation_columns: Sequence[str] = (),
    ):
        """Prepares; call `restore` (if there is a checkpoint) and `open` before the first row.

        Args:
          directory: directory of the run.
          metrics: names of a turn's metrics; a row has the mean since the last row, or the
            maximum if the name begins with 'max_'.
          gauges: further columns, read when a row is written.
          evaluation_columns: further columns, filled when an evaluation was made.
        """
        self.path = directory / 'progress.csv'
        self._metric_names, self._gauges = tuple(metrics), dict(gauges)
        self._columns = columns((*metrics, *gauges, *evaluation_columns))
        self._turns: list[Metrics] = []
        self._num_bytes = 0
        self.maxima = {name: 0.0 for name in metrics if name.startswith('max_')}

    def state(self) -> State:
        """Syncs the rows so far to disk; returns what `restore` needs."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._tensorboard.flush()
        return State(num_bytes=self._file.tell(), maxima=self.maxima)

    def restore(self, state: State) -> None:
        """Goes back to `state`; `open` then cuts the file there."""
        self._num_bytes, self.maxima = state['num_bytes'], state['maxima']

    def open(self, unit: str, length: int, start: int) -> None:
        """Opens the files.

        Args:
          unit: column that measures progress: 'env_steps' or 'episodes'.
          length: where the run will end, in that unit.
          start: where the run is now, in that unit.
        """
        kept = self._open_csv()
        # Event files cannot be cut, so the kept rows are written again.
        directory = self.path.parent / 'tensorboard'
        shutil.rmtree(directory, ignore_errors=True)
        self._tensorboard = tf.summary.create_file_writer(str(directory))
        for row in kept:
            self._add_to_tensorboard(row)
        self._unit, self._length = unit, length
        self._opened = (start, time.perf_counter())
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm.tqdm(total=length, initial=start, unit=f' {unit}', leave=False)

    def _open_csv(self) -> list[dict[str, str]]:
        """Cuts the file to its length at the checkpoint; returns its rows."""
        self._file = self._open_file()
        self._file.truncate(min(self._num_bytes, self.path.stat().st_size))
        self._file.seek(0)
        kept = _rows(self._file, self._columns) if self._num_bytes else []
        if kept is None:
            damaged = self.path.with_suffix('.csv.damaged')
            print(f'{self.path} is damaged: it is {damaged.name} now, and a new file starts here')
            self._file.close()
            os.replace(self.path, damaged)
            self._file = self._open_file()
            kept, self._num_bytes = [], 0
        self._file.seek(0, os.SEEK_END)
        self._csv = csv.DictWriter(self._file, self._columns)
        if self._num_bytes == 0:
            self._csv.writeheader()
        return kept

    def _open_file(self) -> TextIO:
        return open(self.path, 'a+', newline='')

    def gather(self, metrics: Metrics) -> None:
        """Takes the metrics of one turn."""
        self._turns.append(metrics)
        for name, value in self.maxima.items():
            self.maxima[name] = max(value, metrics[name])

    def add(self, row: Mapping[str, Any]) -> None:
        """Writes a row: the given values, and the metrics gathered since the last row."""
        turns, self._turns = self._turns, []
        full: dict[str, Any] = dict.fromkeys(self._columns, '')
        for name in self._metric_names:
            if values := [turn[name] for turn in turns]:
                full[name] = float(np.max(values) if name in self.maxima else np.mean(values))
        full |= {name: float(gauge()) for name, gauge in self._gauges.items()}
        full |= row
        self._csv.writerow({k: _short(v) for k, v in full.items()})
        self._file.flush()
        self._add_to_tensorboard(full)
        self._show(full)

    def _add_to_tensorboard(self, row: Mapping[str, Any]) -> None:
        with self._tensorboard.as_default(step=int(row['env_steps'])):
            for name, value in row.items():
                if name not in ('env_steps', 'wall_seconds') and value != '':
                    tf.summary.scalar(_TENSORBOARD_NAMES.get(name, name), float(value))

    def _show(self, row: Mapping[str, Any]) -> None:
        words = [
            f'{label} {_short(row[name]) or "-"}'
            for name, label in (('return_mean_100', 'return'), ('loss', 'loss'))
        ]
        if 'epsilon' in row:
            words.append(f'epsilon {_short(row["epsilon"])}')
        if row['eval_return_mean'] != '':
            words.append(f'eval {_short(row["eval_return_mean"])}')
        count = row[self._unit]
        if self._bar is not None:
            self._bar.set_postfix_str(', '.join(words), refresh=False)
            self._bar.update(count - self._bar.n)
            return
        start, began = self._opened
        seconds_each = (time.perf_counter() - began) / max(1, count - start)
        words.append(f'{row["env_steps_per_second"]:,.0f} steps/s')
        words.append(f'{max(0, self._length - count) * seconds_each:.0f} s left')
        print(f'{count:>9,} {self._unit.replace("_", " ")}: ' + ', '.join(words), flush=True)

    def close(self) -> None:
        """Closes the files and the live line."""
        self.state()
        self._file.close()
        self._tensorboard.close()
        if self._bar is not None:
            self._bar.close()


def _rows(file: TextIO, column_names: Sequence[str]) -> list[dict[str, str]] | None:
    """Returns the rows of progress.csv; None if this run cannot have written them."""
    reader = csv.DictReader(file)
    try:
        rows = list(reader)
        for row in rows:
            int(row['env_steps'])
            [float(value) for value in row.values() if value != '']
    except (csv.Error, KeyError, TypeError, ValueError):
        return None
    return rows if reader.fieldnames == list(column_names) else None


def _short(value: Any) -> str:
    return f'{value:.6g}' if isinstance(value, float) else str(value)
