"""One run's directory, consistent whenever the process dies.

    config.gin      the operative configuration
    environment_error.txt  the traceback, where the environment's own code ended the run
    progress.csv    one row per logging interval
    episodes.csv    one row per training episode
    tensorboard/    the same, for TensorBoard
    checkpoints/    <env steps>/ for each checkpoint (see `checkpoints`), and identity.json,
                    which says what experiment this is (see `identity`)
    replay/         every step collected, written once (see `experience.log`)
    policy/         the exported policy (also policy_raw/, policy_stochastic/)
    videos/         GIFs of greedy play    curve.png  metrics.png  summary.json
    callback_error.txt   the traceback of a callback that has failed

Files that do not grow are written under another name and then renamed, so none is half-written.
"""

from __future__ import annotations

import dataclasses
import fcntl
import pathlib
import re
from collections.abc import Iterable, Mapping

import gin

from envs.errors import EnvError
from pipelines import files, gin_config
from pipelines.errors import UserError
from pipelines.json_files import Damaged
from pipelines.runs import checkpoints, identity
from pipelines.runs.checkpoints import FORMAT
from pipelines.runs.summary import Summary
from pipelines.settings import RunSchedule

_NOTHING = ('None', '()', '[]', '{}')  # what a setting is that is left out
_POLICIES = ('policy', 'policy_raw', 'policy_stochastic')
_ENVIRONMENT_ERROR = 'environment_error.txt'
_FILES = (
    'config.gin', 'summary.json', 'curve.png', 'metrics.png', 'callback_error.txt',
    _ENVIRONMENT_ERROR,
)  # fmt: skip
_OWN_NAMES = (*_POLICIES, *_FILES)
_ALL_FILES = (*_FILES, 'progress.csv', 'episodes.csv', 'checkpoints/identity.json')
_ALL_DIRECTORIES = (*_POLICIES, 'checkpoints', 'replay', 'tensorboard', 'videos')
_LEFTOVER = re.compile(r'(\d{12,}|identity\.json)\.(tmp|old)')  # among the checkpoints


@dataclasses.dataclass(frozen=True)
class Claim:
    """The experiment that a run claims a directory for."""

    seed: int
    schedule: RunSchedule
    may_change: Iterable[str]  # bindings that are not part of the experiment
    # Values that no binding says by itself, such as those that depend on this machine.
    resolved: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # What the run decided when it began, for `remembered`; it may change.
    decided: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def identity(self) -> dict[str, str]:
        """What must be equal in two runs of the same experiment."""
        bindings = gin_config.operative_bindings()
        experiment = {k: v for k, v in sorted(bindings.items()) if k not in set(self.may_change)}
        return {'format': FORMAT, '--seed': str(self.seed), **self.resolved, **experiment}


class RunDir:
    """A locked run directory; use it as a context manager to release the lock."""

    def __init__(self, root_dir: str):
        """Creates the directory if it is missing, and locks it.

        Raises:
          UserError: it cannot be created or written, or another process is using it.
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
        self.identity: dict[str, str] = {}  # once it is claimed
        self._remove_leftovers()

    def __enter__(self) -> RunDir:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Releases the lock; a fault of the environment says how to resume.

        Raises:
          EnvError: instead of one; its traceback, if it has one, is in environment_error.txt.
        """
        self._lock.close()
        if not isinstance(error, EnvError):
            return
        words = str(error)
        if error.traceback:
            path = self.path / _ENVIRONMENT_ERROR
            files.write_text(path, error.traceback)
            words += f'; its traceback is in {path}'
        raise EnvError(f'{words}; fix it and run the same command to resume') from error

    def _remove_leftovers(self) -> None:
        """Cleans up after a kill; touches nothing that other programs made."""
        kept = self.path / 'checkpoints'
        if not (kept / 'identity.json').exists():
            return
        own = [path for path in kept.glob('*') if _LEFTOVER.fullmatch(path.name)]
        own += [self.path / f'{name}.tmp' for name in _OWN_NAMES]
        own += [self.path / f'{name}.old' for name in _POLICIES]
        own += (self.path / 'videos').glob('*.tmp')
        for path in own:
            if path.suffix in ('.tmp', '.old'):
                files.remove_leftover(path)

    def claim(self, claim: Claim) -> bool:
        """Dedicates the directory to this experiment, or checks that it already is.

        Call it after everything that gin configures has been built: the operative
        configuration, kept in config.gin, is what defines an experiment.

        Returns:
          False if the directory holds a finished run of this length, so nothing is left to do.

        Raises:
          UserError: the directory holds a different experiment; the message names the first
            difference.
        """
        self._check_kinds()
        before, note = identity.read(self.path)
        now = claim.identity
        if before:
            self._check_same({k: v for k, v in before.items() if k not in claim.decided}, now)
        print(note, end='\n' if note else '')
        self.identity = {**now, **claim.decided}
        identity.path_in(self.path).parent.mkdir(exist_ok=True)
        identity.write(self.path, self.identity)
        files.write_text(
            self.path / 'config.gin', f'# --seed={claim.seed}\n{gin.operative_config_str()}'
        )
        (self.path / _ENVIRONMENT_ERROR).unlink(missing_ok=True)  # of an earlier start
        summary = self._summary(claim.schedule)
        if summary is None:
            return True
        print(f'{self.path} is finished: {_in_words(summary, claim.schedule)}')
        return False

    def _summary(self, schedule: RunSchedule) -> Summary | None:
        """What a finished run of this length has left; None if something is left to do.

        Raises:
          UserError: what it has left is damaged, and there is no checkpoint to make it from.
        """
        path = self.path / 'summary.json'
        if not path.exists():
            return None
        try:
            summary = Summary.read(path)
        except Damaged as e:
            problem = str(e)
        else:
            if not summary.covers(schedule.length, schedule.num_episodes, schedule.ends):
                return None
            if not (changed := summary.changed(self.path)):
                return summary
            problem = f'{self.path / changed[0]} is missing or was changed'
        if not checkpoints.all_in(self.path / 'checkpoints'):
            raise UserError(
                f'{problem}, and without a checkpoint it cannot be made again: put a copy back'
            )
        print(f'{problem}: what the finished run left is made again from its checkpoint')
        return None

    def _check_kinds(self) -> None:
        """Raises a UserError if a directory is where a file should be, or the reverse."""
        for name in _ALL_FILES:
            if (self.path / name).is_dir():
                raise UserError(f'{self.path / name} is a directory and should be a file: move it')
        for name in _ALL_DIRECTORIES:
            if (self.path / name).is_file():
                raise UserError(f'{self.path / name} is a file and should be a directory: move it')

    def _check_same(self, before: Mapping[str, str], now: Mapping[str, str]) -> None:
        for name in sorted(before.keys() | now.keys()):
            if name not in before and now[name] in _NOTHING:
                continue  # a setting that is newer than the run, and that changes nothing
            if before.get(name) != now.get(name):
                raise UserError(
                    f"--root_dir='{self.path}' holds a different experiment: {name} was "
                    f'{before.get(name, "not set")} and is now {now.get(name, "not set")}; choose '
                    'another directory'
                )


def _in_words(summary: Summary, schedule: RunSchedule) -> str:
    """How far a finished run is, and how to make it longer."""
    words = f'{summary.env_steps:,} env steps, evaluation {summary.eval_mean:.1f}. '
    if summary.stopped is not None:
        return (
            f"{words}'{summary.stopped['by']}' stopped it: {summary.stopped['why']}. Change the "
            'callbacks to train longer.'
        )
    by_episodes = schedule.num_episodes and summary.episodes >= schedule.num_episodes
    return f'{words}Raise num_{"episodes" if by_episodes else schedule.unit} to train longer.'
