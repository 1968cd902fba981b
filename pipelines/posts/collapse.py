"""How long training episodes are early and late in a run, and whether a curve collapses.

That a curve collapses is a difference between a late and an early window of the same seeds, with
its interval; that a part of the agent matters is a difference between two agents in one window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pipelines.comparison import statistics
from pipelines.comparison.statistics import MIN_SEEDS, Estimate
from pipelines.posts import findings, pictures
from pipelines.posts.cells import Cell

EARLY, MIDDLE, LATE = (151, 250), (401, 500), (901, 1_000)  # training episodes, from 1
ENV_STEPS, WINDOW = 40_000, 100
COLLAPSED = 0.5  # share of the best mean so far

Windows = Mapping[str, np.ndarray | None]  # by name: [seeds, 1], None where a run is too short


def span(window: tuple[int, int]) -> str:
    """A window's name."""
    return f'{window[0]:,} to {window[1]:,}'


AT_STEPS = f'last {WINDOW} before {ENV_STEPS:,} env steps'


def windows(cell: Cell, column: str) -> Windows:
    """Each run's mean in every window."""
    found = {span(window): cell.window(column, *window) for window in (EARLY, MIDDLE, LATE)}
    return {**found, AT_STEPS: _before_env_steps(cell, column)}


def _before_env_steps(cell: Cell, column: str) -> np.ndarray | None:
    """Each run's last episodes that ended within so many env steps: [seeds, 1]."""
    scores = []
    for run in cell.runs:
        within = run.episodes['env_steps'] <= ENV_STEPS
        if not within.any() or (within.all() and run.num_episodes < LATE[1]):
            return None  # it has not come so far
        scores.append([run.episodes[column][within][-WINDOW:].mean()])
    return np.array(scores)


class Change(NamedTuple):
    """What becomes of one agent's curve between the early and the late window."""

    environment: str
    agent: str
    seeds: int
    difference: Estimate | None  # IQM of late minus early, seed by seed; None: not so far yet
    collapsed: int  # runs whose mean length once fell below a share of their best so far
    first_collapse: float | None  # the median episode at which they did

    @property
    def says(self) -> str:
        """'falls', 'rises' or 'no change shown'; or that it cannot be judged."""
        if self.difference is None:
            return f'has not come to episode {LATE[1]:,}'
        if self.seeds < MIN_SEEDS:
            return 'too few seeds for a claim'
        if not self.difference.excludes_zero:
            return 'no change shown'
        return 'falls' if self.difference.value < 0.0 else 'rises'


def change(cell: Cell, found: Windows) -> Change:
    """What becomes of the curve of a cell whose windows are `found`."""
    falls = fall(found)
    collapses = [_first_collapse(run.episodes['length']) for run in cell.runs]
    when = [episode for episode in collapses if episode is not None]
    return Change(
        cell.environment,
        cell.agent,
        len(cell.runs),
        None if falls is None else findings.iqm(falls),
        len(when),
        float(np.median(when)) if when else None,
    )


def _first_collapse(lengths: np.ndarray) -> int | None:
    """The episode at which the mean of a window falls below a share of the best one before it."""
    if len(lengths) < WINDOW:
        return None
    means = pictures.smoothed(lengths, WINDOW)[WINDOW - 1 :]
    fallen = means < COLLAPSED * np.maximum.accumulate(means)
    return int(fallen.argmax()) + WINDOW if fallen.any() else None


def difference(x: np.ndarray, y: np.ndarray) -> float:
    """The difference of IQMs."""
    return statistics.iqm(x) - statistics.iqm(y)


def fall(found: Windows) -> np.ndarray | None:
    """The late window less the early one, seed by seed: [seeds, 1]; None if it is not known."""
    early, late = found[span(EARLY)], found[span(LATE)]
    return None if early is None or late is None else late - early


def compared(x: np.ndarray | None, y: np.ndarray | None) -> Estimate | None:
    """The difference of IQMs with its interval; None where one is missing."""
    return None if x is None or y is None else statistics.estimate(difference, x, y)
