"""What finished runs left behind, read back: summary, policy card, learning curve."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

from pipelines import json_files
from pipelines.errors import UserError
from pipelines.runs.summary import Summary

if TYPE_CHECKING:
    from envs.task import Task


_WINDOW = 20  # episodes
CURVES = {  # by x axis: what a learning curve shows
    'env_steps': 'return_mean_100',
    'episodes': f'the mean return of the last {_WINDOW} episodes',
}


_CARD = 'policy/policy_card.json'
_READ = ('progress.csv', 'episodes.csv', _CARD)


class _Card(TypedDict):
    """What is read of a policy's card without TensorFlow; see `pipelines.runs.card`."""

    config: dict[str, str]
    env_kwargs: NotRequired[dict[str, Any] | None]
    atari_game: NotRequired[str | None]


@dataclasses.dataclass(frozen=True)
class Result:
    """One finished run."""

    environment: str  # as the comparison calls it
    agent: str  # as the comparison calls it
    path: pathlib.Path
    summary: Summary
    card: Mapping[str, Any]  # the exported policy's
    x_axis: str  # of the learning curve: one of `CURVES`
    x: list[float]  # at each of these env steps or episodes,
    returns: list[float]  # what `CURVES` says

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.summary.seed

    @property
    def config(self) -> Mapping[str, str]:
        """The operative gin bindings: {'configurable.parameter': value}."""
        return self.card['config']

    @property
    def is_atari(self) -> bool:
        """Whether the environment is an Atari game."""
        return self.card.get('atari_game') is not None

    @property
    def task(self) -> Task:
        """The environment that the run was trained on."""
        from pipelines.runs import card  # imports TensorFlow, which takes seconds

        return card.task(self.card, card.path_in(self.path / 'policy'))

    def score(self, metric: str) -> float:
        """The run's score by `metric`, 'eval_mean' or 'return_mean_100'.

        Raises:
          UserError: it is not a finite number, because no episode ended.
        """
        score = float(getattr(self.summary, metric))
        if not math.isfinite(score):
            raise UserError(f'{self.path} has {metric} = {score}: no episode ended in it')
        return score


def read(
    path: pathlib.Path,
    environment: str | None = None,
    agent: str | None = None,
    x_axis: str = 'env_steps',
) -> Result:
    """Reads the run in `path`.

    Args:
      path: the run's directory.
      environment: what to call its environment; by default its name, with the arguments that
        its constructor was given.
      agent: what to call its agent; the run's own name for it by default.
      x_axis: of its learning curve: 'env_steps', or 'episodes', which needs episodes.csv.

    Raises:
      UserError: a file is missing or damaged.
    """
    try:
        summary = Summary.read(path / 'summary.json')
        if changed := summary.changed(path, _READ):
            raise UserError(
                f'{path / changed[0]} cannot be used: it was changed after the run; the command of '
                'the run makes it again'
            )
        card = json_files.read(path / _CARD, _Card)
        by_steps = _read_curve(path / 'progress.csv')
    except UserError as e:
        raise UserError(f'{path} holds no finished run: {e}') from e
    x, returns = by_steps if x_axis == 'env_steps' else _read_episodes(path / 'episodes.csv')
    return Result(
        environment=environment or _environment(summary.env_name, card),
        agent=agent or summary.agent,
        path=path,
        summary=summary,
        card=card,
        x_axis=x_axis,
        x=x,
        returns=returns,
    )


def _environment(env_name: str, card: Mapping[str, Any]) -> str:
    kwargs = card.get('env_kwargs') or {}
    arguments = ', '.join(f'{name}={value!r}' for name, value in kwargs.items())
    return f'{env_name}({arguments})' if arguments else env_name


def _read_curve(path: pathlib.Path) -> tuple[list[float], list[float]]:
    """The environment steps at which return_mean_100 is known, and its values."""
    with _damage_is_the_users(path), open(path, newline='') as f:
        rows = [row for row in csv.DictReader(f) if row['return_mean_100']]
        return (
            [float(row['env_steps']) for row in rows],
            [float(row['return_mean_100']) for row in rows],
        )


def _read_episodes(path: pathlib.Path) -> tuple[list[float], list[float]]:
    """The numbers of the training episodes, and the mean return of the last 20 at each."""
    if not path.exists():
        raise UserError(
            f"x_axis = 'episodes': {path} does not exist (earlier versions wrote none): leave out "
            "that run, or compare over 'env_steps'"
        )
    with _damage_is_the_users(path), open(path, newline='') as f:
        rows = [(int(row['episode']), float(row['return'])) for row in csv.DictReader(f)]
    count = np.arange(1, len(rows) + 1)
    total = np.cumsum([0.0, *(each for _, each in rows)])
    first = np.maximum(0, count - _WINDOW)
    return [float(i) for i, _ in rows], ((total[count] - total[first]) / (count - first)).tolist()


@contextlib.contextmanager
def _damage_is_the_users(path: pathlib.Path) -> Iterator[None]:
    """Turns what goes wrong while a file is read into a UserError that names it."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as e:
        reason = getattr(e, 'strerror', None) or repr(e)
        raise UserError(f'{path} cannot be read: {reason}') from e


def read_all(directories: Iterable[str], x_axis: str = 'env_steps') -> list[Result]:
    """Every finished run in or below the directories.

    Different agents of one name get what differs between them added to their names.

    Raises:
      UserError: one of the directories holds no finished run, or a run no such curve.
    """
    results: dict[pathlib.Path, Result] = {}
    for name in directories:
        # Not `rglob`, which fails where a run in progress removes a checkpoint meanwhile.
        paths = sorted(pathlib.Path(d) for d, _, files in os.walk(name) if 'summary.json' in files)
        if not paths:
            raise UserError(f"--run_dirs: '{name}' holds no finished run: no summary.json in it")
        results |= {path.resolve(): read(path, x_axis=x_axis) for path in paths}
    return _named_apart(list(results.values()))


def _named_apart(results: Sequence[Result]) -> list[Result]:
    """Adds to an agent's name the bindings in which agents of that name differ.

    The bindings that differ in any one environment are added in all of them, so an agent has the
    same name everywhere.
    """
    alike: dict[str, dict[str, list[Mapping[str, str]]]] = {}
    for result in results:
        by_environment = alike.setdefault(result.agent, {})
        by_environment.setdefault(result.environment, []).append(result.config)
    differ = {
        agent: sorted(set().union(*(differing(configs) for configs in environments.values())))
        for agent, environments in alike.items()
    }
    named = []
    for result in results:
        bindings = [f'{name} = {result.config.get(name)}' for name in differ[result.agent]]
        name = f'{result.agent} ({", ".join(bindings)})' if bindings else result.agent
        named.append(dataclasses.replace(result, agent=name))
    return named


def differing(configs: Sequence[Mapping[str, str]]) -> list[str]:
    """The names of the bindings that are not the same in all configurations."""
    names = sorted(set().union(*configs))
    return [name for name in names if len({config.get(name) for config in configs}) > 1]


def check_cells(results: Sequence[Result]) -> None:
    """Checks that the runs of each agent on each environment are seeds of one experiment.

    Raises:
      UserError: two of them have the same seed, or their bindings differ.
    """
    cells: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        cells.setdefault((result.environment, result.agent), []).append(result)
    for same in cells.values():
        first = same[0]
        for i, other in enumerate(same):
            if twin := next((r for r in same[:i] if r.seed == other.seed), None):
                raise UserError(
                    f'{twin.path} and {other.path} are both seed {other.seed} of {other.agent} on '
                    f'{other.environment}: leave one out'
                )
            if names := differing([first.config, other.config]):
                raise UserError(
                    f'{first.path} and {other.path} are not seeds of one agent: {names[0]} is '
                    f'{first.config.get(names[0])} and {other.config.get(names[0])}'
                )
