"""The plots of benchmarks/maximisation_bias.py."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np

matplotlib.use('Agg')
from matplotlib import pyplot as plt

Curve = Mapping[str, Sequence[float]]  # 'episode', 'mean' and 'standard_error' of each point


class Row(NamedTuple):
    """A row of two panels: tables and networks."""

    truth: float  # of what is drawn, or what it is with the true values
    panels: Sequence[Mapping[str, Curve]]  # curves by name
    truth_name: str = 'true value'  # actions are called left and right, so not 'right'


def draw_panels(png: pathlib.Path, rows: Mapping[str, Row]) -> None:
    """Draws each quantity's row of two panels."""
    figure, axes = plt.subplots(len(rows), 2, figsize=(10, 6.4), sharey='row', layout='constrained')
    for row, (title, drawn) in zip(axes, rows.items(), strict=True):
        for panel, curves in zip(row, drawn.panels, strict=True):
            _draw(panel, curves, drawn)
        row[0].set_ylabel(title)
    _save(figure, png)


def draw_step_sizes(png: pathlib.Path, kinds: Mapping[str, dict], names: Sequence[str]) -> None:
    """Draws, by step size, the final bias of Q(A, right) and the final share that would go left."""
    figure, axes = plt.subplots(
        2, len(kinds), figsize=(10, 6.4), sharey='row', sharex=True, layout='constrained'
    )
    for (bias, left), (kind, each) in zip(axes.T, kinds.items(), strict=True):
        for name in names:
            agents = [sizes[name] for sizes in each['tables'].values()]
            for panel, measured in (
                (bias, [agent['q_right']['final_bias'] for agent in agents]),
                (left, [agent['greedy_left']['last_tenth'] for agent in agents]),
            ):
                mean, error = ([m[key] for m in measured] for key in ('mean', 'standard_error'))
                panel.errorbar(
                    list(each['tables']), mean, 2 * np.array(error), fmt='o-', capsize=3, label=name
                )
        bias.axhline(0.0, color='black', linestyle='--', linewidth=1, label='true value')
        bias.set_title(kind)
        left.set_xlabel('step size')
        for panel in (bias, left):
            panel.grid(alpha=0.3)
            panel.legend(fontsize='small')
    axes[0, 0].set_ylabel('final bias of Q(A, right)')
    axes[1, 0].set_ylabel('share that would go left')
    _save(figure, png)


def _draw(panel, curves: Mapping[str, Curve], row: Row):
    for name, curve in curves.items():
        mean, band = np.array(curve['mean']), 2 * np.array(curve['standard_error'])
        (line,) = panel.plot(curve['episode'], mean, label=name)
        panel.fill_between(
            curve['episode'], mean - band, mean + band, color=line.get_color(), alpha=0.25
        )
    label = f'{row.truth_name}: {row.truth:.4g}'
    panel.axhline(row.truth, color='black', linestyle='--', linewidth=1, label=label)
    panel.set_xlabel('episodes')
    panel.grid(alpha=0.3)
    panel.legend(fontsize='small')


def _save(figure, png: pathlib.Path):
    figure.savefig(png, dpi=100)
    plt.close(figure)
