"""Reward and loss by training episode in Space Invaders, and the films of the run."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import numpy as np
from matplotlib.axes import Axes

from pipelines.comparison.safe_text import escaped
from pipelines.comparison.statistics import short
from pipelines.posts import findings, pictures
from pipelines.posts.catalogue import Tutorial
from pipelines.posts.cells import Cell, Training
from pipelines.posts.findings import Findings

_WINDOW = 100  # episodes
_MAX_EMBEDDED_BYTES = 3 * 2**20  # of films, in one page


def draw(tutorial: Tutorial, cells: Sequence[Cell], png: pathlib.Path) -> None:
    """Two panels over training episodes: reward, and the mean loss of the episode's train steps."""
    del tutorial
    (cell,) = cells
    episodes = np.arange(1, cell.num_episodes + 1)

    def panel(axes: Axes, column: str, label: str) -> None:
        lines = cell.matrix(column)
        pictures.thin_lines(axes, episodes, lines)
        known = ~np.isnan(lines).any(axis=0)
        if known.any():
            recent = pictures.smoothed(lines[:, known], _WINDOW).mean(axis=0)
            axes.plot(episodes[known], recent, color='C0', label=f'mean of {_WINDOW} episodes')
            axes.legend(fontsize='small')
        axes.set(xlabel='training episodes', ylabel=label, xlim=(0, cell.num_episodes + 1))

    pictures.save_panels(
        png,
        [
            lambda axes: panel(axes, 'return', 'training reward of the episode'),
            lambda axes: panel(axes, 'avg_loss', 'average loss of the episode'),
        ],
    )


def find(tutorial: Tutorial, cells: Sequence[Cell]) -> Findings:
    """How the reward changes over the run, and what the run was at the episodes filmed."""
    (cell,) = cells
    rewards = cell.matrix('return').mean(axis=0)
    count = cell.num_episodes
    thirds = [(1, min(_WINDOW, count))]
    if count >= 3 * _WINDOW:
        middle = count // 2
        thirds += [(middle - _WINDOW // 2 + 1, middle + _WINDOW // 2), (count - _WINDOW + 1, count)]
    means = {span: float(rewards[span[0] - 1 : span[1]].mean()) for span in thirds}
    words = ', '.join(f'{short(m)} in episodes {a:,} to {b:,}' for (a, b), m in means.items())
    ours = {
        'reward': (
            f'{findings.length_in_words(cell)}: the mean training reward is {words}.'
            f'{findings.caution(len(cell.runs))}'
        ),
        'untrained': _untrained(cell),
        'policies': (
            f'The exported policy, greedy: a mean of {findings.evaluations(cell.runs)} a game.'
        ),
    }
    for episode in tutorial.films:
        ours[f'episode_{episode}'] = _around(rewards, episode)
    return Findings(
        ours,
        list(_films(tutorial, cell.runs[0])),
        {'means': {f'{a}-{b}': m for (a, b), m in means.items()}, 'episodes': count},
    )


def _untrained(cell: Cell) -> str:
    """The score of random play: of the episodes before training started."""
    losses, rewards = cell.matrix('avg_loss'), cell.matrix('return')
    trained = ~np.isnan(losses).all(axis=0)
    first = int(trained.argmax()) if trained.any() else cell.num_episodes
    if not first:
        return 'Training has started in the first episode.'
    begins = f'training starts in episode {first + 1:,}' if trained.any() else 'no training yet'
    return (
        f'{begins[0].upper()}{begins[1:]}: the mean reward of the {first:,} episodes of random '
        f'play is {short(float(rewards[:, :first].mean()))}.'
    )


def _around(rewards: np.ndarray, episode: int) -> str:
    if len(rewards) < episode:
        return f'Episode {episode:,} has not been played yet.'
    near = rewards[max(0, episode - _WINDOW) : episode]
    return (
        f'Training episode {episode:,} scored {rewards[episode - 1]:,.0f}; the {len(near)} '
        f'episodes up to it {short(float(near.mean()))} on average.'
    )


def _films(tutorial: Tutorial, run: Training) -> Iterator[str]:
    """The films at the episodes that the post shows, embedded if they are small; else linked."""
    directory = run.path / 'videos'
    shown = {
        f'greedy play after {episode:,} training episodes': path
        for episode in tutorial.films
        if (path := directory / f'after_{episode:06d}_episodes.gif').exists()
    }
    if (final := directory / 'final.gif').exists():
        shown['greedy play of the exported policy'] = final
    others = [path for path in sorted(directory.glob('*.gif')) if path not in shown.values()]
    if not shown and not others:
        return
    root = run.path.parents[2]  # <root>/<environment>/<agent>/seed_<n>
    yield '## Films'
    fits = sum(path.stat().st_size for path in shown.values()) < _MAX_EMBEDDED_BYTES
    for words, path in shown.items():
        link = path.relative_to(root).as_posix()
        yield f'![{words}]({link})\n\n*{words.capitalize()}.*' if fits else f'[{words}]({link})'
    if others:
        links = (
            f'[{escaped(path.stem)}]({quote(path.relative_to(root).as_posix())})' for path in others
        )
        yield f'All others (beside this file): {", ".join(links)}.'
