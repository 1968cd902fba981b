"""The runs of an experiment, finished or not, read back episode by episode."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.comparison.experiment import Run
from pipelines.errors import UserError
from pipelines.runs.summary import Summary

Columns = Mapping[str, np.ndarray]  # by name: float64 [rows], NaN where a row has nothing


@dataclasses.dataclass(frozen=True)
class Training:
    """One run's training episodes."""

    seed: int
    path: pathlib.Path
    summary: Summary | None  # None: the run is not finished
    episodes: Columns  # of episodes.csv

    @property
    def num_episodes(self) -> int:
        """How many training episodes have ended."""
        return len(self.episodes['episode'])

    def progress(self) -> Columns:
        """The columns of progress.csv."""
        return read_columns(self.path / 'progress.csv')


@dataclasses.dataclass(frozen=True)
class Cell:
    """The runs of one agent in one environment: finished ones, or else those that have begun."""

    environment: str
    agent: str
    runs: tuple[Training, ...]  # by seed; each has an episode at least

    @property
    def is_finished(self) -> bool:
        """Whether these are finished runs."""
        return all(run.summary for run in self.runs)

    @property
    def num_episodes(self) -> int:
        """How many episodes every run has."""
        return min(run.num_episodes for run in self.runs)

    def matrix(self, column: str) -> np.ndarray:
        """The column of every run, [seeds, episodes], as far as all of them go."""
        return np.array([run.episodes[column][: self.num_episodes] for run in self.runs])

    def window(self, column: str, first: int, last: int) -> np.ndarray | None:
        """Each run's mean over the episodes `first` to `last`, counted from 1: [seeds, 1].

        None if a run has not come so far.
        """
        if self.num_episodes < last:
            return None
        return self.matrix(column)[:, first - 1 : last].mean(axis=1, keepdims=True)

    def last(self, column: str, count: int = 100) -> np.ndarray:
        """Each run's mean over its last episodes, at most `count`: [seeds, 1]."""
        return np.array([[run.episodes[column][-count:].mean()] for run in self.runs])


def read(runs: Sequence[Run]) -> list[Cell]:
    """Every cell with runs that can be shown, in the order of the experiment."""
    found: dict[tuple[str, str], list[Training]] = {}
    for run in runs:
        if not has_episodes(run):
            continue
        summary = Summary.read(run.path / 'summary.json') if run.is_finished else None
        training = Training(run.seed, run.path, summary, read_columns(_episodes_csv(run)))
        if training.episodes and training.num_episodes:
            found.setdefault((run.environment, run.agent), []).append(training)
    cells = []
    for (environment, agent), begun in found.items():
        finished = [training for training in begun if training.summary]
        chosen = sorted(finished or begun, key=lambda training: training.seed)
        cells.append(Cell(environment, agent, tuple(chosen)))
    return cells


def has_episodes(run: Run) -> bool:
    """Whether the run has kept its training episodes."""
    return _episodes_csv(run).exists()


def _episodes_csv(run: Run) -> pathlib.Path:
    return run.path / 'episodes.csv'


def read_columns(path: pathlib.Path) -> Columns:
    """The columns of a CSV file of numbers; a last row that is still being written is left out.

    Raises:
      UserError: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding='utf-8')
        reader = csv.reader(text[: text.rfind('\n') + 1].splitlines())
        names = next(reader, [])
        rows = [[float(value) if value else np.nan for value in row] for row in reader]
        table = np.array(rows, np.float64).reshape(len(rows), len(names))
    except (OSError, ValueError, csv.Error) as e:
        raise UserError(f'{path} cannot be read: {e}; move it away') from e
    return dict(zip(names, table.T, strict=True))
