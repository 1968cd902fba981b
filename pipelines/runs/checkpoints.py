"""Checkpoints of a run's parts, verified before they are used.

    checkpoints/<env steps>/variables.*     TensorFlow's variables
                           /state.json      each part's state, by name
                           /manifest.json   SHA-256 of the other files

A checkpoint counts only if all its files match the manifest; if the newest does not, the one
before is used. Two are kept.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil
from collections.abc import Callable, Mapping

import tensorflow as tf

from pipelines import files
from pipelines.errors import UserError
from pipelines.protocols import Experience, Part
from pipelines.runs.run_dir import FORMAT

_KEPT = 2


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
            self._variables.write(str(tmp / 'variables'))
            files.write_json(
                tmp / 'state.json', {'format': FORMAT, 'env_steps': env_steps} | states
            )
            files.write_json(tmp / 'manifest.json', _checksums(tmp))
            files.replace_dir(tmp, final)
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
        for path in kept[:-_KEPT]:
            shutil.rmtree(path)
        self._experience.prune(_state(kept[-_KEPT:][0])['experience'])

    def restore(self, say: Callable[[str], None] = print) -> bool:
        """Goes back to the newest undamaged checkpoint; returns False if there is none.

        Damaged checkpoints are deleted and reported to `say`.

        Raises:
          UserError: the checkpoint was written by another version of this program.
        """
        path = self._newest_whole(say)
        if path is None:
            self._experience.restore(None)
            return False
        state = _state(path)
        try:
            if state.get('format') != FORMAT:
                raise ValueError(f'format {state.get("format")}, not {FORMAT}')
            self._variables.read(str(path / 'variables')).assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as e:
            raise UserError(
                f'the checkpoint {path} was written by another version of this program: resume '
                'with that version, or use a new directory'
            ) from e
        for name, part in self._parts.items():
            if name in state:  # a part that is newer than the checkpoint starts here
                part.restore(state[name])
        return True

    def _newest_whole(self, say: Callable[[str], None]) -> pathlib.Path | None:
        damaged = False
        for path in reversed(self._all()):
            problem = _damage(path)
            if problem is None:
                return path
            say(f'checkpoint {path.name} is damaged ({problem}): trying the previous one')
            shutil.rmtree(path)
            damaged = True
        if damaged:
            say('no undamaged checkpoint is left: starting from the beginning')
        return None

    def _all(self) -> list[pathlib.Path]:
        return all_in(self._directory)


def all_in(directory: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints in a directory, the oldest first; damaged ones too."""
    return sorted(path for path in directory.glob('*') if path.name.isdigit())


def _state(path: pathlib.Path) -> dict:
    return json.loads((path / 'state.json').read_text())


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
