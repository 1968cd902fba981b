"""One run's directory: always consistent, whatever instant the process dies at.

    config.gin      the operative configuration; what makes two runs the same experiment
    progress.csv    one row per logging interval
    tensorboard/    the same, for TensorBoard
    checkpoints/    <env steps>/: variables, state.json, manifest.json with checksums
    replay/         every step collected, written once (see `replay_log`)
    policy/         the exported policy (also policy_raw/, policy_stochastic/)
    videos/         GIFs of greedy play    curve.png  metrics.png  summary.json

Files appear whole: each is written under another name, synced, and renamed. A
checkpoint counts only if every file in it matches its manifest; where the newest does
not, the one before is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping

import gin

from pipelines import cli
from pipelines.cli import UserError

CHECKED = 'every binding is used, and everything can be made'  # what --check_only says
_KEPT_CHECKPOINTS = 2
_POLICIES = ('policy', 'policy_raw', 'policy_stochastic')
_OWN_NAMES = (*_POLICIES, 'config.gin', 'summary.json', 'curve.png', 'metrics.png')
# What may change between two runs of one directory: how long, how often, how it is judged.
_FREE_PARAMETERS = (
    'num_env_steps',
    'num_episodes',
    'num_eval_episodes',
    'num_selection_episodes',
    'eval_epsilon',
    'eval_interval_env_steps',
    'checkpoint_interval_env_steps',
    'log_interval_env_steps',
    'eval_interval_episodes',
    'checkpoint_interval_episodes',
    'log_interval_episodes',
    'video_interval_episodes',
    'stall_timeout_seconds',
)


class RunDir:
    """A locked run directory; leave it as a context manager to release the lock."""

    def __init__(self, root_dir: str):
        """Makes the directory where needed and locks it.

        Raises:
          UserError: it cannot be made or written, or another process is at work in it.
        """
        self.path = pathlib.Path(root_dir).expanduser().absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / '.lock', 'w')  # noqa: SIM115
        except OSError as e:
            raise UserError(
                f"--root_dir='{root_dir}' cannot be written: {e.strerror}; choose another"
            ) from e
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise UserError(
                f"--root_dir='{root_dir}' is in use by another process; wait for it, or choose "
                'another directory'
            ) from e
        self._remove_leftovers()

    def __enter__(self) -> RunDir:
        return self

    def __exit__(self, *exc_info) -> None:
        self._lock.close()

    def _remove_leftovers(self):
        """Mends what a kill left half done; touches nothing but what this program makes."""
        checkpoints = self.path / 'checkpoints'
        if not (checkpoints / 'identity.json').exists():
            return
        own = [*checkpoints.glob('*'), *(self.path / f'{name}.tmp' for name in _OWN_NAMES)]
        own += [self.path / f'{name}.old' for name in _POLICIES]
        own += (self.path / 'videos').glob('*.tmp')
        for path in own:
            if path.suffix == '.old' and path.exists() and not path.with_suffix('').exists():
                path.rename(path.with_suffix(''))  # killed between two renames of `replace_dir`
            elif path.suffix in ('.tmp', '.old') and path.exists():
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def claim(
        self, seed: int, unit: str, length: int, resolved: Mapping[str, str] | None = None
    ) -> bool:
        """Makes this directory the one of this experiment, or checks that it is already.

        Call it when everything that gin configures has been made: the operative
        configuration, kept in config.gin, is what makes an experiment.

        Args:
          seed: of the run.
          unit: 'env_steps' or 'episodes'.
          length: how long the run shall be, in that unit.
          resolved: what this machine made of values that gin leaves to it; part of the
            experiment.

        Returns:
          False where a run of that length is finished: there is nothing to do.

        Raises:
          UserError: the directory holds a different experiment; the first difference is named.
        """
        bindings = cli.operative_bindings()
        identity = {'--seed': str(seed), **(resolved or {})} | {
            name: value
            for name, value in sorted(bindings.items())
            if name.split('.')[-1] not in _FREE_PARAMETERS
        }
        identity_path = self.path / 'checkpoints' / 'identity.json'
        identity_path.parent.mkdir(exist_ok=True)
        if identity_path.exists():
            before = json.loads(identity_path.read_text())
            for name in sorted(before.keys() | identity.keys()):
                if before.get(name) != identity.get(name):
                    raise UserError(
                        f"--root_dir='{self.path}' holds a different experiment: {name} was "
                        f'{before.get(name, "not set")} and is now '
                        f'{identity.get(name, "not set")}; choose another directory'
                    )
        write_json(identity_path, identity)
        write_text(self.path / 'config.gin', f'# --seed={seed}\n{gin.operative_config_str()}')
        summary_path = self.path / 'summary.json'
        if not summary_path.exists():
            return True
        summary = json.loads(summary_path.read_text())
        if summary[f'num_{unit}'] < length:
            return True
        print(
            f'{self.path} is finished: {summary["env_steps"]:,} env steps, evaluation '
            f'{summary["eval_mean"]:.1f}. Raise num_{unit} to go on.'
        )
        return False

    def save_checkpoint(
        self, env_steps: int, state: dict, write_variables: Callable[[str], object]
    ) -> list[dict]:
        """Adds a checkpoint and drops the oldest beyond two.

        Args:
          env_steps: its name.
          state: what is kept as JSON.
          write_variables: writes the variables to files with the given prefix.

        Returns:
          The states of the checkpoints that are kept, oldest first.

        Raises:
          UserError: the disk is full or fails; the checkpoints before are untouched.
        """
        final = self.path / 'checkpoints' / f'{env_steps:012d}'
        tmp = final.with_suffix('.tmp')
        try:
            shutil.rmtree(tmp, ignore_errors=True)
            tmp.mkdir(parents=True)
            write_variables(str(tmp / 'variables'))
            write_json(tmp / 'state.json', state)
            write_json(tmp / 'manifest.json', _checksums(tmp))
            replace_dir(tmp, final)
        except Exception as e:
            shutil.rmtree(tmp, ignore_errors=True)
            reason = cli.storage_failure(e)
            if reason is None:
                raise
            raise UserError(
                f'the checkpoint at {env_steps} env steps could not be written to '
                f'{final.parent}: {reason}; make room and run the same command: it goes on from '
                'the checkpoint before'
            ) from e
        kept = self._checkpoints()
        for path in kept[:-_KEPT_CHECKPOINTS]:
            shutil.rmtree(path)
        return [json.loads((path / 'state.json').read_text()) for path in kept[-_KEPT_CHECKPOINTS:]]

    def _checkpoints(self) -> list[pathlib.Path]:
        return sorted(path for path in (self.path / 'checkpoints').glob('*') if path.name.isdigit())

    def newest_checkpoint(self, say: Callable[[str], None]) -> tuple[str, dict] | None:
        """(prefix of the variables, state) of the newest whole checkpoint, or None.

        Damaged ones are removed, and `say` is told.
        """
        damaged = False
        for path in reversed(self._checkpoints()):
            problem = _damage(path)
            if problem is None:
                return str(path / 'variables'), json.loads((path / 'state.json').read_text())
            say(f'checkpoint {path.name} is damaged ({problem}): trying the one before')
            shutil.rmtree(path)
            damaged = True
        if damaged:
            say('no whole checkpoint is left: starting anew')
        return None


class _Rehearsal(RunDir):
    """A run of which everything is made and nothing begun."""

    def claim(self, *args, **kwargs) -> bool:
        print(CHECKED)
        return False


@contextlib.contextmanager
def open_run(root_dir: str, check_only: bool) -> Iterator[RunDir]:
    """`RunDir(root_dir)`; for a check only, a temporary one whose `claim` ends the run."""
    if not check_only:
        with RunDir(root_dir) as run:
            yield run
        return
    with tempfile.TemporaryDirectory() as temporary, _Rehearsal(temporary) as run:
        yield run


def _checksums(directory: pathlib.Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.iterdir())
        if path.name != 'manifest.json'
    }


def _damage(directory: pathlib.Path) -> str | None:
    try:
        manifest = json.loads((directory / 'manifest.json').read_text())
    except (OSError, ValueError):
        return 'no readable manifest.json'
    actual = _checksums(directory)
    for name, checksum in manifest.items():
        if name not in actual:
            return f'{name} is missing'
        if actual[name] != checksum:
            return f'{name} has changed'
    return None


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file that is there whole or not at all."""
    tmp = path.with_name(path.name + '.tmp')
    with open(tmp, 'w') as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(tmp, path)


def write_json(path: pathlib.Path, value) -> None:
    """`write_text` of indented JSON."""
    write_text(path, json.dumps(value, indent=2) + '\n')


def replace_dir(tmp: pathlib.Path, final: pathlib.Path) -> None:
    """Puts the complete directory `tmp` in the place of `final`.

    A kill between the two renames leaves `final`.old, which `RunDir` puts back.
    """
    for path in tmp.rglob('*'):
        if path.is_file():
            with open(path, 'rb') as f:
                os.fsync(f.fileno())
    old = final.with_name(final.name + '.old')
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    tmp.rename(final)
    sync_dir(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync_dir(path: pathlib.Path) -> None:
    """Makes the names in a directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether SIGINT or SIGTERM has come.

    The first signal asks for a clean stop, a second SIGINT interrupts at once.
    """
    received: list[int] = []

    def handle(number, frame):
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
