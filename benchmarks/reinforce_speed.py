"""REINFORCE on CartPole-v0, compared with the tutorial's code.

    python -m benchmarks.reinforce_speed

Speed is measured in env steps per second, with the tutorial's network, discount and baseline on
both sides. Every env step is in exactly one gradient; ours makes an update from 16 episodes.
Solving is measured in seconds of training until the mean of 100 consecutive training episodes is
195; ours uses configs/reinforce_cartpole.gin. Imports and tracing are excluded on both sides.
Exits with 1 below a goal.
"""

from __future__ import annotations

import csv
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

from absl import app, flags

from benchmarks import speed

_SEEDS = flags.DEFINE_integer('seeds', 5, 'Number of seeds; runs are interleaved.')
_MAX_SECONDS = flags.DEFINE_float(
    'max_seconds', 300.0, 'Seconds after which the peer is stopped; then its time to solve.'
)
_SPEED_GOAL = flags.DEFINE_float('speed_goal', 10.0, 'Smallest ratio of speeds that passes.')
_SOLVE_GOAL = flags.DEFINE_float('solve_goal', 10.0, 'Smallest ratio of seconds that passes.')

_SOLVED = 195.0


def _rows(gin_file: str, seed: int) -> list[dict[str, float]]:
    """Makes one of our runs; returns the rows of its progress.csv."""
    with tempfile.TemporaryDirectory() as root_dir:
        subprocess.run(
            [sys.executable, '-m', 'pipelines.train_reinforce', f'--root_dir={root_dir}',
             f'--seed={seed}', f'--gin_file={speed.HERE / gin_file}'],
            check=True, capture_output=True,
        )  # fmt: skip
        with open(pathlib.Path(root_dir) / 'progress.csv', newline='') as f:
            return [{k: float(v or 0) for k, v in row.items()} for row in csv.DictReader(f)]


def _our_speed(seed: int) -> float:
    """Env steps per second from the end of the first update (which traces) to the last but one."""
    first, *_, last, _ = _rows('reinforce_speed.gin', seed)
    steps = last['env_steps'] - first['env_steps']
    return steps / (last['wall_seconds'] - first['wall_seconds'])


def _our_seconds(seed: int) -> float:
    """Seconds from the end of the first update (which traces) until it is solved."""
    rows = _rows('reinforce_solve.gin', seed)
    for row in rows:
        if row['episodes'] >= 100 and row['return_mean_100'] >= _SOLVED:
            return row['wall_seconds'] - rows[0]['wall_seconds']
    return math.inf


def _peer(seed: int) -> tuple[float, float]:
    """Returns (seconds to solve, at most --max_seconds; env steps per second)."""
    done = subprocess.run(
        [sys.executable, str(speed.HERE / 'tutorial_reinforce.py'), str(seed),
         str(_MAX_SECONDS.value)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds, _, steps_per_second = map(float, done.stdout.split())
    return min(seconds, _MAX_SECONDS.value), steps_per_second


def main(_) -> None:
    """Measures, prints two tables and exits with the verdict."""
    steps: dict[str, list[float]] = {'this project, 16 envs': [], "the tutorial's code, mended": []}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    ours, peer = steps
    for seed in range(_SEEDS.value):
        steps[ours].append(_our_speed(seed))
        seconds[ours].append(_our_seconds(seed))
        peer_seconds, peer_steps = _peer(seed)
        steps[peer].append(peer_steps)
        seconds[peer].append(peer_seconds)
        print(f'seed {seed} done', {k: v[-1] for k, v in seconds.items()}, file=sys.stderr)
    print(speed.table('CartPole-v0, REINFORCE, MLP 30-30', steps))
    print('\n| CartPole-v0 solved (100 episodes, mean 195) | seconds, median | each run |')
    print('|---|---|---|')
    for name, each in seconds.items():
        print(f'| {name} | {statistics.median(each):.1f} | {", ".join(f"{s:.1f}" for s in each)} |')
    faster = statistics.median(steps[ours]) / statistics.median(steps[peer])
    sooner = statistics.median(seconds[peer]) / statistics.median(seconds[ours])
    print(
        f'\n{faster:.0f} times the env steps per second (goal: {_SPEED_GOAL.value:g}), solved in '
        f'1/{sooner:.0f} of the time (goal: 1/{_SOLVE_GOAL.value:g})'
    )
    reached = faster >= _SPEED_GOAL.value and sooner >= _SOLVE_GOAL.value
    sys.exit(not (reached and all(map(math.isfinite, seconds[ours]))))


if __name__ == '__main__':
    app.run(main)
