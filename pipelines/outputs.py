"""Files that a user names, such as `evaluate --json=PATH`: checked before the work, written after.

A regular file is replaced as a whole. What is anything else is written through: a device such as
/dev/null, a pipe, and what a symbolic link such as /dev/stdout leads to.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import sys
from collections.abc import Iterator

from pipelines import files
from pipelines.errors import UserError


def checked(flag: str, name: str) -> pathlib.Path:
    """The path that a flag names.

    Args:
      flag: such as '--json', for the message.
      name: the path; a leading ~ is the home directory.

    Raises:
      UserError: nothing can be written there. A file beside it is made and removed to find out.
    """
    try:
        path = pathlib.Path(name).expanduser()
        why = _obstacle(path)
    except (OSError, ValueError, RuntimeError) as e:  # a null character, an unknown user
        why = getattr(e, 'strerror', None) or str(e)
    if why is not None:
        raise UserError(f"{flag}='{name}' cannot be written: {why}; choose another path")
    return path


def write(path: pathlib.Path, content: bytes) -> None:
    """Writes all of it.

    Raises:
      OSError: it could not be written; a regular file is then as it was before.
    """
    if _is_replaced(path):
        files.write_bytes(path, content)
        return
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        if _is_open_as(path, descriptor):  # what has been printed before stays before it
            stream.flush()
            with open(os.dup(descriptor), 'wb') as f:
                f.write(content)
            return
    with open(path, 'wb') as f:
        f.write(content)


@contextlib.contextmanager
def may_fail(flag: str, path: pathlib.Path) -> Iterator[None]:
    """Turns what goes wrong while an output is written into a UserError."""
    try:
        yield
    except OSError as e:
        raise UserError(f"{flag}='{path}' cannot be written: {e.strerror}") from e


def _obstacle(path: pathlib.Path) -> str | None:
    """Why nothing can be written there; None if something can."""
    if path.is_dir():
        return 'it is a directory'
    if path.is_socket() or path.is_block_device():
        return 'it is a socket' if path.is_socket() else 'it is a disk'
    if not _is_replaced(path) and path.exists():
        return None if os.access(path, os.W_OK) else 'it is not yours to write to'
    target = path.resolve() if path.is_symlink() else path
    if not target.parent.is_dir():
        return f'there is no directory {target.parent}'
    tmp = files.temporary(target)
    if os.path.lexists(tmp):
        return f'{tmp.name} is in the way (a program that was killed may have left it)'
    tmp.touch()
    tmp.unlink()
    return None


def _is_replaced(path: pathlib.Path) -> bool:
    """Whether a new file takes the place of what is there."""
    return not path.is_symlink() and (path.is_file() or not path.exists())


def _is_open_as(path: pathlib.Path, descriptor: int) -> bool:
    """Whether this process has opened the file as that descriptor, /dev/stdout for one."""
    try:
        opened = os.fstat(descriptor)
        return not stat.S_ISCHR(opened.st_mode) and os.path.samestat(path.stat(), opened)
    except OSError:
        return False
