"""Signals, from a program's first moment to its last.

first moment            one line, and the program ends: `leave_at_once`
it works                `Stopped` is raised: files are written whole or not at all
within `stop_on_signal` a request, answered when the work in progress is done
a second SIGINT         KeyboardInterrupt, and the program ends where it is
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

ANSWERED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = 75  # the exit code: 'temporary failure, try again' in sysexits.h


class Stopped(KeyboardInterrupt):
    """A signal, whose name is the argument, has ended the work in progress."""


class _Life:
    """What has happened to this process."""

    def __init__(self) -> None:
        self.received: list[int] = []  # and not answered yet
        self.is_patient = False  # within `stop_on_signal`
        self.requested = False  # a stop, by something else than a signal
        self.stopped = False


_life = _Life()


def leave_at_once() -> None:
    """Answers the first signal by a line and the end of the process."""

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, f'stopped by {signal.Signals(number).name}\n'.encode())
        os._exit(STOPPED)

    _handle(leave)


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Surrounds a program: the first signal raises `Stopped`, a second SIGINT KeyboardInterrupt."""
    global _life
    _life = _Life()
    previous = _handle(_answer)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether a stop has been requested, by a signal for example.

    The first signal requests a clean stop; a second SIGINT interrupts at once.
    """
    previous = _handle(_answer)
    _life.is_patient, _life.requested = True, False
    try:
        yield lambda: bool(_life.received) or _life.requested
    finally:
        _life.is_patient = False
        _life.received.clear()
        for number, handler in previous.items():
            signal.signal(number, handler)


def request_stop() -> bool:
    """Requests a clean stop as a signal does; False if nothing here can stop cleanly."""
    _life.requested = True
    return _life.is_patient


def say_stopped(words: str) -> None:
    """Prints that the work has been stopped, which decides the program's exit code."""
    _life.stopped = True
    print(words)


def has_stopped() -> bool:
    """Whether `say_stopped` has been called in this program."""
    return _life.stopped


def has_interrupted() -> bool:
    """Whether a signal has raised `Stopped` in this program."""
    return bool(_life.received)


def _answer(number: int, frame: FrameType | None) -> None:
    again = bool(_life.received)
    _life.received.append(number)
    if again and number == signal.SIGINT:
        raise KeyboardInterrupt
    if not again and not _life.is_patient:
        raise Stopped(signal.Signals(number).name)


def _handle(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Sets the handler of all signals; returns those before.

    A hangup that is ignored, as under nohup, stays ignored.
    """
    numbers = [n for n in ANSWERED if n != signal.SIGHUP or _is_heard(n)]
    return {number: signal.signal(number, handler) for number in numbers}


def _is_heard(number: int) -> bool:
    return signal.getsignal(number) != signal.SIG_IGN
