"""Which policies this user has made or played, by the checksums of their programs.

Kept in $XDG_STATE_HOME/tf_agents_pipelines/known_policies, or below ~/.local/state.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib


def note(policy_dir: pathlib.Path) -> None:
    """Remembers a policy, as far as anything can be remembered here."""
    with contextlib.suppress(OSError, RuntimeError):
        path, checksum = _path(), _checksum(policy_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _has(path, checksum):
            with open(path, 'a') as f:
                f.write(checksum + '\n')


def is_new(policy_dir: pathlib.Path) -> bool:
    """Whether this user has neither made nor played it; False if it is not there."""
    try:
        checksum = _checksum(policy_dir)
    except OSError:  # loading it says what is wrong
        return False
    try:
        return not _has(_path(), checksum)
    except (OSError, RuntimeError):  # not readable, or no home
        return True


def _path() -> pathlib.Path:
    state = os.environ.get('XDG_STATE_HOME') or pathlib.Path.home() / '.local' / 'state'
    return pathlib.Path(state) / 'tf_agents_pipelines' / 'known_policies'


def _has(path: pathlib.Path, checksum: str) -> bool:
    return path.exists() and checksum in path.read_text(errors='replace').split()


def _checksum(policy_dir: pathlib.Path) -> str:
    return hashlib.sha256((policy_dir / 'saved_model.pb').read_bytes()).hexdigest()
