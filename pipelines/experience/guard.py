"""What is wrong with a table of Reverb's: no progress, or a change by another program.

Reverb listens on every interface of the machine and asks nobody who they are.
"""

from __future__ import annotations

import time
from typing import Any

import reverb

from pipelines.errors import UserError

_SECONDS_TO_SETTLE = 1.0  # of a table that is being written to


class TableChangedError(UserError):
    """Another program has inserted or removed items, or has emptied the table."""


class ReplayStalledError(UserError):
    """Sampling or inserting made no progress within the timeout; describes the table."""


class NoCheckpoints(reverb.checkpointers.CheckpointerBase):
    """Refuses a client's wish that the server write its tables to a file."""

    def internal_checkpointer(self) -> Any:
        """None, for which the server says that it has no checkpointer."""
        return None


def check_table(table: reverb.Table, port: int, created: int, in_flight: int = 0) -> None:
    """Checks that a table holds what this run has inserted, and nothing else; some 10 microseconds.

    Changed priorities are not noticed.

    Args:
      table: of this process's server.
      port: the server's.
      created: how many items the run has created.
      in_flight: at most so many of them may not have arrived yet.

    Raises:
      TableChangedError: it holds more or fewer.
    """
    deadline = None
    while (words := _change(table.info, created, in_flight)) is not None:
        now = time.monotonic()
        deadline = deadline or now + _SECONDS_TO_SETTLE
        if now > deadline:
            raise TableChangedError(
                f'another program has changed the experience of this run: {words}. Port {port} is '
                'open to every program that reaches this machine; run the same command with '
                '--network=private to resume from the newest checkpoint where none can'
            )
        time.sleep(0.01)


def stalled(doing: str, seconds: float, info: Any, num_starts: int) -> ReplayStalledError:
    """The error that describes a table when `doing` made no progress for so many seconds.

    Args:
      doing: 'sampling' or 'inserting'.
      seconds: without progress.
      info: the table's.
      num_starts: how many transitions it holds.
    """
    limiter = info.rate_limiter_info
    return ReplayStalledError(
        f'replay: {doing} made no progress for {seconds:g} s. The table holds '
        f'{info.current_size} of {info.max_size} items ({num_starts} transitions); its rate '
        f'limiter wants at least {limiter.min_size_to_sample} items and has let through '
        f'{limiter.insert_stats.completed} inserts and {limiter.sample_stats.completed} samples. '
        'Collect more before training, or look for a writer or learner that has died.'
    )


def _change(info: Any, created: int, in_flight: int) -> str | None:
    """How the table differs from what was inserted; None if it does not."""
    inserted = info.rate_limiter_info.insert_stats.completed
    if not created - in_flight <= inserted <= created:
        return f'{inserted:,} items have been inserted into it, and the run inserted {created:,}'
    taken = info.rate_limiter_info.sample_stats.completed if info.max_times_sampled == 1 else 0
    expected = min(inserted - taken, info.max_size)
    if info.current_size != expected:
        return f'it holds {info.current_size:,} items instead of {expected:,}'
    return None
