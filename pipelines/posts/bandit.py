"""Mu, sigma and reward by update, of a Gaussian policy in one state."""

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

_TARGET = 4.0  # the action that pays best
_NEARLY_0 = 0.1  # of a sigma that starts at 1
_RISEN = 1.05  # times sigma's first value
_WINDOW = 100  # updates


def draw(tutorial: Tutorial, cells: Sequence[Cell], png: pathlib.Path) -> None:
    """Three panels: a thin line for each seed, the mean over seeds, and its band."""
    del tutorial
    (cell,) = cells
    updates, mu, sigma = _policies(cell)
    rewards = pictures.smoothed(cell.matrix('return'), _WINDOW)

    def panel(axes: Axes, x: np.ndarray, lines: np.ndarray, name: str) -> None:
        pictures.thin_lines(axes, x, lines)
        pictures.mean_with_band(axes, x, lines, f'mean of {findings.seeds(len(lines))}')
        axes.set(xlabel='updates (one action each)', ylabel=name)

    def draw_mu(axes: Axes) -> None:
        panel(axes, updates, mu, 'mu')
        axes.axhline(_TARGET, color='black', linewidth=0.7, label='best action')
        axes.legend(fontsize='small')

    pictures.save_panels(
        png,
        [
            draw_mu,
            lambda axes: panel(axes, updates, sigma, 'sigma'),
            lambda axes: panel(
                axes,
                np.arange(1, cell.num_episodes + 1),
                rewards,
                f'reward, mean of {_WINDOW} updates',
            ),
        ],
    )


def _policies(cell: Cell) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Updates [points]; mu and sigma [seeds, points] after them."""
    logs = [run.progress() for run in cell.runs]
    known = [~np.isnan(log['mu']) for log in logs]
    count = min(int(rows.sum()) for rows in known)
    updates = logs[0]['episodes'][known[0]][:count]
    mu, sigma = (
        np.array([log[name][rows][:count] for log, rows in zip(logs, known, strict=True)])
        for name in ('mu', 'sigma')
    )
    return updates, mu, sigma


def find(tutorial: Tutorial, cells: Sequence[Cell]) -> Findings:
    """Where mu and sigma end, and whether sigma rises before it falls."""
    del tutorial
    (cell,) = cells
    updates, mu, sigma = _policies(cell)
    last_mu, last_sigma, peaks = mu[:, -1], sigma[:, -1], sigma.max(axis=1)
    rises = int(np.sum(peaks > _RISEN * sigma[:, 0]))
    falls = int(np.sum(last_sigma < _NEARLY_0))
    count = len(mu)
    ours = {
        'mu': (
            f'{findings.length_in_words(cell)} (an episode is an update): mu ends between '
            f'{short(float(last_mu.min()))} and {short(float(last_mu.max()))}, mean '
            f'{findings.mean_in_words(last_mu[:, np.newaxis])}; {_TARGET:g} is best.'
            f'{findings.caution(count)}'
        ),
        'sigma': (
            f'Sigma rises above its start on {rises} of {findings.seeds(count)} (to '
            f'{short(float(peaks.max()))} at most, near update '
            f'{int(np.median(updates[sigma.argmax(axis=1)])):,} in the median), and ends below '
            f'{_NEARLY_0:g} on {falls}: between {short(float(last_sigma.min()))} and '
            f'{short(float(last_sigma.max()))} after {int(updates[-1]):,} updates.'
        ),
        'reward': (
            f'Mean reward of the last {min(_WINDOW, cell.num_episodes)} updates, of at most 1: '
            f'{findings.mean_in_words(cell.last("return", _WINDOW))}.'
        ),
    }
    data = {'mu': last_mu.tolist(), 'sigma': last_sigma.tolist(), 'peak_of_sigma': peaks.tolist()}
    return Findings(ours, data=data)
