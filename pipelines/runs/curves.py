"""Plots of progress.csv: the learning curve, and a panel for each metric."""

from __future__ import annotations

import csv
import pathlib
from typing import Any

from pipelines import files
from pipelines.runs import progress
from pipelines.runs.published import PublishedReturns


def draw_curve(
    progress_csv: pathlib.Path,
    png: pathlib.Path,
    title: str,
    published: PublishedReturns | None = None,
) -> None:
    """Plots the returns in progress.csv over env steps, together with published returns."""
    plt = _pyplot()
    rows = _read(progress_csv)
    figure, axes = plt.subplots(figsize=(7, 4), layout='constrained')
    axes.set_xlim(0, max(int(row['env_steps']) for row in rows))
    axes.plot(*_series(rows, 'return_mean_100'), label='training, last 100 episodes')
    axes.plot(*_series(rows, 'eval_return_mean'), '.-', label='greedy evaluation', linewidth=1)
    if published is not None:
        _draw_published(axes, published)
    axes.set(xlabel='environment steps', ylabel='return (raw reward)', title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, png)


def draw_metrics(progress_csv: pathlib.Path, png: pathlib.Path, title: str) -> None:
    """Plots the other columns of progress.csv (losses, values, sigma ...), a panel for each."""
    plt = _pyplot()
    rows = _read(progress_csv)
    known = progress.columns(())
    names = [n for n in rows[0] if n not in known and _series(rows, n)[0]]
    height = max(1, -(-len(names) // 3))
    figure, panels = plt.subplots(
        height, 3, figsize=(11, 2.6 * height), squeeze=False, layout='constrained'
    )
    figure.suptitle(title)
    for axes, name in zip(panels.flat, names, strict=False):
        axes.plot(*_series(rows, name), linewidth=1)
        axes.set(title=name, xlabel='environment steps')
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    _save(figure, png)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    return pyplot


def _read(progress_csv: pathlib.Path) -> list[dict[str, str]]:
    with open(progress_csv, newline='') as f:
        return list(csv.DictReader(f))


def _series(rows: list[dict[str, str]], column: str) -> tuple[list[int], list[float]]:
    points = [(int(r['env_steps']), float(r[column])) for r in rows if r[column]]
    return [x for x, _ in points], [y for _, y in points]


def _save(figure: Any, png: pathlib.Path) -> None:
    with files.replacing(png) as tmp:
        figure.savefig(tmp, dpi=120, format='png')
    _pyplot().close(figure)


def _draw_published(axes: Any, published: PublishedReturns) -> None:
    """Draws published curves as far as the run goes, and levels that do not dwarf it."""
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    for (name, points), style in zip(published.curves.items(), (':', '--', '-.'), strict=False):
        within = [(x, y) for x, y in points if x <= 1.05 * right]
        if within:
            axes.plot(*zip(*within, strict=True), f's{style}', color='grey', markersize=3,
                      linewidth=1, label=name)  # fmt: skip
    top = max([top, *(y for points in published.curves.values() for x, y in points if x <= right)])
    for name, level in published.levels.items():
        if level <= 1.5 * top:
            axes.axhline(level, color='grey', linewidth=0.7)
            axes.text(
                0.01, level, f'{name} {level:g}', fontsize='small', va='bottom',
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
