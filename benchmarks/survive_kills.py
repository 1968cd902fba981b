"""Kills a run of 200 000 steps with SIGKILL at three random moments and checks what is lost.

    python -m benchmarks.survive_kills --root_dir=runs/survive_kills

After each kill the run must resume with every counter and the size of the replay within one
checkpoint interval of what they were, and at the end it must leave an exported and proven policy.
Prints what it finds; exits with 1 if more was lost.
"""

from __future__ import annotations

import csv
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

from absl import app, flags

_ROOT_DIR = flags.DEFINE_string('root_dir', None, 'A new directory for the run.', required=True)
_NUM_ENV_STEPS = flags.DEFINE_integer('num_env_steps', 200_000, 'Length of the run.')
_RANDOM_SEED = flags.DEFINE_integer('random_seed', None, 'Seed of the moments; default: none.')

_CHECKPOINT_INTERVAL = 10_000
_CAPACITY = 50_000
_TURN = 256  # env steps; a checkpoint is written after the turn that passes its interval
_COUNTERS = ('env_steps', 'train_steps', 'episodes')


def _start(root_dir: pathlib.Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-m', 'pipelines.train_ddqn', f'--root_dir={root_dir}',
         f'--gin_bindings=train_ddqn.num_env_steps={_NUM_ENV_STEPS.value}',
         f'--gin_bindings=train_ddqn.checkpoint_interval_env_steps={_CHECKPOINT_INTERVAL}'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _last_row(root_dir: pathlib.Path) -> dict[str, int]:
    with open(root_dir / 'progress.csv', newline='') as f:
        rows = list(csv.DictReader(f))
    return {name: int(rows[-1][name]) for name in _COUNTERS}


def _checkpoint_counters(root_dir: pathlib.Path) -> dict[str, int]:
    newest = max(root_dir.glob('checkpoints/*/manifest.json')).with_name('state.json')
    state = json.loads(newest.read_text())
    return {
        'env_steps': state['env_steps'],
        'train_steps': state['session']['train_steps'],
        'episodes': state['statistics']['num_episodes'],
    }


def _resumed(output: str) -> tuple[int, int]:
    """Returns (env steps, transitions in replay) that a run printed when it resumed."""
    found = re.search(r'resuming from ([\d,]+) env steps with ([\d,]+) transitions', output)
    assert found, output
    steps, transitions = (int(group.replace(',', '')) for group in found.groups())
    return steps, transitions


def main(_) -> None:
    """Kills the run, runs it again, and exits with the verdict."""
    root_dir = pathlib.Path(_ROOT_DIR.value)
    rng = random.Random(_RANDOM_SEED.value)
    lost = []
    killed_at: dict[str, int] | None = None
    kept: dict[str, int] = {}
    for attempt in range(4):
        process = _start(root_dir)
        if attempt < 3:
            while not list(root_dir.glob('checkpoints/*/manifest.json')):
                time.sleep(0.1)
            time.sleep(rng.uniform(6, 20))
            process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        if killed_at is not None:
            steps, transitions = _resumed(output)
            expected = min(_CAPACITY, killed_at['env_steps'])
            print(
                f'killed at {killed_at["env_steps"]:,} env steps (last row written), resumed from '
                f'{steps:,} with {transitions:,} transitions in replay'
            )
            if steps != kept['env_steps']:
                lost.append(f'the checkpoint at {kept["env_steps"]} env steps')
            # A train step per env step, and no more episodes than steps: one limit for all.
            for name in _COUNTERS:
                back = killed_at[name] - kept[name]
                if not back <= _CHECKPOINT_INTERVAL + _TURN:
                    lost.append(f'{back} {name}')
            if abs(expected - transitions) > _CHECKPOINT_INTERVAL + _TURN:
                lost.append(f'{expected - transitions} transitions')
        if attempt < 3:
            if process.returncode != -signal.SIGKILL:
                sys.exit(f'the run was over before it was killed: raise --num_env_steps\n{output}')
            killed_at, kept = _last_row(root_dir), _checkpoint_counters(root_dir)
        elif process.returncode != 0:
            lost.append(f'the end: {output}')
    with open(root_dir / 'progress.csv', newline='') as f:
        rows = list(csv.DictReader(f))
    for name in _COUNTERS:
        values = [int(row[name]) for row in rows]
        if values != sorted(values):
            lost.append(f'the order of {name} in progress.csv')
    summary = json.loads((root_dir / 'summary.json').read_text())
    report = json.loads((root_dir / 'policy' / 'export_report.json').read_text())
    print(
        f'finished at {summary["env_steps"]:,} env steps, {summary["train_steps"]:,} train steps '
        f'({summary["train_steps_per_env_step"]:.5f} per env step), evaluation '
        f'{summary["eval_mean"]:.1f}, policy proven: {report["proven"]}'
    )
    print('nothing lost' if not lost and report['proven'] else f'LOST: {lost}')
    sys.exit(bool(lost) or not report['proven'])


if __name__ == '__main__':
    app.run(main)
