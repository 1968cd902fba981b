"""What was measured, as sentences and tables; and the words that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipelines.comparison import statistics
from pipelines.comparison.statistics import MIN_SEEDS, Estimate, short
from pipelines.posts.cells import Cell, Training


class Findings(NamedTuple):
    """What the page of a tutorial says beside its figure."""

    ours: Mapping[str, str]  # what stands beside each thing published, by `Published.key`
    sections: Sequence[str] = ()  # Markdown below the figure
    data: Mapping[str, Any] = {}  # the numbers, for index.json


def iqm(scores: np.ndarray) -> Estimate:
    """The interquartile mean of scores [seeds, 1], with its interval."""
    return statistics.estimate(statistics.iqm, scores)


def mean(scores: np.ndarray) -> Estimate:
    """The mean of scores [seeds, 1], with its interval."""
    return statistics.estimate(statistics.mean, scores)


def mean_in_words(scores: np.ndarray) -> str:
    """The mean of scores [seeds, 1]; its interval from two seeds on."""
    return str(mean(scores)) if len(scores) > 1 else short(float(scores[0, 0]))


def length_in_words(cell: Cell) -> str:
    """How many seeds and episodes there are, and what they are too few for."""
    words = f'{seeds(len(cell.runs))}, {cell.num_episodes:,} episodes'
    return words if cell.is_finished else f'{words} so far, **not finished**'


def seeds(count: int) -> str:
    """'10 seeds', or 'one seed'."""
    return 'one seed' if count == 1 else f'{count} seeds'


def caution(count: int) -> str:
    """A sentence where there are too few seeds for a claim; else nothing."""
    if count >= MIN_SEEDS:
        return ''
    return f' {seeds(count).capitalize()}: too few for a claim.'


def evaluations(runs: Sequence[Training]) -> str:
    """The mean return of each finished run's exported policy, by seed."""
    scores = [short(run.summary.eval_mean) for run in runs if run.summary]
    return ', '.join(scores) or 'no run is finished'
