"""Plots of progress.csv: the learning curve, and a panel for each metric."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Mapping
from typing import Any

from pipelines import files
from pipelines.runs import progress
from pipelines.runs.published import PublishedReturns
from pipelines.settings import X_AXES


def draw_curve(
    progress_csv: pathlib.Path,
    png: pathlib.Path,
    title: str,
    x_axis: str = 'env_steps',
    published: PublishedReturns | None = None,
) -> None:
    """Plots the returns in progress.csv, together with published returns.

    Args:
      progress_csv: the rows.
      png: the picture.
      title: of the picture.
      x_axis: 'env_steps' or 'episodes'; published curves are over env steps and left out of
        the second, published levels are not.
      published: what others have reported.
    """
    plt = _pyplot()
    rows = _read(progress_csv, x_axis)
    figure, axes = plt.subplots(figsize=(7, 4), layout='constrained')
    axes.set_xlim(0, max(1, *(x for x, _ in rows)))
    axes.plot(*_series(rows, 'return_mean_100'), label='training, last 100 episodes')
    axes.plot(*_series(rows, 'eval_return_mean'), '.-', label='greedy evaluation', linewidth=1)
    if published is not None:
        _draw_published(axes, published, published.curves if x_axis == 'env_steps' else {})
    axes.set(xlabel=X_AXES[x_axis], ylabel='return (raw reward)', title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, png)


def draw_metrics(
    progress_csv: pathlib.Path, png: pathlib.Path, title: str, x_axis: str = 'env_steps'
) -> None:
    """Plots the other columns of progress.csv (losses, values, sigma ...), a panel for each."""
    plt = _pyplot()
    rows = _read(progress_csv, x_axis)
    known = progress.columns(())
    names = [n for n in rows[0][1] if n not in known and _series(rows, n)[0]]
    num_rows = max(1, -(-len(names) // 3))
    height = 0.5 + 2.6 * num_rows  # inches
    figure, panels = plt.subplots(num_rows, 3, figsize=(11, height), squeeze=False)
    # Matplotlib's own layouts measure every label several times: as long as all the drawing.
    figure.subplots_adjust(
        left=0.06, right=0.98, bottom=0.55 / height, top=1.0 - 0.8 / height, wspace=0.25, hspace=0.5
    )
    figure.suptitle(title)
    for axes, name in zip(panels.flat, names, strict=False):
        axes.plot(*_series(rows, name), linewidth=1)
        axes.set(title=name, xlabel=X_AXES[x_axis])
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    _save(figure, png)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    return pyplot


def _read(progress_csv: pathlib.Path, x_axis: str) -> list[tuple[int, dict[str, str]]]:
    """The rows, each with its place on the x axis."""
    with open(progress_csv, newline='') as f:
        return [(int(row[x_axis]), row) for row in csv.DictReader(f)]


def _series(rows: list[tuple[int, dict[str, str]]], column: str) -> tuple[list[int], list[float]]:
    points = [(x, float(row[column])) for x, row in rows if row[column]]
    return [x for x, _ in points], [y for _, y in points]


def _save(figure: Any, png: pathlib.Path) -> None:
    with files.replacing(png) as tmp:
        figure.savefig(tmp, dpi=120, format='png')
    _pyplot().close(figure)


def _draw_published(
    axes: Any, published: PublishedReturns, curves: Mapping[str, list[tuple[int, float]]]
) -> None:
    """Draws `curves` as far as the run goes, and published levels that do not dwarf it."""
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    for (name, points), style in zip(curves.items(), (':', '--', '-.'), strict=False):
        within = [(x, y) for x, y in points if x <= 1.05 * right]
        if within:
            axes.plot(*zip(*within, strict=True), f's{style}', color='grey', markersize=3,
                      linewidth=1, label=name)  # fmt: skip
    top = max([top, *(y for points in curves.values() for x, y in points if x <= right)])
    for name, level in published.levels.items():
        if level <= 1.5 * top:
            axes.axhline(level, color='grey', linewidth=0.7)
            axes.text(
                0.01, level, f'{name} {level:g}', fontsize='small', va='bottom',
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
