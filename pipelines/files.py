"""Atomic writes: a file is there whole or not at all, whenever the process dies."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any

PACKAGE_DIR = pathlib.Path(__file__).parent
_STORAGE_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.EMFILE,
)  # fmt: skip
_STORAGE_WORDS = ('No space left on device', 'Disk quota exceeded', 'File too large')


def existing_file(name: str) -> pathlib.Path | None:
    """Returns the file at that path, or else below pipelines/; None if neither exists."""
    candidates = (pathlib.Path(os.path.expanduser(name)), PACKAGE_DIR / name)
    with contextlib.suppress(OSError, ValueError):  # no file has such a name
        return next((path for path in candidates if path.is_file()), None)
    return None


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path; the file there replaces `path` if the block succeeds.

    If it fails, no temporary file is left.
    """
    tmp = temporary(path)
    try:
        yield tmp
        os.replace(tmp, path)
    finally:
        tmp.unlink(missing_ok=True)


def temporary(path: pathlib.Path) -> pathlib.Path:
    """Where a file is written before it replaces `path`."""
    return path.with_name(path.name + '.tmp')


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes a file that survives a power cut."""
    with replacing(path) as tmp, open(tmp, 'wb') as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())


def write_text(path: pathlib.Path, text: str) -> None:
    """`write_bytes` of text, in UTF-8 whatever the locale says."""
    write_bytes(path, text.encode(errors='surrogateescape'))


def write_json(path: pathlib.Path, value: Any) -> None:
    """`write_text` of indented JSON."""
    write_text(path, json.dumps(value, indent=2) + '\n')


def replace_dir(tmp: pathlib.Path, final: pathlib.Path) -> None:
    """Replaces the directory `final` with the complete directory `tmp`.

    A kill between the two renames leaves `final`.old, which `remove_leftover` puts back.
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


def remove_leftover(path: pathlib.Path) -> None:
    """Removes a .tmp or .old that a kill left; puts an .old back if its directory is gone."""
    if not path.exists():
        return
    if path.suffix == '.old' and not path.with_suffix('').exists():
        path.rename(path.with_suffix(''))  # killed between the two renames of `replace_dir`
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def checksum(path: pathlib.Path) -> str | None:
    """The SHA-256 sum of a file, in hexadecimal; None if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


_PATTERN = re.compile(r'[*?\[\\]')  # what TensorFlow takes for one


@contextlib.contextmanager
def for_tensorflow(directory: pathlib.Path, inherit: bool = False) -> Iterator[pathlib.Path]:
    """Yields a path of an existing directory that TensorFlow does not take for a pattern.

    TensorFlow looks for the files of checkpoints and SavedModels with wildcards, and would find
    nothing in a directory named `run[1]`.

    Args:
      directory: the directory.
      inherit: whether processes that are started meanwhile with `close_fds=False` can use it.
    """
    if not _PATTERN.search(str(directory.absolute())):
        yield directory
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(descriptor, inherit)
    try:
        yield pathlib.Path(f'/proc/self/fd/{descriptor}')
    finally:
        os.close(descriptor)


def sync_dir(path: pathlib.Path) -> None:
    """Makes the names in a directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def storage_failure(error: BaseException) -> str | None:
    """Returns the system's message if the disk, not the program, is at fault; else None."""
    if isinstance(error, OSError) and error.errno in _STORAGE_ERRORS:
        return error.strerror
    # TensorFlow raises its own errors, with the system's message inside.
    return next((words for words in _STORAGE_WORDS if words in str(error)), None)
