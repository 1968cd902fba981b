"""What the speed benchmarks share: running our program and the peers' scripts, and a table.

Imports, tracing and set-up are excluded on all sides, runs are interleaved, and ratios are ratios
of medians.
"""

from __future__ import annotations

import csv
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence

HERE = pathlib.Path(__file__).parent


def ours(
    gin_file: str,
    ratio: float,
    warm_up_env_steps: int,
    bindings: Sequence[str] = (),
    checkout: pathlib.Path | None = None,
) -> float:
    """Runs `train_ddqn`; returns env steps per second after the warm-up.

    Args:
      gin_file: in benchmarks/, or an absolute path.
      ratio: of train steps to env steps, which the run must have kept.
      warm_up_env_steps: how many are not timed.
      bindings: further gin bindings.
      checkout: another checkout of this project, with its own .venv, that is run instead.
    """
    python = str(checkout / '.venv/bin/python') if checkout else sys.executable
    with tempfile.TemporaryDirectory() as root_dir:
        subprocess.run(
            [python, '-m', 'pipelines.train_ddqn', f'--root_dir={root_dir}',
             f'--gin_file={HERE / gin_file}', *(f'--gin_bindings={b}' for b in bindings)],
            check=True, capture_output=True, cwd=checkout,
        )  # fmt: skip
        with open(pathlib.Path(root_dir) / 'progress.csv', newline='') as f:
            rows = [{k: float(v or 0) for k, v in row.items()} for row in csv.DictReader(f)]
        summary = json.loads((pathlib.Path(root_dir) / 'summary.json').read_text())
    assert abs(summary['train_steps_per_env_step'] / ratio - 1) < 1e-3  # the work was done
    steps = [b['env_steps'] - a['env_steps'] for a, b in zip(rows, rows[1:], strict=False)]
    timed = [
        (count, count / row['env_steps_per_second'])
        for count, row in zip(steps, rows[1:], strict=True)
        # The last row also pays for the final evaluation.
        if row['env_steps'] > warm_up_env_steps and row is not rows[-1]
    ]
    return sum(count for count, _ in timed) / sum(seconds for _, seconds in timed)


def script(python: str, name: str, *arguments: object) -> float:
    """Runs benchmarks/`name`; returns the number that it prints last."""
    done = subprocess.run(
        [python, str(HERE / name), *map(str, arguments)], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f'{name} failed:\n{done.stderr}')
    return float(done.stdout.split()[-1])


def interleave(
    contestants: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Measures all contestants one after another, `rounds` times; returns each one's speeds."""
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds):
        for name, measure in contestants.items():
            speeds[name].append(measure())
            print(
                f'round {round_ + 1} of {rounds}: {name}: {speeds[name][-1]:,.1f}', file=sys.stderr
            )
    return speeds


def table(title: str, speeds: Mapping[str, Sequence[float]]) -> str:
    """Returns a Markdown table of speeds in env steps per second."""
    rows = [f'| {title} | env steps/s, median | each run |', '|---|---|---|']
    for name, each in speeds.items():
        runs = ', '.join(f'{speed:,.0f}' for speed in each)
        rows.append(f'| {name} | {statistics.median(each):,.0f} | {runs} |')
    return '\n'.join(rows)
