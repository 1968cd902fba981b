"""The pictures of a comparison, from the data of `compare_runs.compare`."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib

from pipelines import files
from pipelines.comparison import safe_text
from pipelines.comparison.results import CURVES
from pipelines.settings import X_AXES

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402, after the choice of a backend without a screen
from matplotlib.axes import Axes  # noqa: E402

_PANEL_WIDTH, _PANEL_HEIGHT, _MAX_COLUMNS = 5.0, 3.4, 3  # inches, inches, panels
_DOTS_PER_INCH = 110
_MAX_LABEL = 60  # characters of a name

Data = Mapping[str, Any]


def draw_scores(data: Data, png: pathlib.Path) -> None:
    """Each seed's score as a dot, the IQM as a tick and its interval as a line."""

    def draw(axes: Axes, environment: str) -> None:
        agents = data['environments'][environment]['agents']
        for row, (agent, cell) in enumerate(agents.items()):
            value, low, high = cell['iqm']
            scores = cell['scores']
            axes.plot(scores, [row] * len(scores), '.', color=_colour(data, agent), alpha=0.5)
            axes.plot([low, high], [row, row], color=_colour(data, agent), linewidth=2)
            axes.plot(value, row, '|', color=_colour(data, agent), markersize=14)
        axes.set_yticks(range(len(agents)), list(map(_label, agents)))
        axes.set(title=_label(environment), xlabel=data['metric'], ylim=(len(agents) - 0.5, -0.5))

    _panels(list(data['environments']), draw, png)


def draw_curves(data: Data, png: pathlib.Path) -> bool:
    """The IQM of the training return against environment steps or episodes.

    Returns:
      False where no environment has a curve: nothing is drawn.
    """
    names = [name for name, env in data['environments'].items() if env['curves']]
    x_axis = data['x_axis']

    def draw(axes: Axes, environment: str) -> None:
        curves = data['environments'][environment]['curves']
        for agent in data['environments'][environment]['agents']:
            if agent in curves:
                _band(axes, curves[agent][x_axis], curves[agent], _colour(data, agent), agent)
        axes.set(
            title=_label(environment), xlabel=X_AXES[x_axis], ylabel=f'IQM of {CURVES[x_axis]}'
        )
        axes.legend(fontsize='small')

    if names:
        _panels(names, draw, png)
    return bool(names)


def draw_profiles(data: Data, png: pathlib.Path) -> None:
    """The share of runs above each score."""
    profiles = {profile['title']: profile for profile in data['profiles']}

    def draw(axes: Axes, title: str) -> None:
        for agent, band in profiles[title]['agents'].items():
            _band(axes, profiles[title]['thresholds'], band, _colour(data, agent), agent)
        axes.set(
            title=_label(title), xlabel='score', ylabel='share of runs above it', ylim=(-0.02, 1.02)
        )
        axes.legend(fontsize='small')

    _panels(list(profiles), draw, png)


def draw_improvement(data: Data, png: pathlib.Path) -> bool:
    """The probability of improvement of each pair of agents.

    Returns:
      False where no environment has two agents: nothing is drawn.
    """
    panels = {name: env['pairs'] for name, env in data['environments'].items() if env['pairs']}
    if len(data['environments']) > 1 and data['together'] and data['together']['pairs']:
        panels['all environments'] = data['together']['pairs']

    def draw(axes: Axes, name: str) -> None:
        pairs = panels[name]
        for row, pair in enumerate(pairs):
            value, low, high = pair['probability']
            axes.plot([low, high], [row, row], color='grey', linewidth=2)
            axes.plot(value, row, 'o', color=_colour(data, pair['agent']))
        labels = [f'{_label(pair["agent"])} > {_label(pair["beside"])}' for pair in pairs]
        axes.set_yticks(range(len(pairs)), labels, fontsize='small')
        axes.axvline(0.5, color='black', linewidth=0.7)
        axes.set(title=_label(name), xlabel='probability of improvement', xlim=(-0.02, 1.02),
                 ylim=(len(pairs) - 0.5, -0.5))  # fmt: skip

    if panels:
        _panels(list(panels), draw, png)
    return bool(panels)


def _colour(data: Data, agent: str) -> str:
    """An agent's colour, the same in every picture."""
    agents = list(dict.fromkeys(a for env in data['environments'].values() for a in env['agents']))
    return f'C{agents.index(agent) % 10}'


def _band(
    axes: Axes, x: Sequence[float], band: Mapping[str, Sequence[float]], colour: str, label: str
) -> None:
    axes.plot(x, band['values'], color=colour, label=_label(label))
    axes.fill_between(x, band['low'], band['high'], color=colour, alpha=0.2, linewidth=0)


def _panels(names: Sequence[str], draw: Callable[[Axes, str], None], png: pathlib.Path) -> None:
    """A panel for each name, drawn by `draw(axes, name)`; the file is there whole or not at all."""
    columns = min(_MAX_COLUMNS, len(names))
    rows = -(-len(names) // columns)  # rounded up
    with matplotlib.rc_context({'text.parse_math': False}):  # a $ in a name is a $
        figure, panels = plt.subplots(
            rows, columns, figsize=(_PANEL_WIDTH * columns, _PANEL_HEIGHT * rows), squeeze=False,
            layout='constrained',
        )  # fmt: skip
        try:
            for axes, name in zip(panels.flat, names, strict=False):
                draw(axes, name)
                axes.grid(alpha=0.3)
            for axes in panels.flat[len(names) :]:
                axes.set_visible(False)
            with files.replacing(png) as tmp:
                figure.savefig(tmp, dpi=_DOTS_PER_INCH, format='png')
        finally:
            plt.close(figure)


def _label(name: str) -> str:
    """A name as a figure shows it."""
    name = safe_text.printable(name)
    return name if len(name) <= _MAX_LABEL else f'{name[: _MAX_LABEL - 3]}...'
