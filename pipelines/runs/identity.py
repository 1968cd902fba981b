"""What experiment a run's directory holds: checkpoints/identity.json, mended where it can be.

Every checkpoint keeps a copy, so a damaged file costs nothing.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from pipelines import json_files
from pipelines.errors import UserError
from pipelines.runs import checkpoints

Identity = Mapping[str, str]  # 'configurable.parameter' or another name: its value as text
_TRACES = ('progress.csv', 'episodes.csv', 'summary.json', 'policy', 'replay')


class Kept:
    """The part of a checkpoint that keeps the identity."""

    def __init__(self, identity: Identity):
        """`identity`: as it was claimed."""
        self._identity = dict(identity)

    def state(self) -> dict[str, str]:
        """Returns the identity."""
        return self._identity

    def restore(self, state: Any) -> None:
        """Does nothing: the directory was claimed with it."""


def path_in(root: pathlib.Path) -> pathlib.Path:
    """Where it is written."""
    return root / 'checkpoints' / 'identity.json'


def write(root: pathlib.Path, identity: Identity) -> None:
    """Writes the file whole or not at all."""
    json_files.write(path_in(root), identity)


def read(root: pathlib.Path) -> tuple[dict[str, str], str]:
    """What the directory was claimed for.

    Args:
      root: directory of the run.

    Returns:
      The identity, {} if there is none; and a line about it, '' if there is nothing to say.

    Raises:
      UserError: another version wrote it; or it is damaged or missing, no checkpoint has a copy,
        and there is something that would be lost if the run began again.
    """
    path = path_in(root)
    try:
        return json_files.read(path, dict[str, str], version=checkpoints.FORMAT), ''
    except json_files.OtherVersionError as e:
        raise UserError(
            f"--root_dir='{root}' was written by another version of this program: resume "
            'it with that version, or choose another directory'
        ) from e
    except json_files.Damaged as e:
        kept = (checkpoints.newest_state(path.parent) or {}).get('identity')
        if kept:
            return kept, f'{e}: taken from the newest checkpoint'
        if not path.exists() and not any((root / name).exists() for name in _TRACES):
            return {}, ''
        if path.exists() and not checkpoints.has_been_saved(path.parent):
            return {}, f'{e}, and there is no checkpoint yet: the run begins again'
        raise UserError(
            f"--root_dir='{root}' holds a run whose checkpoints are gone or damaged ({e}), and "
            'without them it would begin again: put a copy back, or choose another directory'
        ) from e


def remembered(root_dir: str, name: str) -> str | None:
    """What a run decided about `name` when it began; None if it did not, or has not begun."""
    try:
        return read(pathlib.Path(root_dir).expanduser())[0].get(name)
    except (UserError, OSError, RuntimeError):  # said when the directory is claimed
        return None
