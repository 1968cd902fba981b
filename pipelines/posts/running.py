"""Makes the runs of a tutorial's experiment, and says how far they are."""

from __future__ import annotations

import csv
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

from pipelines import json_files
from pipelines.comparison import experiment, scheduler
from pipelines.comparison.experiment import Experiment, Run
from pipelines.posts import provenance

_SECONDS_BETWEEN_LINES = 60.0
_TAIL_BYTES = 4_096


def make_missing(
    plan: Experiment,
    root: pathlib.Path,
    at_once: int,
    stop_requested: Callable[[], bool],
    *,
    length: str,
    checked: str,
) -> Mapping[str, str] | None:
    """Checks what no earlier start has checked, then makes the runs that are missing.

    Args:
      plan: the tutorial's experiment.
      root: its directory; must exist.
      at_once: how many runs may be made side by side.
      stop_requested: whether SIGINT or SIGTERM has come.
      length: of one run, in words; shown beside how far the runs are.
      checked: what a program prints when everything is right (see `scheduler.check_bindings`).

    Returns:
      The runs that failed, each with its last words; None if it was stopped.

    Raises:
      UserError: `root` holds another experiment, or a cell cannot be run.
    """
    runs, cells = plan.runs(root), list(plan.definitions())
    unchecked = experiment.new_cells(plan, root)
    firsts = [run for run in runs[: len(cells)] if run.cell in unchecked]
    if not scheduler.check_bindings(firsts, root, at_once, stop_requested, checked=checked):
        return None
    experiment.keep(plan, root)
    provenance.note(root)
    return scheduler.run_missing(runs, at_once, _Watch(runs, stop_requested, length))


def is_quick(root: pathlib.Path, quick_bindings: Sequence[str]) -> bool:
    """Whether the runs in `root` are those of the shorter form.

    Raises:
      FileNotFoundError: `root` holds no experiment.
    """
    path = root / 'experiment.json'
    if not path.exists():
        raise FileNotFoundError(path)
    cells = json_files.read(path, dict[str, list[str]]).values()
    flags = {f'--gin_bindings={binding}' for binding in quick_bindings}
    return all(flags <= set(lines) for lines in cells)


class _Watch:
    """Says once a minute how far the runs are; the scheduler asks it whether to stop."""

    def __init__(self, runs: Sequence[Run], stop_requested: Callable[[], bool], length: str):
        self._runs, self._stop_requested, self._length = runs, stop_requested, length
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES

    def __call__(self) -> bool:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            if words := under_way(self._runs):
                print(f'under way (a run is {self._length}): {"; ".join(words)}', flush=True)
        return self._stop_requested()


def under_way(runs: Sequence[Run]) -> list[str]:
    """How far each run is that has begun and is not finished."""
    found = ((run.name, _last_row(run.path / 'episodes.csv')) for run in _unfinished(runs))
    return [
        f'{name}: {int(row["episode"]):,} episodes, {int(row["env_steps"]):,} env steps'
        for name, row in found
        if row
    ]


def _unfinished(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if not run.is_finished]


def _last_row(path: pathlib.Path) -> dict[str, str] | None:
    """The last whole row of a CSV file that is being written; None if there is none."""
    if not path.exists():
        return None
    with open(path, 'rb') as f:
        head = f.readline().decode(errors='replace')
        f.seek(max(f.tell(), os.path.getsize(path) - _TAIL_BYTES))
        tail = f.read().decode(errors='replace')
    whole = tail[: tail.rfind('\n') + 1].splitlines()
    rows = list(csv.DictReader([head, *whole[-1:]]))
    counts = [(row.get('episode') or '', row.get('env_steps') or '') for row in rows]
    return rows[0] if any(a.isdigit() and b.isdigit() for a, b in counts) else None
