"""The runs of an experiment: checks the bindings of every cell, then runs what is missing."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Sequence

import tqdm

from pipelines import signals
from pipelines.comparison import processes
from pipelines.comparison.experiment import Run
from pipelines.errors import UserError
from pipelines.runs.summary import Summary


def check_bindings(
    firsts: Sequence[Run],
    root: pathlib.Path,
    at_once: int,
    stop_requested: Callable[[], bool],
    *,
    checked: str,
) -> bool:
    """Lets the first run of each cell check its bindings, before any time is spent on training.

    Args:
      firsts: one run per cell; it is started with --check_only, which writes nothing.
      root: the experiment's directory; the output goes to <cell>/check.log in it.
      at_once: how many processes may run side by side.
      stop_requested: whether SIGINT or SIGTERM has come.
      checked: what a program prints when everything is right; a cell whose program does not
        print it has not been checked, and is an error.

    Returns:
      False if it was stopped.

    Raises:
      UserError: a cell cannot be run. Every such cell is named, with the first one's error.
    """
    jobs = [
        processes.Job(
            run.cell,
            (sys.executable, *run.arguments, '--check_only'),
            root / run.cell / 'check.log',
        )
        for run in firsts
    ]
    wrong: dict[str, str] = {}

    def done(job: processes.Job, exit_code: int) -> None:
        is_right = not exit_code and checked in job.log.read_text(errors='replace')
        if not is_right and not stop_requested():
            wrong[job.name] = _error(job)

    if jobs:
        print(f'checking {len(jobs)} configuration{"s" * (len(jobs) > 1)}', flush=True)
    finished = processes.run_all(jobs, at_once, done, stop_requested)
    if wrong:
        first, *others = [job.name for job in jobs if job.name in wrong]
        also = f' (wrong, too: {", ".join(others)})' if others else ''
        raise UserError(f'{first}: {wrong[first]}{also}')
    if not finished:
        signals.say_stopped('stopped before the first run')
    return finished


def run_missing(
    runs: Sequence[Run], at_once: int, stop_requested: Callable[[], bool]
) -> dict[str, str] | None:
    """Runs what is not finished, and prints a line about each run that ends.

    Args:
      runs: all runs of the experiment, in the order to start them in.
      at_once: how many may run side by side.
      stop_requested: whether SIGINT or SIGTERM has come.

    Returns:
      The runs that failed, each with the last line of its output; None if it was stopped.
    """
    missing = {run.name: run for run in runs if not run.is_finished}
    jobs = [
        processes.Job(name, (sys.executable, *run.arguments), run.path.with_suffix('.log'))
        for name, run in missing.items()
    ]
    failed: dict[str, str] = {}
    finished = len(runs) - len(missing)
    print(f'{finished} of {len(runs)} runs are finished', flush=True)
    bar = tqdm.tqdm(
        total=len(runs), initial=finished, unit=' runs', disable=not sys.stderr.isatty()
    )

    def done(job: processes.Job, exit_code: int) -> None:
        nonlocal finished
        run = missing[job.name]
        if run.is_finished:
            words = _in_words(run)
            if exit_code:
                words += f' (and then ended with exit code {exit_code}: {job.last_line()})'
            finished += 1
            bar.update()
        elif stop_requested():
            words = 'stopped'
        else:
            killed = f'killed by signal {-exit_code}: ' if exit_code < 0 else ''
            failed[job.name] = killed + _error(job)
            words = f'failed: {failed[job.name]}'
        with bar.external_write_mode():
            print(f'[{finished}/{len(runs)}] {job.name}: {words}', flush=True)

    with bar:
        if processes.run_all(jobs, at_once, done, stop_requested):
            return failed
    signals.say_stopped('stopped; run the same command to resume: finished runs are not repeated')
    return None


def _error(job: processes.Job) -> str:
    return job.last_line().removeprefix('error: ')


def _in_words(run: Run) -> str:
    summary = Summary.read(run.path / 'summary.json')
    return (
        f'{summary.env_steps:,} env steps in {summary.wall_seconds:.0f} s, training return '
        f'{summary.return_mean_100:.1f}, evaluation {summary.eval_mean:.1f}'
    )
