"""Everything about one tutorial as one HTML file that opens offline: <root>/index.html."""

from __future__ import annotations

import functools
import pathlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from pipelines.comparison import html_page
from pipelines.comparison.experiment import Experiment
from pipelines.comparison.safe_text import code, escaped, fence
from pipelines.posts import bandit, by_episode, double_q, provenance, running, space_invaders
from pipelines.posts.catalogue import Tutorial
from pipelines.posts.cells import Cell, has_episodes, read
from pipelines.posts.findings import Findings
from pipelines.runs.summary import Summary


class Figure(Protocol):
    """A module that draws one kind of figure, and says what it shows."""

    def draw(self, tutorial: Tutorial, cells: Sequence[Cell], png: pathlib.Path) -> None:
        """Draws the figure of the cells, of which there is one at least."""

    def find(self, tutorial: Tutorial, cells: Sequence[Cell]) -> Findings:
        """What stands beside what was published, and below the figure."""


FIGURES: dict[str, Figure] = {
    'by_episode': by_episode,
    'double_q': double_q,
    'space_invaders': space_invaders,
    'bandit': bandit,
}
_PICTURE = 'figure.png'
_NOTHING_YET = 'not measured yet'


class Made(NamedTuple):
    """How a page came about."""

    command: str  # which makes the missing runs, and this page
    quick: bool  # the shorter form of the experiment
    failed: Mapping[str, str]  # each failed run's name and its last words


def write(tutorial: Tutorial, plan: Experiment, root: pathlib.Path, made: Made) -> pathlib.Path:
    """Writes the page of what has been run so far, and its figure.

    Args:
      tutorial: what the page is about.
      plan: its experiment, as it was run.
      root: the experiment's directory; must exist.
      made: how it came about.

    Returns:
      The page: <root>/index.html. Beside it are index.md, index.json and figure.png.
    """
    cells = read(plan.runs(root))
    found, picture = Findings({}), ''
    if cells:
        figure = FIGURES[tutorial.figure]
        draw = functools.partial(figure.draw, tutorial, cells)
        picture = html_page.picture(tutorial.caption, root / _PICTURE, draw)
        found = figure.find(tutorial, cells)
    sections = [
        *_head(tutorial, made.quick),
        *_how_far(tutorial, plan, root, made),
        *_beside(tutorial, found, picture),
        *found.sections,
        *_constants(tutorial),
        *_map(tutorial),
        *_mistakes(tutorial),
        *_commands(tutorial, made.command),
        *_provenance(plan, root),
    ]
    data = {
        'tutorial': tutorial.title,
        'command': made.command,
        'quick': made.quick,
        'ours': found.ours,
        'found': found.data,
        'starts': provenance.read(root),
    }
    html_page.write(root, tutorial.title, '\n\n'.join(sections), data, name='index')
    return root / 'index.html'


def _head(tutorial: Tutorial, quick: bool) -> Iterator[str]:
    yield tutorial.headline.strip()
    yield f'What it builds: {tutorial.system}. {tutorial.source.strip()}'
    if quick:
        yield (
            '**This is the shorter form (`--quick`): it shows that everything runs, not what is '
            'learned.** Its bindings on top of the published ones: '
            + ', '.join(f'`{binding}`' for binding in tutorial.quick_bindings)
            + '.'
        )


def _how_far(tutorial: Tutorial, plan: Experiment, root: pathlib.Path, made: Made) -> Iterator[str]:
    runs = plan.runs(root)
    finished = sum(run.is_finished for run in runs)
    if finished < len(runs):
        yield (
            f'**Not finished: {finished} of {len(runs)} runs are.** Everything below is of what '
            'there is so far: of each agent the finished runs, or, where none is, those that have '
            f'begun. {code(made.command)} goes on.'
        )
        if words := running.under_way(runs):
            yield f'Begun (a run is {tutorial.length}): {"; ".join(words)}.'
    without = [run.name for run in runs if run.is_finished and not has_episodes(run)]
    if without:
        yield (
            f'Missing below, because an earlier version made them, which kept no episodes.csv: '
            f'{", ".join(without)}.'
        )
    if made.failed:
        yield 'Failed, and missing below:'
        yield '\n'.join(f'- {name}: {code(words)}' for name, words in made.failed.items())


def _beside(tutorial: Tutorial, found: Findings, picture: str) -> Iterator[str]:
    """What was published beside what was measured here, and the figure."""
    yield '## Published, and ours'
    rows = [(row.says, found.ours.get(row.key, _NOTHING_YET)) for row in tutorial.published]
    yield html_page.table(('published', 'ours'), rows)
    if picture:
        yield picture
        yield f'*{tutorial.caption}*'


def constants_table(tutorial: Tutorial) -> str:
    """The table of the tutorial's constants, in Markdown; docs/tutorials.md has it too."""
    rows = [
        tuple(row.get(key, '') for key in ('name', 'post', 'code', 'ours', 'differs'))
        for row in tutorial.constants()
    ]
    return html_page.table(('constant', 'post', 'code', 'ours', 'why it differs'), rows)


def _constants(tutorial: Tutorial) -> Iterator[str]:
    yield '## The constants, side by side'
    yield (
        '"Post" is what the post prints, "code" what its author\'s program has where the post '
        'is silent or differs. An empty field of the code: the same, or nothing.'
    )
    yield constants_table(tutorial)


def _map(tutorial: Tutorial) -> Iterator[str]:
    if tutorial.sections:
        yield '## Where its sections are here'
        yield html_page.table(
            ('section', 'what does it here', 'file', 'function'),
            [(s.post, s.does, f'`{s.file}`', f'`{s.function}`') for s in tutorial.sections],
        )


def _mistakes(tutorial: Tutorial) -> Iterator[str]:
    if not tutorial.mistakes:
        return
    yield '## What was wrong, and what mending it changed'
    yield html_page.table(
        ('in the original', 'in the museum', 'mended here', 'its price'),
        [
            (
                mistake.wrong,
                f'`{mistake.museum}`' if mistake.museum else '-',
                mistake.mended,
                f'`docs/results.md#{mistake.results}`' if mistake.results else 'not measured',
            )
            for mistake in tutorial.mistakes
        ],
    )
    yield (
        'The museum (`docs/museum.md`, `benchmarks/museum.py`) puts each mistake that has a name '
        'there back into the right program.'
    )


def _commands(tutorial: Tutorial, command: str) -> Iterator[str]:
    yield '## Commands'
    yield 'This page, and the runs that it lacks; the second command only rewrites the page:'
    page = command.replace('pipelines.tutorials run', 'pipelines.tutorials page', 1)
    yield fence([command, page])
    if tutorial.commands:
        yield 'More:'
        yield fence(tutorial.commands)


def _provenance(plan: Experiment, root: pathlib.Path) -> Iterator[str]:
    yield '## How it was made'
    starts = escaped(provenance.read(root))
    lines = [
        f'- Started {start["date"]} at commit {start["commit"]} on {start["machine"]}; '
        + ', '.join(f'{name} {version}' for name, version in start['versions'].items())
        for start in starts
    ]
    lines.append(f'- This page was written {provenance.today()} at commit {provenance.commit()}')
    summaries = [run.path / 'summary.json' for run in plan.runs(root) if run.is_finished]
    if summaries:
        seconds = [_seconds(path) for path in summaries]
        lines.append(
            f'- {len(seconds)} finished runs: {sum(seconds) / 3_600:.2f} hours of training and '
            f'periodic evaluation in all, {min(seconds):,.0f} to {max(seconds):,.0f} s each'
        )
    yield '\n'.join(lines)
    runs = {run.cell: run for run in reversed(plan.runs(root))}  # the first seed of each cell
    yield 'The runs, for the first seed:'
    yield fence(shlex.join(('python', *run.arguments)) for run in reversed(runs.values()))


def _seconds(path: pathlib.Path) -> float:
    return Summary.read(path).wall_seconds
