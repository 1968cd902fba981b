"""A tutorial whose figure is one curve over training episodes: ten thin lines and their mean."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from pipelines.comparison.statistics import short
from pipelines.posts import findings, pictures
from pipelines.posts.catalogue import Tutorial
from pipelines.posts.cells import Cell
from pipelines.posts.findings import Findings

_NEAR_THE_TOP = 0.95  # share of the most that an episode can have
_WINDOW = 100  # episodes


def draw(tutorial: Tutorial, cells: Sequence[Cell], png: pathlib.Path) -> None:
    """A thin line for each seed, the mean over seeds, and its band."""
    (cell,) = cells
    column = cell.matrix(tutorial.y)
    episodes = np.arange(1, cell.num_episodes + 1)

    def panel(axes: Axes) -> None:
        pictures.thin_lines(axes, episodes, column)
        pictures.mean_with_band(axes, episodes, column, f'mean of {findings.seeds(len(column))}')
        axes.set(xlabel='training episodes', ylabel=f'{tutorial.y} of the episode')
        if tutorial.top is not None:
            axes.set_ylim(0, 1.05 * tutorial.top)
        axes.legend(fontsize='small')

    pictures.save_panels(png, [panel])


def find(tutorial: Tutorial, cells: Sequence[Cell]) -> Findings:
    """The end of the curve, the differences between seeds, the exported policies."""
    (cell,) = cells
    last, y = cell.last(tutorial.y, _WINDOW), tutorial.y
    shown = min(_WINDOW, cell.num_episodes)
    curve = (
        f'{findings.length_in_words(cell)}: the mean {y} of the last {shown} episodes is '
        f'{findings.mean_in_words(last)}'
    )
    if tutorial.top is not None:
        at_top = int(np.sum(last >= _NEAR_THE_TOP * tutorial.top))
        curve += (
            f'; at {_NEAR_THE_TOP * tutorial.top:g} or more of {tutorial.top:g}: {at_top} of '
            f'{findings.seeds(len(last))}'
        )
    curve += f'.{findings.caution(len(last))}'
    scores = last[:, 0].tolist()
    spread = (
        f'Last {shown} episodes by seed: {", ".join(map(short, scores))}.'
        if len(scores) == 1
        else f'Last {shown} episodes by seed: {", ".join(map(short, scores))}; standard deviation '
        f'between seeds {short(float(np.std(scores, ddof=1)))}.'
    )
    policies = (
        f'The exported policies, greedy, mean return of each: {findings.evaluations(cell.runs)}.'
    )
    return Findings(
        {'curve': curve, 'spread': spread, 'policies': policies},
        data={'seeds': [run.seed for run in cell.runs], 'last': scores},
    )
