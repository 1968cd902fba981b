"""Checkpoints of a run's parts, verified before they are used.

    checkpoints/<env steps>/variables.*     TensorFlow's variables
                           /state.json      each part's state, by name
                           /manifest.json   SHA-256 of the other files
               /saved                       an empty file: there has been a checkpoint

A checkpoint counts only if all its files match the manifest; if the newest does not, the one
before is used. Two are kept.
"""

from __future__ import annotations

import contextlib
import pathlib
import re
import shutil
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import tensorflow as tf

from pipelines import files, json_files
from pipelines.errors import UserError
from pipelines.protocols import Experience, Part

FORMAT = '4'  # of checkpoints and of identity.json
_KEPT = 2
_SAVED = 'saved'
_NAME = re.compile(r'\d{12,}')
_NEEDED = {'state.json', 'variables.index'}


class State(TypedDict):
    """state.json: beside the states of parts."""

    format: str
    env_steps: int
    experience: Any


class Checkpoints:
    """Saves the parts of a run together, and restores them together."""

    def __init__(
        self,
        directory: pathlib.Path,
        variables: tf.train.Checkpoint,
        parts: Mapping[str, Part],
        experience: Experience,
    ):
        """Prepares; nothing is read or written yet.

        Args:
          directory: directory of the checkpoints, created if it is missing.
          variables: TensorFlow's variables.
          parts: other parts by name, restored in this order.
          experience: restored last, even without a checkpoint; what no kept checkpoint needs of
            it is deleted.
        """
        self._directory, self._variables = directory, variables
        self._parts, self._experience = {**parts, 'experience': experience}, experience

    @property
    def exist(self) -> bool:
        """Whether there is one, be it damaged."""
        return bool(self._all())

    def save(self, env_steps: int) -> None:
        """Adds a checkpoint named after `env_steps` and drops the oldest beyond two.

        Raises:
          UserError: the disk is full or fails; earlier checkpoints are untouched.
        """
        final = self._directory / f'{env_steps:012d}'
        tmp = final.with_suffix('.tmp')
        try:
            shutil.rmtree(tmp, ignore_errors=True)
            tmp.mkdir(parents=True)
            states = {name: part.state() for name, part in self._parts.items()}
            with files.for_tensorflow(tmp) as path:
                self._variables.write(str(path / 'variables'))
            json_files.write(
                tmp / 'state.json', {'format': FORMAT, 'env_steps': env_steps} | states
            )
            files.write_json(tmp / 'manifest.json', _checksums(tmp))
            files.replace_dir(tmp, final)
            (self._directory / _SAVED).touch()
        except Exception as e:
            shutil.rmtree(tmp, ignore_errors=True)
            reason = files.storage_failure(e)
            if reason is None:
                raise
            raise UserError(
                f'the checkpoint at {env_steps} env steps could not be written to '
                f'{final.parent}: {reason}; make room and run the same command, which resumes from '
                'the previous checkpoint'
            ) from e
        kept = self._all()
        for old in kept[:-_KEPT]:
            shutil.rmtree(old)
        with contextlib.suppress(json_files.Damaged):  # the older one: nobody knows what it needs
            self._experience.prune(_state(kept[-_KEPT:][0])['experience'])

    def restore(self, say: Callable[[str], None] = print) -> bool:
        """Goes back to the newest undamaged checkpoint; returns False if there has been none.

        Damaged ones that are newer are reported to `say` and deleted.

        Raises:
          UserError: no checkpoint is whole, or it was written by another version of this program.
        """
        path = self._newest_whole(say)
        if path is None:
            self._experience.restore(None)
            return False
        state = _state(path)
        if state['format'] != FORMAT:
            raise _of_another_version(path)
        try:
            with files.for_tensorflow(path) as readable:
                read = self._variables.read(str(readable / 'variables'))
                read.assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as e:
            raise _of_another_version(path) from e
        for name, part in self._parts.items():
            if name in state:  # a part that is newer than the checkpoint starts here
                part.restore(state[name])
        return True

    def _newest_whole(self, say: Callable[[str], None]) -> pathlib.Path | None:
        damaged: dict[pathlib.Path, str] = {}
        for path in reversed(self._all()):
            problem = _damage(path)
            if problem is None:
                for newer, why in damaged.items():
                    say(f'checkpoint {newer.name} is damaged ({why}): trying the previous one')
                    shutil.rmtree(newer)
                return path
            damaged[path] = problem
        if damaged or has_been_saved(self._directory):
            why = '; '.join(f'{path.name}: {problem}' for path, problem in damaged.items())
            raise UserError(
                f'{self._directory} holds no whole checkpoint ({why or "they are gone"}), and '
                'without one the run would begin again: put a copy back, or choose another '
                '--root_dir'
            )
        return None

    def _all(self) -> list[pathlib.Path]:
        return all_in(self._directory)


def all_in(directory: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints in a directory, the oldest first; damaged ones too."""
    found = (path for path in directory.glob('*') if _NAME.fullmatch(path.name) and path.is_dir())
    return sorted(found)


def has_been_saved(directory: pathlib.Path) -> bool:
    """Whether a checkpoint has ever been written to a directory, be it gone or damaged."""
    return bool(all_in(directory)) or (directory / _SAVED).exists()


def newest_state(directory: pathlib.Path) -> dict[str, Any] | None:
    """The states of parts in the newest whole checkpoint in a directory; None if there is none."""
    whole = (path for path in reversed(all_in(directory)) if _damage(path) is None)
    newest = next(whole, None)
    return None if newest is None else _state(newest)


def _state(path: pathlib.Path) -> dict[str, Any]:
    return json_files.read(path / 'state.json', State)


def _of_another_version(path: pathlib.Path) -> UserError:
    return UserError(
        f'the checkpoint {path} was written by another version of this program: resume with that '
        'version, or use a new directory'
    )


def _checksums(directory: pathlib.Path) -> dict[str, str | None]:
    names = sorted(path.name for path in directory.iterdir())
    return {name: files.checksum(directory / name) for name in names if name != 'manifest.json'}


def _damage(directory: pathlib.Path) -> str | None:
    try:
        manifest = json_files.read(directory / 'manifest.json', dict[str, str])
    except json_files.Damaged:
        return 'no readable manifest.json'
    for name in sorted(_NEEDED | manifest.keys()):
        actual = files.checksum(directory / name)
        if actual is None:
            return f'{name} is missing'
        if actual != manifest.get(name):
            return f'{name} has changed'
    return None
