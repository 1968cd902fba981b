"""The length of training episodes of each agent, without and with noise in the reward."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipelines.comparison import html_page, statistics
from pipelines.comparison.statistics import MIN_SEEDS, short
from pipelines.posts import biased_maximum, collapse, findings, pictures
from pipelines.posts.catalogue import Tutorial
from pipelines.posts.cells import Cell
from pipelines.posts.collapse import (
    AT_STEPS,
    COLLAPSED,
    EARLY,
    LATE,
    MIDDLE,
    WINDOW,
    Change,
    Windows,
    span,
)
from pipelines.posts.findings import Findings

_SMOOTHED_OVER = 20  # episodes
# What each part of the agent changes: (with it, without it).
PARTS = {
    'a target network': ('dqn', 'dqn_no_target'),
    'the choice of the action by the online network (double)': ('double_dqn', 'dqn'),
    'dueling streams': ('dueling_double_dqn', 'double_dqn'),
    'a tenth of the learning rate': ('small_steps_double_dqn', 'double_dqn'),
    'the published pair': ('double_dqn', 'dqn_no_target'),
}

Lengths = Mapping[str, Mapping[str, Windows]]  # by environment and agent


def draw(tutorial: Tutorial, cells: Sequence[Cell], png: pathlib.Path) -> None:
    """A panel for each environment: the IQM over seeds by episode, with its band, per agent."""
    agents = list(dict.fromkeys(cell.agent for cell in cells))
    environments = dict.fromkeys(cell.environment for cell in cells)

    def panel(environment: str, axes: Axes) -> None:
        for cell in cells:
            if cell.environment != environment:
                continue
            lengths = pictures.smoothed(cell.matrix(tutorial.y), _SMOOTHED_OVER)
            episodes = np.arange(1, cell.num_episodes + 1)
            band = statistics.iqm_curve(lengths)
            colour = f'C{agents.index(cell.agent)}'
            axes.plot(episodes, band.values, color=colour, linewidth=1, label=cell.agent)
            axes.fill_between(
                episodes, band.low, band.high, color=colour, alpha=0.2, linewidth=0
            )  # fmt: skip
        axes.set(
            title=_in_words(environment), xlabel='training episodes', ylabel='length of the episode'
        )
        if tutorial.top is not None:
            axes.set_ylim(0, 1.05 * tutorial.top)
        axes.legend(fontsize='small', ncols=2)

    pictures.save_panels(png, [functools.partial(panel, name) for name in environments])


def _in_words(environment: str) -> str:
    return environment.replace('_', ' ')


def find(tutorial: Tutorial, cells: Sequence[Cell]) -> Findings:
    """The tables of lengths, of collapses and of what each part changes; and the verdicts."""
    lengths: dict[str, dict[str, Windows]] = {}
    for cell in cells:
        lengths.setdefault(cell.environment, {})[cell.agent] = collapse.windows(cell, tutorial.y)
    changes = [collapse.change(cell, lengths[cell.environment][cell.agent]) for cell in cells]
    ours = {
        environment: f'{_verdict(environment, agents)}.' for environment, agents in lengths.items()
    }
    ours['collapse'] = _falls_in_words(changes)
    sections = ['## Lengths, with intervals', *_lengths_table(lengths)]
    sections += ['## Do the curves collapse?', *_changes_table(changes)]
    sections += ['## What each part changes', *_parts_table(lengths)]
    sections += [*biased_maximum.section()]
    data = {
        'iqm': {
            environment: {
                agent: {name: findings.iqm(x) for name, x in windows.items() if x is not None}
                for agent, windows in agents.items()
            }
            for environment, agents in lengths.items()
        },
        'changes': [change._asdict() for change in changes],
    }
    return Findings(ours, sections, data)


def _lengths_table(lengths: Lengths) -> Iterator[str]:
    names = [*map(span, (EARLY, MIDDLE, LATE)), AT_STEPS]
    rows = [
        (
            _in_words(environment),
            agent,
            *('-' if (x := windows[name]) is None else findings.iqm(x) for name in names),
        )
        for environment, agents in lengths.items()
        for agent, windows in agents.items()
    ]
    heads = [f'episodes {name}' for name in names[:-1]]
    yield html_page.table(('noise', 'agent', *heads, AT_STEPS), rows)
    yield (
        'Mean length of the training episodes, exploration included; IQM over the seeds and, in '
        'brackets, its 95 % interval (bootstrap over the seeds).'
    )


def _changes_table(changes: Sequence[Change]) -> Iterator[str]:
    yield html_page.table(
        (
            'noise', 'agent', f'episodes {span(LATE)} less {span(EARLY)}', 'the curve',
            'runs that collapse once', 'at episode (median)',
        ),
        [
            (
                _in_words(c.environment), c.agent, c.difference or '-', c.says,
                f'{c.collapsed} of {c.seeds}',
                '-' if c.first_collapse is None else f'{c.first_collapse:,.0f}',
            )
            for c in changes
        ],
    )  # fmt: skip
    yield (
        'The difference is taken within each seed; a curve falls or rises where the whole interval '
        f'is on one side of 0. A run collapses once if its mean length of {WINDOW} episodes falls '
        f'below {100 * COLLAPSED:.0f} % of its best one so far.'
    )
    yield '\n'.join(f'- {_in_words(c.environment)}, {c.agent}: {_in_words_of(c)}.' for c in changes)


def _in_words_of(change: Change) -> str:
    if change.difference is None:
        return change.says
    return f'{change.says} between episodes {EARLY[1]} and {LATE[1]:,} ({change.difference})'


def _falls_in_words(changes: Sequence[Change]) -> str:
    judged = [c for c in changes if c.says in ('falls', 'rises', 'no change shown')]
    if not judged:
        return 'Not judged: ' + '; '.join(dict.fromkeys(change.says for change in changes)) + '.'
    parts = []
    for says in ('falls', 'rises', 'no change shown'):
        names = [f'{c.agent} ({_in_words(c.environment)})' for c in judged if c.says == says]
        if names:
            parts.append(f'{says}: {", ".join(names)}')
    return f'From episode {EARLY[1]} to {LATE[1]:,} the length {"; ".join(parts)}.'


def _parts_table(lengths: Lengths) -> Iterator[str]:
    rows = []
    early, late = span(EARLY), span(LATE)
    for environment, agents in lengths.items():
        for part, (with_it, without_it) in PARTS.items():
            if with_it not in agents or without_it not in agents:
                continue
            x, y = agents[with_it], agents[without_it]
            estimates: list[Any] = [
                collapse.compared(x[early], y[early]),
                collapse.compared(x[late], y[late]),
                collapse.compared(collapse.fall(x), collapse.fall(y)),
            ]
            rows.append(
                (
                    _in_words(environment), part, f'{with_it} less {without_it}',
                    *(estimate or '-' for estimate in estimates),
                )
            )  # fmt: skip
    yield html_page.table(
        (
            'noise', 'part', 'agents', f'episodes {early}', f'episodes {late}',
            'difference of their changes',
        ),
        rows,
    )  # fmt: skip
    yield (
        'Differences of IQMs. The last column is the change of the first agent from the early to '
        'the late window less that of the second: above 0, the part spares the agent some of the '
        'fall. An interval that includes 0 supports no claim; expect one in twenty to exclude 0 by '
        'chance.'
    )


def _verdict(environment: str, agents: Mapping[str, Windows]) -> str:
    """The published claim on one environment, beside the same pair of agents here."""
    double, plain = agents.get('double_dqn', {}), agents.get('dqn_no_target', {})
    parts = []
    for name in (span(EARLY), span(LATE)):
        x, y = double.get(name), plain.get(name)
        difference = collapse.compared(x, y)
        if x is None or y is None or difference is None:
            continue
        if min(len(x), len(y)) < MIN_SEEDS:
            says = 'too few seeds for a claim'
        elif not difference.excludes_zero:
            says = 'no difference shown'
        else:
            says = f'Double DQN is {"ahead" if difference.value > 0.0 else "behind"}'
        parts.append(
            f'episodes {name}: DQN without target network {_iqm(y)}, Double DQN {_iqm(x)}, '
            f'difference {difference}: {says}'
        )
    if not parts:
        return f'{_in_words(environment)}: no run of both agents has come to episode {EARLY[1]}'
    return '; '.join(parts)


def _iqm(scores: np.ndarray) -> str:
    return short(statistics.iqm(scores))
