"""Starts whole programs with bad values, and counts those that are answered as they should be.

    python -m benchmarks.bad_values
    python -m benchmarks.bad_values --sample=100 --seed=1

Half of the sample are wrong values of gin's parameters, found in the sources; the others are flags,
files and names. A good answer is one line on standard error that begins with 'error: ', exit code
2 within 15 s, nothing on standard output and nothing written.
"""

from __future__ import annotations

import pathlib
import random
import subprocess
import sys
import tempfile
import time

from absl import app, flags

from pipelines import declared

_SAMPLE = flags.DEFINE_integer('sample', 30, 'How many programs are started.')
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the sample.')
_SECONDS = 15.0

_WRONG = ("'False'", 'None', '-1', '1e999', '-1e999', "b'x'", '{1: 2}', '[[]]', '10.5', 'True')
_OTHERS = (  # ROOT is a new directory, HERE one with the files below
    'train_ddqn --root_dir=~nosuchuser/x',
    'train_ddqn --root_dir=/proc/x --gin_bindings=train_ddqn.gamma=2',
    'train_ddqn --root_dir=ROOT --gin_file=HERE/loop.gin',
    'train_ddqn --root_dir=ROOT --gin_file=HERE/latin.gin',
    'train_ddqn --root_dir=ROOT --gin_file=HERE/from.gin',
    'train_ddqn --root_dir=ROOT --gin_file=HERE',
    'train_ddqn --root_dir=ROOT --seed=1e3',
    'train_ddqn --root_dir=ROOT --seed=-1',
    'train_ddqn --root_dir=ROOT --gin_bindings=train_ddqn.gamma',
    'train_ddqn --root_dir=ROOT --gin_bindings=train_ddqn.batch_size=1_000_000_000',
    'train_ddqn --root_dir=ROOT --gin_bindings=train_ddqn.frame_stack=100_000',
    'train_ddqn --root_dir=ROOT --gin_bindings=mlp_torso.units=(1_000_000_000,)',
    'train_ddqn --root_dir=ROOT --gin_bindings=Replay.rows_per_chunk=1_000_000_000',
    'train_ddqn --root_dir=ROOT --gin_bindings=train_ddqn.min_replay_transitions=49_999',
    'train_ddqn --root_dir=ROOT --gin_bindings=epsilon/LinearSchedule.initial=5.0',
    'train_ddqn --root_dir=ROOT --gin_bindings=learning_rate/LinearSchedule.initial=-1.0',
    'train_reinforce --root_dir=ROOT --gin_bindings=train_ddqn.gamma=0.5',
    'train_reinforce --root_dir=ROOT --gin_bindings=train_reinforce.num_envs=5_000',
    'evaluate --policy_dir=HERE',
    'evaluate --policy_dir=HERE --episodes=1000000000',
    'evaluate --policy_dir=HERE --epsilon=nan',
    'evaluate --policy_dir=~nosuchuser',
    'evaluate --policy_dir=HERE --video=HERE/a.mp4',
    'compare --root_dir=ROOT --experiment=HERE/seeds.toml',
    'compare --root_dir=ROOT --experiment=HERE/name.toml',
    'compare --root_dir=ROOT --run_dirs=HERE --processes=0',
    'compare --root_dir=ROOT --run_dirs=~nosuchuser/x',
    'tutorials run nosuchtutorial',
    'tutorials page 2 --root_dir=ROOT',
)
_EXPERIMENT = "program = 'train_ddqn'\nseeds = {}\n[environments]\na = []\n[agents]\n{} = []\n"
_FILES = {
    'loop.gin': b"include 'loop.gin'\n",
    'latin.gin': 'train_ddqn.gamma = 0.5  # größer\n'.encode('latin-1'),
    'from.gin': b'from nowhere import nothing\n',
    'seeds.toml': _EXPERIMENT.format(10**7, 'b').encode(),
    'name.toml': _EXPERIMENT.format(1, 'b' * 300).encode(),
}


def main(argv: list[str]) -> None:
    """Starts the programs one after another; exits with 1 if an answer is not as it should be."""
    choose = random.Random(_SEED.value)
    commands = choose.sample(_wrong_bindings(), _SAMPLE.value - _SAMPLE.value // 2)
    commands += choose.sample(_OTHERS, min(len(_OTHERS), _SAMPLE.value // 2))
    bad = 0
    with tempfile.TemporaryDirectory() as here:
        for name, content in _FILES.items():
            pathlib.Path(here, name).write_bytes(content)
        for command in commands:
            root = pathlib.Path(here, 'root')
            words = command.replace('ROOT', str(root)).replace('HERE', here).split(' ', 1)
            arguments = words[1].split(' --')
            first = [arguments[0]] if arguments[0].startswith('--') else arguments[0].split()
            rest = [*first, *(f'--{each}' for each in arguments[1:])]
            wrong = _judge([sys.executable, '-m', f'pipelines.{words[0]}', *rest], root)
            bad += bool(wrong)
            print(f'{"WRONG: " + wrong if wrong else "good"}: {command}', flush=True)
    print(f'{len(commands) - bad} of {len(commands)} bad inputs were answered as they should be')
    sys.exit(bool(bad))


def _wrong_bindings() -> list[str]:
    found = []
    for name in declared.configurables():
        program = 'train_reinforce' if name == 'train_reinforce' else 'train_ddqn'
        for parameter, limits in declared.parameters(name).items():
            for value in _WRONG:
                if limits is not None and not limits.fits(eval(value)):
                    binding = f'--gin_bindings={name}.{parameter} = {value}'
                    found.append(f'{program} --root_dir=ROOT {binding}')
    return found


def _judge(command: list[str], root: pathlib.Path) -> str:
    """What is wrong with the answer, or ''."""
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.monotonic() - began
    answer = done.stderr.strip()
    print(f'{seconds:4.1f} s  {answer}')
    if done.returncode != 2 or not answer.startswith('error: ') or '\n' in answer:
        return f'exit code {done.returncode}'
    if done.stdout:
        return 'something was printed'
    if root.exists():
        return 'a directory was left'
    return f'{seconds:.0f} s' if seconds > _SECONDS else ''


if __name__ == '__main__':
    app.run(main)
