"""Runs the rest of a program where it can do little harm; its results go through the parent."""

from __future__ import annotations

import ctypes
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Mapping
from typing import BinaryIO

from pipelines import namespaces, outputs
from pipelines.errors import UserError

Deliver = Callable[[str, bytes], None]  # writes to the output of that flag
_PR_SET_PDEATHSIG = 1
_LENGTH_BYTES = 8


def enter(paths: Mapping[str, pathlib.Path]) -> Deliver:
    """Goes on in a child process without network and with a read-only file system.

    Only the child returns. The parent waits for it, writes what it delivers, and exits as it does.

    Args:
      paths: by flag, the files that may be written.

    Returns:
      What writes them.

    Raises:
      UserError: the kernel does not allow it; or, in the parent, a file could not be written.
    """
    if why := namespaces.obstacle(namespaces.shut_in):
        raise UserError(
            f'--sandbox: a process cannot be shut in here ({why}); leave it out only if you trust '
            'the policy, which then runs with your rights'
        )
    sys.stdout.flush()
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the last process answers
        with open(reading, 'rb') as pipe:
            _write_what_comes(pipe, paths)
        raise SystemExit(_exit_code(child))
    os.close(reading)
    namespaces.shut_in()
    _die_with_the_parent()
    if child := os.fork():  # the first process that sees itself alone
        os.close(writing)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os._exit(_exit_code(child))
    _die_with_the_parent()
    os.environ['TMPDIR'] = '/dev/shm'

    def deliver(flag: str, content: bytes) -> None:
        name = flag.encode()
        with open(os.dup(writing), 'wb') as pipe:
            for part in (name, content):
                pipe.write(len(part).to_bytes(_LENGTH_BYTES, 'big') + part)

    return deliver


def _write_what_comes(pipe: BinaryIO, paths: Mapping[str, pathlib.Path]) -> None:
    def part() -> bytes:
        return pipe.read(int.from_bytes(pipe.read(_LENGTH_BYTES), 'big'))

    while flag := part().decode(errors='replace'):
        content = part()
        if flag in paths:
            with outputs.may_fail(flag, paths[flag]):
                outputs.write(paths[flag], content)


def _exit_code(child: int) -> int:
    """Waits for a child; minus its signal becomes what a shell says."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _die_with_the_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
