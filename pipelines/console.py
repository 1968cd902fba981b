"""Standard output and standard error that may be closed or full while a program works."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

from pipelines import signals


class OutputError(BaseException):
    """Nobody reads standard output any more, or it is full.

    Nothing but the program's end may catch it, as is true of KeyboardInterrupt.
    """


class Output:
    """A stream that says what went wrong with it once, and is silent from then on."""

    def __init__(self, stream: Any):
        self._stream = stream
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes; see `flush`."""
        with self._failing():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes.

        Raises:
          OutputError: for the first time this stream cannot be written, unless work is in progress
            that can be stopped cleanly; then that is requested.
        """
        with self._failing():
            self._stream.flush()

    @property
    def has_no_reader(self) -> bool:
        """Whether it failed because whoever read it, such as `head`, has gone."""
        return self.failure is not None and self.failure.errno == errno.EPIPE

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            self._send_nowhere()
            if self.failure is not None:
                return
            self.failure = e
            if self._stream is not sys.__stderr__ and not signals.request_stop():
                raise OutputError from e

    def _send_nowhere(self) -> None:
        """Drops what has been printed and not been written, and all that follows."""
        with contextlib.suppress(OSError, ValueError):  # not a file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()


@contextlib.contextmanager
def guarded() -> Iterator[Output]:
    """Surrounds a program; yields its standard output."""
    before = sys.stdout, sys.stderr
    output: Any = Output(sys.stdout)
    errors: Any = Output(sys.stderr)
    sys.stdout, sys.stderr = output, errors
    try:
        yield output
    finally:
        sys.stdout, sys.stderr = before
