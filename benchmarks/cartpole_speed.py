"""Env steps per second while training DQN on CartPole-v1, beside Stable-Baselines3.

    python -m benchmarks.cartpole_speed --peer_python=.venv-bench/bin/python

The same work on both sides: MLP 64-64 (ReLU), batch 64, replay 50 000, Huber loss,
gradient norm 10, one gradient step of one minibatch per environment step. Imports,
tracing and set-up are excluded on both sides. The peer runs with 1 and with 16
environments and with 1 and 2 threads, and its fastest form is what we compare with.
Runs are interleaved; the ratio is one of medians. Exits 1 below the goal.
"""

from __future__ import annotations

import csv
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from absl import app, flags

_PEER_PYTHON = flags.DEFINE_string(
    'peer_python', None, 'Python of an environment with benchmarks/requirements.txt.', required=True
)
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Interleaved rounds.')
_GOAL = flags.DEFINE_float('goal', 4.0, 'The ratio that must be reached.')

_HERE = pathlib.Path(__file__).parent
_WARM_UP_ENV_STEPS = 4_000
_PEER_FORMS = [(envs, threads) for envs in (1, 16) for threads in (1, 2)]


def _ours() -> float:
    with tempfile.TemporaryDirectory() as root_dir:
        subprocess.run(
            [sys.executable, '-m', 'pipelines.train_ddqn', f'--root_dir={root_dir}',
             f'--gin_file={_HERE / "cartpole_speed.gin"}'],
            check=True, capture_output=True,
        )  # fmt: skip
        with open(pathlib.Path(root_dir) / 'progress.csv', newline='') as f:
            rows = [{k: float(v or 0) for k, v in row.items()} for row in csv.DictReader(f)]
        summary = json.loads((pathlib.Path(root_dir) / 'summary.json').read_text())
    assert summary['train_steps_per_env_step'] > 0.999  # the work was done
    steps = [b['env_steps'] - a['env_steps'] for a, b in zip(rows, rows[1:], strict=False)]
    timed = [
        (count, count / row['env_steps_per_second'])
        for count, row in zip(steps, rows[1:], strict=True)
        # The last row also pays for the final evaluation.
        if row['env_steps'] > _WARM_UP_ENV_STEPS and row is not rows[-1]
    ]
    return sum(count for count, _ in timed) / sum(seconds for _, seconds in timed)


def _peer(num_envs: int, num_threads: int) -> float:
    done = subprocess.run(
        [_PEER_PYTHON.value, str(_HERE / 'cartpole_speed_sb3.py'), str(num_envs), str(num_threads)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout)


def main(_) -> None:
    """Measures, prints a table and judges."""
    ours: list[float] = []
    peers: dict[tuple[int, int], list[float]] = {form: [] for form in _PEER_FORMS}
    for round_ in range(_ROUNDS.value):
        ours.append(_ours())
        for form in _PEER_FORMS:
            peers[form].append(_peer(*form))
        print(f'round {round_ + 1} of {_ROUNDS.value} done', file=sys.stderr)
    rows = [('this project, 16 envs', ours)] + [
        (f'Stable-Baselines3, {envs} envs, {threads} threads', speeds)
        for (envs, threads), speeds in peers.items()
    ]
    print('| CartPole-v1, DQN, MLP 64-64, batch 64 | env steps/s, median | each run |')
    print('|---|---|---|')
    for name, speeds in rows:
        runs = ', '.join(f'{speed:,.0f}' for speed in speeds)
        print(f'| {name} | {statistics.median(speeds):,.0f} | {runs} |')
    fastest = max(statistics.median(speeds) for speeds in peers.values())
    like_tutorials = max(statistics.median(peers[1, threads]) for threads in (1, 2))
    median = statistics.median(ours)
    print(
        f'\n{median / fastest:.1f} times the fastest form of the peer, '
        f'{median / like_tutorials:.1f} times the peer with one environment '
        f'(goal: {_GOAL.value:g} times)'
    )
    sys.exit(median / fastest < _GOAL.value)


if __name__ == '__main__':
    app.run(main)
