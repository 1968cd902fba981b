"""The pictures of a comparison, from the data of `comparison.compare`."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Sequence

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402, after the choice of a backend without a screen

_PANEL_WIDTH, _PANEL_HEIGHT, _MAX_COLUMNS = 5.0, 3.4, 3


def draw_scores(data: dict, png: pathlib.Path) -> None:
    """Each seed's score as a dot, the IQM and its interval as a line."""

    def draw(axes, environment: str):
        agents = data['environments'][environment]['agents']
        for row, (agent, cell) in enumerate(agents.items()):
            value, low, high = cell['iqm']
            scores = cell['scores']
            axes.plot(scores, [row] * len(scores), '.', color=_colour(data, agent), alpha=0.5)
            axes.plot([low, high], [row, row], color=_colour(data, agent), linewidth=2)
            axes.plot(value, row, '|', color=_colour(data, agent), markersize=14)
        axes.set_yticks(range(len(agents)), list(agents))
        axes.set(title=environment, xlabel=data['metric'], ylim=(len(agents) - 0.5, -0.5))

    _panels(list(data['environments']), draw, png)


def draw_curves(data: dict, png: pathlib.Path) -> bool:
    """The IQM of the training return against environment steps; False where there is none."""
    names = [name for name, env in data['environments'].items() if env['curves']]

    def draw(axes, environment: str):
        curves = data['environments'][environment]['curves']
        for agent in data['environments'][environment]['agents']:
            if agent in curves:
                _band(axes, curves[agent]['env_steps'], curves[agent], _colour(data, agent), agent)
        axes.set(title=environment, xlabel='environment steps', ylabel='IQM of return_mean_100')
        axes.legend(fontsize='small')

    if names:
        _panels(names, draw, png)
    return bool(names)


def draw_profiles(data: dict, png: pathlib.Path) -> None:
    """The share of runs above each score."""
    profiles = {profile['title']: profile for profile in data['profiles']}

    def draw(axes, title: str):
        for agent, band in profiles[title]['agents'].items():
            _band(axes, profiles[title]['thresholds'], band, _colour(data, agent), agent)
        axes.set(title=title, xlabel='score', ylabel='share of runs above it', ylim=(-0.02, 1.02))
        axes.legend(fontsize='small')

    _panels(list(profiles), draw, png)


def draw_improvement(data: dict, png: pathlib.Path) -> bool:
    """The probability of improvement of each pair; False where there is one agent alone."""
    panels = {name: env['pairs'] for name, env in data['environments'].items() if env['pairs']}
    if len(data['environments']) > 1 and data['together'] and data['together']['pairs']:
        panels['all environments'] = data['together']['pairs']

    def draw(axes, name: str):
        pairs = panels[name]
        for row, pair in enumerate(pairs):
            value, low, high = pair['probability']
            axes.plot([low, high], [row, row], color='grey', linewidth=2)
            axes.plot(value, row, 'o', color=_colour(data, pair['agent']))
        labels = [f'{pair["agent"]} > {pair["beside"]}' for pair in pairs]
        axes.set_yticks(range(len(pairs)), labels, fontsize='small')
        axes.axvline(0.5, color='black', linewidth=0.7)
        axes.set(title=name, xlabel='probability of improvement', xlim=(-0.02, 1.02),
                 ylim=(len(pairs) - 0.5, -0.5))  # fmt: skip

    if panels:
        _panels(list(panels), draw, png)
    return bool(panels)


def _colour(data: dict, agent: str) -> str:
    """The same in every picture."""
    agents = list(dict.fromkeys(a for env in data['environments'].values() for a in env['agents']))
    return f'C{agents.index(agent) % 10}'


def _band(axes, x: Sequence[float], band: dict, colour: str, label: str):
    axes.plot(x, band['values'], color=colour, label=label)
    axes.fill_between(x, band['low'], band['high'], color=colour, alpha=0.2, linewidth=0)


def _panels(names: Sequence[str], draw: Callable[..., None], png: pathlib.Path):
    """A panel for each name, drawn by `draw(axes, name)`; the file appears whole."""
    columns = min(_MAX_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(_PANEL_WIDTH * columns, _PANEL_HEIGHT * rows), squeeze=False,
        layout='constrained',
    )  # fmt: skip
    for axes, name in zip(panels.flat, names, strict=False):
        draw(axes, name)
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    tmp = png.with_name(png.name + '.tmp')
    figure.savefig(tmp, dpi=110, format='png')
    plt.close(figure)
    os.replace(tmp, png)
