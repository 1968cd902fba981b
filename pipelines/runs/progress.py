"""Reports a run while it lasts: progress.csv, TensorBoard, a live line."""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import tqdm

from pipelines.protocols import Metrics
from pipelines.runs.csv_log import CsvLog, Mark, short
from pipelines.runs.events import Events


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

    csv: list[Mark]  # of progress.csv; rows written after the checkpoint are cut off
    maxima: dict[str, float]


class Progress:
    """Gathers the metrics of turns, and writes them row by row."""

    def __init__(
        self,
        directory: pathlib.Path,
        events: Events,
        metrics: Sequence[str],
        gauges: Mapping[str, Callable[[], Any]],
        evaluation_columns: Sequence[str] = (),
    ):
        """Prepares; call `restore` (if there is a checkpoint) and `open` before the first row.

        Args:
          directory: directory of the run.
          events: its event file, opened before `open` is called.
          metrics: names of a turn's metrics; a row has the mean since the last row, or the
            maximum if the name begins with 'max_'.
          gauges: further columns, read when a row is written.
          evaluation_columns: further columns, filled when an evaluation was made.
        """
        self._metric_names, self._gauges = tuple(metrics), dict(gauges)
        self._columns = columns((*metrics, *gauges, *evaluation_columns))
        self._csv, self._events = CsvLog(directory / 'progress.csv', self._columns), events
        self._turns: list[Metrics] = []
        self.maxima = {name: 0.0 for name in metrics if name.startswith('max_')}

    def state(self) -> State:
        """Syncs the rows so far to disk; returns what `restore` needs."""
        return State(csv=self._csv.state(), maxima=self.maxima)

    def restore(self, state: State) -> None:
        """Goes back to `state`; `open` then cuts the file there."""
        self._csv.restore(state['csv'])
        self.maxima = state['maxima']

    def open(self, limits: Mapping[str, int], start: Mapping[str, int]) -> None:
        """Opens the file, and adds the rows that it keeps to the event file.

        Args:
          limits: where the run will end, by the columns that say how far it is: 'env_steps',
            'episodes' or both, of which the first is shown.
          start: where the run is now, by the same columns.
        """
        for row in self._csv.open():
            self._add_to_events(row)
        self._limits, self._start, self._opened = dict(limits), start, time.perf_counter()
        self._unit = next(iter(limits))
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm.tqdm(
                total=limits[self._unit], initial=start[self._unit], unit=f' {self._unit}',
                leave=False,
            )  # fmt: skip

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
        self._csv.add(full)
        self._csv.flush()
        self._add_to_events(full)
        self._show(full)

    def _add_to_events(self, row: Mapping[str, Any]) -> None:
        scalars = {
            _TENSORBOARD_NAMES.get(name, name): float(value)
            for name, value in row.items()
            if name not in ('env_steps', 'wall_seconds') and value != ''
        }
        self._events.add(int(row['env_steps']), scalars)

    def _show(self, row: Mapping[str, Any]) -> None:
        words = [
            f'{label} {short(row[name]) or "-"}'
            for name, label in (('return_mean_100', 'return'), ('loss', 'loss'))
        ]
        if 'epsilon' in row:
            words.append(f'epsilon {short(row["epsilon"])}')
        if row['eval_return_mean'] != '':
            words.append(f'eval {short(row["eval_return_mean"])}')
        count = row[self._unit]
        if self._bar is not None:
            self._bar.set_postfix_str(', '.join(words), refresh=False)
            self._bar.update(count - self._bar.n)
            return
        if count > self._start[self._unit]:  # else nothing has been done yet
            words.append(f'{row["env_steps_per_second"]:,.0f} steps/s')
            words.append(f'{self._seconds_left(row):.0f} s left')
        print(f'{count:>9,} {self._unit.replace("_", " ")}: ' + ', '.join(words), flush=True)

    def _seconds_left(self, row: Mapping[str, Any]) -> float:
        """Until the first of the limits, at the pace so far."""
        seconds = time.perf_counter() - self._opened
        return min(
            max(0, limit - row[unit]) * seconds / max(1, row[unit] - self._start[unit])
            for unit, limit in self._limits.items()
        )

    def close(self) -> None:
        """Syncs and closes the file, and ends the live line."""
        self._csv.close()
        if self._bar is not None:
            self._bar.close()
