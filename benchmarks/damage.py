"""Changes single bytes of a finished run's files, and judges what its readers then do.

    python -m benchmarks.damage --root_dir=runs/damage

For each change a fresh copy of the run is damaged, and then read by `evaluate` (if the byte is a
policy's), as by `compare`, by the run's own command, and, if the byte is a checkpoint's, the
replay's or a CSV file's, by the command with more steps. A change is

    harmless   every reader gives what it gives for the whole run
    mended     the run's command says what was damaged and puts it back
    said       a reader names what is wrong in one line and exits with 2, or goes on without it
    bad        a traceback, another exit code, or other numbers without a word

Byte and value depend on --random_seed and the number of the change alone, so the program resumes.
Prints the counts, and exits with 1 if any is bad. One change takes some seconds.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import io
import json
import pathlib
import random
import shutil
import subprocess
import sys
import traceback
from typing import Any
from unittest import mock

from absl import app, flags

_ROOT_DIR = flags.DEFINE_string('root_dir', None, 'A directory of its own.', required=True)
_CHANGES = flags.DEFINE_integer('changes', 300, 'How many bytes to change, one after the other.')
_RANDOM_SEED = flags.DEFINE_integer('random_seed', 0, 'Says which bytes.')
_AT_ONCE = flags.DEFINE_integer('at_once', 0, 'Internal: judge so many in this process.')

_BATCH = 20  # in one process: TensorFlow never frees what it has built
_BINDINGS = (
    'train_ddqn.num_eval_episodes = 5', 'train_ddqn.num_selection_episodes = 2',
    'train_ddqn.eval_interval_env_steps = 400', 'train_ddqn.log_interval_env_steps = 100',
    'train_ddqn.checkpoint_interval_env_steps = 300', 'train_ddqn.min_replay_transitions = 100',
    'train_ddqn.num_envs = 4', 'mlp_torso.units = (8,)', 'Replay.capacity_transitions = 600',
    'train_ddqn.fuse_train_steps = False',
)  # fmt: skip
_LENGTH, _LONGER = 1_000, 1_100  # env steps
_WORDS = ('damaged', 'cannot be', 'changed', 'missing', 'is gone', 'no whole')


class Said:
    """What a program said, and how it ended."""

    def __init__(self, program: Any, *arguments: str):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                self.code: Any = program.main(['damage', *arguments])
            except BaseException:
                self.code = traceback.format_exc()
        self.lines = (out.getvalue() + err.getvalue()).splitlines()

    @property
    def is_bad(self) -> bool:
        """Whether it ended in a way in which no program should."""
        return self.code not in (0, 2) or any('Traceback' in line for line in self.lines)

    @property
    def says_damage(self) -> bool:
        """Whether it names something that is damaged."""
        return any(word in line for line in self.lines for word in _WORDS)


@dataclasses.dataclass
class Readings:
    """What the readers of a run give; None: it was not read in this way, or refused in a line."""

    returns: Any = None  # of `evaluate`
    compared: Any = None
    summary: Any = None  # after the run's own command
    resumed: Any = None  # the line that says from where
    notes: list[str] = dataclasses.field(default_factory=list)  # what they said of damage
    bad: list[str] = dataclasses.field(default_factory=list)


def _train(run: pathlib.Path, length: int) -> Said:
    from pipelines import train_ddqn

    bindings = (*_BINDINGS, f'train_ddqn.num_env_steps = {length}')
    flags_of_gin = (f'--gin_bindings={binding}' for binding in bindings)
    return Said(train_ddqn, f'--root_dir={run}', *flags_of_gin)


def _read(run: pathlib.Path, name: str) -> Readings:
    """Everything that reads the file `name` of the run."""
    from pipelines import evaluate
    from pipelines.comparison import results
    from pipelines.errors import UserError

    found = Readings()

    def heard(said: Said) -> bool:
        if said.is_bad:
            found.bad.append(f'{said.code}: {said.lines[-3:]}')
        elif said.code or said.says_damage:
            found.notes += [line for line in said.lines if any(w in line for w in _WORDS)]
            found.notes += said.lines[-1:] if said.code else []
        return said.code == 0

    if name.startswith('policy/'):
        report = run.with_name('report.json')
        flags_of_evaluate = (f'--policy_dir={run}', '--episodes=3', f'--json={report}')
        if heard(Said(evaluate, *flags_of_evaluate)):
            found.returns = json.loads(report.read_text())['returns']
    try:
        result = results.read(run)
        found.compared = [dict(result.card), result.x, result.returns, str(result.summary)]
    except UserError as e:
        found.notes.append(str(e))
    except Exception:
        found.bad.append(traceback.format_exc())
    if heard(_train(run, _LENGTH)):
        found.summary = json.loads((run / 'summary.json').read_text())
        for made_again in ('checksums', 'checksum'):  # pictures and archives hold the time
            found.summary.pop(made_again)
    if name.startswith(('checkpoints/', 'replay/')) or name.endswith('.csv'):
        longer = _train(run, _LONGER)
        if heard(longer):
            found.resumed = [line for line in longer.lines if line.startswith('resuming from')]
    return found


def _restore(root: pathlib.Path) -> pathlib.Path:
    run = root / 'run'
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(root / 'whole', run)
    return run


def _judge(root: pathlib.Path, number: int, whole: dict[str, Readings]) -> dict[str, Any]:
    """Damages a fresh copy; returns what was changed, the verdict and why."""
    run = _restore(root)
    rng = random.Random(f'{_RANDOM_SEED.value} {number}')
    paths = sorted(p for p in run.rglob('*') if p.is_file() and p.stat().st_size)
    path = rng.choice(paths)
    data, name = bytearray(path.read_bytes()), str(path.relative_to(run))
    at, value = rng.randrange(len(data)), rng.randrange(1, 256)
    data[at] ^= value
    path.write_bytes(data)
    kind = (
        'policy/' if name.startswith('policy/') else name.partition('/')[0] if '/' in name else name
    )
    if kind not in whole:
        whole[kind] = _read(_restore(root), name)
        assert not whole[kind].bad and not whole[kind].notes, whole[kind]
        _restore(root)
        path.write_bytes(data)
    found, wanted = _read(run, name), whole[kind]
    for field in ('returns', 'compared', 'summary', 'resumed'):
        got = getattr(found, field)
        if got is not None and got != getattr(wanted, field) and not found.notes:
            found.bad.append(f'{field} is {got}')
    verdict = 'harmless' if not found.notes else 'said'
    if found.notes and [found.summary, found.resumed] == [wanted.summary, wanted.resumed]:
        verdict = 'mended'
    return {
        'number': number, 'file': name, 'byte': at, 'xor': value,
        'verdict': 'bad' if found.bad else verdict, 'why': found.bad or found.notes,
    }  # fmt: skip


def _in_this_process(root: pathlib.Path) -> None:
    """Judges the changes that come next."""
    from pipelines.runs import export, export_proof

    class Proven:
        """The proof without a process: what it finds is not what is judged here."""

        returncode = 0

        def __init__(self, command, **_):
            self._directories = command[3:]

        def communicate(self):
            """Proves the policies."""
            reports = [export_proof.prove(pathlib.Path(d)) for d in self._directories]
            return json.dumps(reports), ''

        def kill(self):
            """Does nothing."""

    whole: dict[str, Readings] = {}
    done = len(_verdicts(root))
    with mock.patch.object(export.subprocess, 'Popen', Proven):
        for number in range(done, min(_CHANGES.value, done + _AT_ONCE.value)):
            with open(root / 'now.json', 'w') as f:
                json.dump({'number': number}, f)
            verdict = _judge(root, number, whole)
            with open(root / 'verdicts.jsonl', 'a') as f:
                f.write(json.dumps(verdict) + '\n')


def _verdicts(root: pathlib.Path) -> list[dict[str, Any]]:
    path = root / 'verdicts.jsonl'
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main(argv: list[str]) -> None:
    """Judges all changes, and exits with the verdict."""
    root = pathlib.Path(_ROOT_DIR.value).absolute()
    if _AT_ONCE.value:
        return _in_this_process(root)
    root.mkdir(parents=True, exist_ok=True)
    if not (root / 'whole').exists():
        said = _train(root / 'run', _LENGTH)
        assert said.code == 0, said.lines
        shutil.copytree(root / 'run', root / 'whole.tmp')
        (root / 'whole.tmp').rename(root / 'whole')
    command = [sys.executable, '-m', 'benchmarks.damage', *argv[1:], f'--at_once={_BATCH}']
    command += [f'--root_dir={root}', f'--random_seed={_RANDOM_SEED.value}']
    while (done := len(_verdicts(root))) < _CHANGES.value:
        print(f'{done} of {_CHANGES.value} judged', flush=True)
        code = subprocess.run([*command, f'--changes={_CHANGES.value}'], check=False).returncode
        if code:
            begun = json.loads((root / 'now.json').read_text())
            assert begun['number'] == len(_verdicts(root)), f'the judge failed with {code}'
            with open(root / 'verdicts.jsonl', 'a') as f:
                f.write(
                    json.dumps({**begun, 'verdict': 'bad', 'why': [f'exit code {code}']}) + '\n'
                )
    verdicts = _verdicts(root)[: _CHANGES.value]
    for verdict in verdicts:
        if verdict['verdict'] == 'bad':
            print(json.dumps(verdict))
    counts = collections.Counter(verdict['verdict'] for verdict in verdicts)
    print(', '.join(f'{name}: {count}' for name, count in sorted(counts.items())))
    sys.exit('bad' in counts)


if __name__ == '__main__':
    app.run(main)
