"""What the figures of all tutorials share: panels, thin lines, means and bands."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np

from pipelines import files
from pipelines.comparison import statistics

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402, after the choice of a backend without a screen
from matplotlib.axes import Axes  # noqa: E402

_WIDTH, _PANEL_HEIGHT = 9.0, 3.4  # inches
_DOTS_PER_INCH = 110
_NUM_BLOCKS = 25

Draw = Callable[[Axes], None]


def save_panels(png: pathlib.Path, draws: Sequence[Draw], columns: int = 1) -> None:
    """A panel for each function, drawn by it; the file is there whole or not at all."""
    rows = -(-len(draws) // columns)  # rounded up
    figure, panels = plt.subplots(
        rows, columns, figsize=(_WIDTH, _PANEL_HEIGHT * rows), squeeze=False, layout='constrained'
    )
    for axes, draw in zip(panels.flat, draws, strict=False):
        draw(axes)
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(draws) :]:
        axes.set_visible(False)
    with files.replacing(png) as tmp:
        figure.savefig(tmp, dpi=_DOTS_PER_INCH, format='png')
    plt.close(figure)


def thin_lines(axes: Axes, x: np.ndarray, lines: np.ndarray) -> None:
    """A grey line for each seed: `lines` is [seeds, points]."""
    for line in lines:
        axes.plot(x, line, color='grey', linewidth=0.5, alpha=0.5)


def mean_with_band(
    axes: Axes, x: np.ndarray, lines: np.ndarray, label: str, colour: str = 'C0'
) -> None:
    """The mean over seeds in blocks of points, with its 95 % interval from two seeds on.

    Args:
      axes: the panel.
      x: [points].
      lines: [seeds, points].
      label: for the legend.
      colour: of the line and its band.
    """
    blocks = np.array_split(np.arange(len(x)), min(_NUM_BLOCKS, len(x)))
    middles = [float(x[block].mean()) for block in blocks]
    scores = np.stack([lines[:, block].mean(axis=1) for block in blocks], axis=1)
    if len(lines) == 1:
        axes.plot(middles, scores[0], color=colour, label=label)
        return
    band = statistics.mean_curve(scores)
    axes.plot(middles, band.values, color=colour, label=label)
    axes.fill_between(middles, band.low, band.high, color=colour, alpha=0.25, linewidth=0)


def smoothed(lines: np.ndarray, window: int) -> np.ndarray:
    """The mean of the last `window` points, or of as many as there are: the shape of `lines`."""
    total = np.cumsum(np.pad(lines, [(0, 0)] * (lines.ndim - 1) + [(1, 0)]), axis=-1)
    ends = np.arange(1, lines.shape[-1] + 1)
    starts = np.maximum(0, ends - window)
    return (total[..., ends] - total[..., starts]) / (ends - starts)
