"""What configs/tutorials/<name>.toml says of each tutorial, and which tutorial is meant.

Nothing here imports TensorFlow: the list of tutorials is there at once.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import textwrap
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines import files
from pipelines.comparison import experiment
from pipelines.errors import UserError

DIRECTORY = files.PACKAGE_DIR / 'configs' / 'tutorials'
CONSTANTS = DIRECTORY / 'constants.toml'
_WIDTH = 80


@dataclasses.dataclass(frozen=True)
class Published:
    """Something that a tutorial published, and the name of what was measured here beside it."""

    key: str
    says: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of a tutorial, and the function here that does what it explains."""

    post: str
    does: str
    file: str  # from the root of the repository
    function: str  # 'function' or 'Class.method'


@dataclasses.dataclass(frozen=True)
class Mistake:
    """Something that was wrong in the original, and what mending it changed."""

    wrong: str
    mended: str
    museum: str = ''  # its name in benchmarks/museum.py
    results: str = ''  # the section of docs/results.md that has its price


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tutorial:
    """One file of the catalogue."""

    name: str
    number: int
    title: str
    source: str  # where its constants come from
    words: tuple[str, ...]  # other words that find it: those of its system
    system: str
    outcome: str
    minutes: float  # of its experiment, on two cores
    quick_minutes: float  # with --quick
    length: str  # of one run, in words
    figure: str  # one of `page.FIGURES`
    y: str = 'return'  # the column of episodes.csv that is drawn
    top: float | None = None  # the most that an episode can have of it
    headline: str  # a sentence on what was published
    caption: str  # of our figure
    published: tuple[Published, ...]
    quick_seeds: int
    quick_bindings: tuple[str, ...]
    sections: tuple[Section, ...]
    mistakes: tuple[Mistake, ...]
    commands: tuple[str, ...]
    films: tuple[int, ...] = ()  # the episodes whose films are shown

    @property
    def experiment_file(self) -> str:
        """Its experiment's name below pipelines/."""
        return f'configs/experiments/tutorial_{self.name}.toml'

    def default_root(self, quick: bool) -> str:
        """Where its runs are kept if nobody says otherwise."""
        return f'runs/tutorials/{self.name}{"_quick" if quick else ""}'

    def plan(self, quick: bool) -> experiment.Experiment:
        """Its experiment as published, or the shorter form."""
        plan = experiment.load(self.experiment_file)
        if not quick:
            return plan
        return dataclasses.replace(
            plan,
            seeds=tuple(range(self.quick_seeds)),
            bindings=(*plan.bindings, *self.quick_bindings),
        )

    def constants(self) -> list[Mapping[str, Any]]:
        """Its rows in the table of constants."""
        table = tomllib.loads(CONSTANTS.read_text()) if CONSTANTS.exists() else {}
        return [row for row in table.get('constant', []) if row.get('tutorial') == self.name]


def load_all() -> list[Tutorial]:
    """Every tutorial, by number."""
    paths = [path for path in DIRECTORY.glob('*.toml') if path != CONSTANTS]
    return sorted(map(_load, paths), key=lambda tutorial: tutorial.number)


def _load(path: pathlib.Path) -> Tutorial:
    table = tomllib.loads(path.read_text())
    quick = table.pop('quick')
    lists: dict[str, Callable[..., Any]] = {
        'published': Published,
        'sections': Section,
        'mistakes': Mistake,
    }
    for key, kind in lists.items():
        table[key] = tuple(kind(**row) for row in table.get(key, []))
    for key in ('words', 'commands', 'films'):
        table[key] = tuple(table.get(key, []))
    return Tutorial(
        name=path.stem,
        quick_seeds=quick['seeds'],
        quick_bindings=tuple(quick['bindings']),
        **table,
    )


def find(which: str, tutorials: Sequence[Tutorial]) -> Tutorial:
    """The tutorial that is meant.

    Args:
      which: its number, its name, any unique part of its title, or words of its system; capitals
        do not matter, and hyphens are spaces.
      tutorials: from `load_all`.

    Raises:
      UserError: none fits, or several do; the message lists them.
    """
    words = _words(which)
    if not words:
        raise UserError(f'name a tutorial by its number or its title: {_listed(tutorials)}')
    for fits in _FITS:
        if found := [tutorial for tutorial in tutorials if fits(words, tutorial)]:
            break
    else:
        raise UserError(f"'{which}' fits no tutorial: {_listed(tutorials)}")
    if len(found) > 1:
        raise UserError(f"'{which}' fits {len(found)} tutorials: {_listed(found)}")
    return found[0]


def _listed(tutorials: Sequence[Tutorial]) -> str:
    return '; '.join(f'{tutorial.number} {tutorial.title}' for tutorial in tutorials)


def _words(text: str) -> list[str]:
    return re.findall(r'[a-z0-9]+(?:\.[0-9]+)*', text.lower().replace('_', ' '))


def _is_number_or_name(words: list[str], tutorial: Tutorial) -> bool:
    return words in ([str(tutorial.number)], _words(tutorial.name))


def _in_title(words: list[str], tutorial: Tutorial) -> bool:
    return f' {" ".join(words)} ' in f' {" ".join(_words(tutorial.title))} '


def _among_words(words: list[str], tutorial: Tutorial) -> bool:
    return set(words) <= _all_words(tutorial)


def _begins_in_title(words: list[str], tutorial: Tutorial) -> bool:
    return f' {" ".join(words)}' in f' {" ".join(_words(tutorial.title))}'


def _begin_words(words: list[str], tutorial: Tutorial) -> bool:
    return all(any(w.startswith(word) for w in _all_words(tutorial)) for word in words)


def _all_words(tutorial: Tutorial) -> set[str]:
    return set(_words(' '.join((tutorial.title, tutorial.system, *tutorial.words))))


# From the strictest to the loosest: the first that fits any tutorial decides.
_FITS = (_is_number_or_name, _in_title, _among_words, _begins_in_title, _begin_words)


def in_lines(tutorials: Sequence[Tutorial]) -> list[str]:
    """The catalogue as people read it in a terminal."""
    lines = []
    for tutorial in tutorials:
        mark = f'{tutorial.number}  '
        indent = ' ' * len(mark)
        time = f'{duration(tutorial.minutes)}, with --quick {duration(tutorial.quick_minutes)}'
        for text, before in (
            (tutorial.title, mark),
            (f'builds {tutorial.system}', indent),
            (f'{time}; {tutorial.outcome}', indent),
        ):
            lines += textwrap.wrap(
                text, _WIDTH, initial_indent=before, subsequent_indent=indent,
                break_on_hyphens=False,
            )  # fmt: skip
        lines.append('')
    return lines


def duration(minutes: float) -> str:
    """'5 min', or '2.5 h'."""
    return f'{minutes:g} min' if minutes < 90 else f'{minutes / 60:.2g} h'
