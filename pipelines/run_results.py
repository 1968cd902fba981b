"""What finished runs left behind, read back: summary, policy card, learning curve."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Iterable, Sequence

from pipelines.cli import UserError


@dataclasses.dataclass(frozen=True)
class Result:
    """One finished run."""

    environment: str
    agent: str
    path: pathlib.Path
    summary: dict
    card: dict  # of the exported policy
    env_steps: list[float]  # of the learning curve: the points where
    returns: list[float]  # the last 100 training episodes have these mean returns

    @property
    def seed(self) -> int:
        """Of the run."""
        return self.summary['seed']

    @property
    def config(self) -> dict[str, str]:
        """The operative bindings."""
        return self.card['config']

    def score(self, metric: str) -> float:
        """'eval_mean' or 'return_mean_100'.

        Raises:
          UserError: it is no number, because no episode ended.
        """
        score = float(self.summary[metric])
        if not math.isfinite(score):
            raise UserError(f'{self.path} has {metric} = {score}: no episode ended in it')
        return score


def read(path: pathlib.Path, environment: str | None = None, agent: str | None = None) -> Result:
    """The run in `path`; its own names of environment and agent unless others are given.

    Raises:
      UserError: a file is missing or damaged.
    """
    try:
        summary = json.loads((path / 'summary.json').read_text())
        card = json.loads((path / 'policy' / 'policy_card.json').read_text())
        with open(path / 'progress.csv', newline='') as f:
            rows = [row for row in csv.DictReader(f) if row['return_mean_100']]
        result = Result(
            environment or summary['env_name'],
            agent or summary['agent'],
            path,
            summary,
            card,
            [float(row['env_steps']) for row in rows],
            [float(row['return_mean_100']) for row in rows],
        )
        _ = result.seed, result.config, summary['eval_mean'], summary['return_mean_100']
    except OSError as e:
        raise UserError(f'{path} holds no finished run: {e.filename}: {e.strerror}') from e
    except (ValueError, KeyError) as e:
        raise UserError(f'{path} holds no finished run that can be read: {e!r}') from e
    return result


def read_all(directories: Iterable[str]) -> list[Result]:
    """Every finished run in or below the directories, agents named apart by what differs.

    Raises:
      UserError: there is none in one of them.
    """
    results: dict[pathlib.Path, Result] = {}
    for name in directories:
        # Not `rglob`, which fails where a run that is still going on removes a checkpoint.
        paths = sorted(pathlib.Path(d) for d, _, files in os.walk(name) if 'summary.json' in files)
        if not paths:
            raise UserError(f"--run_dirs: '{name}' holds no finished run: no summary.json in it")
        results |= {path.resolve(): read(path) for path in paths}
    return _named_apart(list(results.values()))


def _named_apart(results: list[Result]) -> list[Result]:
    """Agents of one name that differ within an environment get into their names what differs.

    In every environment, so that one agent has one name.
    """
    alike: dict[str, dict[str, list[dict[str, str]]]] = {}
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


def differing(configs: Sequence[dict[str, str]]) -> list[str]:
    """The names of the bindings that are not the same in all of them."""
    names = sorted(set().union(*configs))
    return [name for name in names if len({config.get(name) for config in configs}) > 1]


def check_cells(results: Sequence[Result]) -> None:
    """Raises a UserError for seeds of one cell that are the same, or no seeds of one agent."""
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
                    f'{first.path} and {other.path} are no seeds of one agent: {names[0]} is '
                    f'{first.config.get(names[0])} and {other.config.get(names[0])}'
                )
