"""The first and the last moment of a program; modules that take time are not imported here.

`begin` is called when the package is imported by `python -m` or by an installed script, before
anything else; `leave_at_exit` when a program knows its exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import sys

from pipelines import signals

_SCRIPTS = 'pipelines-'  # how the names of installed scripts begin
_leaving_with: list[int] = []


def is_program() -> bool:
    """Whether this process is one of the programs, not a program of the user's that imports us."""
    started = sys.argv[0] if getattr(sys, 'argv', None) else ''
    return started == '-m' or os.path.basename(started).startswith(_SCRIPTS)


def what_hides_ours() -> str | None:
    """What to say if another `agents` or `envs` would be imported instead of ours."""
    home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    for name in ('agents', 'envs'):
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec else None
        ours = os.path.join(home, name, '__init__.py')
        if origin is None or os.path.realpath(origin) != ours:
            where = origin or (list(spec.submodule_search_locations or ['?'])[0] if spec else '?')
            return (
                f"{where} hides this project's own package '{name}': rename it, or run from "
                'another directory'
            )
    return None


def begin() -> None:
    """Makes the process ready to answer whatever comes, each by one line."""
    signals.leave_at_once()
    _use_utf8()
    for descriptor in (0, 1, 2):  # a file opened later would take the place of a closed one
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free
    sys.stdout = sys.stdout or open(1, 'w', closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, 'w', closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors='backslashreplace')  # type: ignore[attr-defined]
    try:
        os.getcwd()
    except OSError:
        print(
            'error: the working directory does not exist any more: cd to another', file=sys.stderr
        )
        os._exit(2)
    atexit.register(_leave)  # first of all, so it is called last


def leave_at_exit(code: int) -> None:
    """Ends a program with this exit code as soon as Python has called what `atexit` knows.

    Nothing changes where `begin` was not called. Taking TensorFlow's objects apart one by one would
    take more than a second.
    """
    _leaving_with[:] = [code]


def _leave() -> None:
    if _leaving_with:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(_leaving_with[0])


def _use_utf8() -> None:
    """Starts again in UTF-8 if the locale is another: TensorFlow knows no other names of files."""
    if sys.getfilesystemencoding() != 'utf-8' and os.environ.get('PYTHONUTF8') != '1':
        os.environ['PYTHONUTF8'] = '1'
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
