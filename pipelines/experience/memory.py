"""How much memory a replay takes, and whether the machine has it."""

from __future__ import annotations

import contextlib
import pathlib
import zlib
from collections.abc import Iterator

import numpy as np
import psutil

from pipelines.errors import UserError
from pipelines.experience.rows import RowCodec

# Reverb's overhead, measured by benchmarks/replay_memory.py.
_ITEM_BYTES = 760
_CHUNK_BYTES = 750
_FRAME_COMPRESSION = 5  # until the first rows are there: Space Invaders' frames shrink to a tenth
# Reverb compresses with Snappy, faster than zlib; it shrinks Space Invaders 2.4 times less.
_SNAPPY_SHARE = 2.5
# Fetched, waiting, trained on, and decoded: 6.7 with frames of 200x200x3 bytes, measured once.
_SAMPLES_HELD = 7
_FIRST_MEASURED, _MEASURED_AGAIN = 64, 4  # vector steps, and so many times as many
_CGROUPS = pathlib.Path('/sys/fs/cgroup')


class Forecast:
    """What a table and its samples will take; pictures are measured once there are some.

    A game's frames shrink to a tenth, noise does not at all, so what is said before the first row
    is a guess.
    """

    def __init__(
        self,
        codec: RowCodec,
        capacity_transitions: int,
        num_items: int,
        rows_per_chunk: int,
        rows_per_sample: int,
    ):
        """Guesses.

        Args:
          codec: of the rows.
          capacity_transitions: of the table.
          num_items: in the full table.
          rows_per_chunk: compressed together.
          rows_per_sample: leads and tails of its blocks included.
        """
        self._capacity, self._rows_per_chunk = capacity_transitions, rows_per_chunk
        self._row_bytes, self._frame_bytes = codec.row_bytes, codec.frame_bytes
        chunks = -(-capacity_transitions // rows_per_chunk)
        self._overhead = num_items * _ITEM_BYTES + chunks * _CHUNK_BYTES
        self.sample_bytes = _SAMPLES_HELD * rows_per_sample * codec.row_bytes
        self._chunk: list[np.ndarray] = []
        self._vector_steps, self._next = 0, _FIRST_MEASURED
        self._stored_row_bytes = self._guess

    @property
    def _guess(self) -> float:
        return self._row_bytes - self._frame_bytes + self._frame_bytes / _FRAME_COMPRESSION

    @property
    def table_bytes(self) -> int:
        """Resident memory of a full table in bytes."""
        return int(self._capacity * self._stored_row_bytes) + self._overhead

    def check(self, num_stored: int = 0) -> None:
        """Raises a UserError if what is still needed is not free; it says how many transitions fit.

        Args:
          num_stored: transitions that are in the table already.
        """
        share = 1 - min(num_stored, self._capacity) / self._capacity
        samples = 0 if num_stored else self.sample_bytes
        needed, available = share * self.table_bytes + samples, available_bytes()
        if needed <= available:
            return
        if samples > needed - samples:
            raise UserError(
                'train_ddqn.batch_size: the samples of a turn need about '
                f'{samples / 2**30:,.1f} GiB, and {available / 2**30:.1f} GiB are free: lower it, '
                'or train_ddqn.max_train_steps_per_turn'
            )
        fits = int(num_stored + max(0, available - samples) * self._capacity / self.table_bytes)
        measured = self._stored_row_bytes != self._guess
        rows = (
            f' more, for its rows shrink to {self._stored_row_bytes / self._row_bytes:.0%},'
            if measured
            else f' ({samples / 2**30:,.1f} GiB of it for samples)'
        )
        raise UserError(
            f'Replay.capacity_transitions = {self._capacity:,} needs about '
            f'{needed / 2**30:,.1f} GiB{rows} and {available / 2**30:.1f} GiB are '
            f'free: at most {fits:,} fit'
        )

    def measure(self, rows: np.ndarray) -> bool:
        """Takes one vector step; returns whether pictures were measured, so `check` knows more.

        Args:
          rows: uint8 [num_envs, row_bytes].
        """
        self._vector_steps += 1
        if self._vector_steps < self._next:
            return False
        self._chunk.append(rows[0])
        if len(self._chunk) < self._rows_per_chunk:
            return False
        chunk, self._chunk = np.stack(self._chunk), []
        self._next = _MEASURED_AGAIN * self._vector_steps
        if not self._frame_bytes:
            return False
        share = min(1.0, _SNAPPY_SHARE * len(zlib.compress(chunk.data, level=1)) / chunk.nbytes)
        self._stored_row_bytes = share * self._row_bytes
        return True


def available_bytes() -> int:
    """Bytes that this process may still take, within its cgroups' limits if there are any."""
    left = [limit - used for limit, used in _cgroup_limits(_CGROUPS, pathlib.Path('/proc/self'))]
    return min([psutil.virtual_memory().available, *left])


def _cgroup_limits(cgroups: pathlib.Path, process: pathlib.Path) -> Iterator[tuple[int, int]]:
    """Yields the limit and the use, in bytes, of the process's cgroups, of both versions.

    Args:
      cgroups: where they are mounted; version 1 has a directory for each resource.
      process: the process's directory in /proc.
    """
    paths = []
    with contextlib.suppress(OSError):
        for line in (process / 'cgroup').read_text().splitlines():
            number, controllers, path = line.split(':', 2)
            if number == '0':
                paths.append((cgroups, path, 'memory.max', 'memory.current', ''))
            elif 'memory' in controllers.split(','):
                v1 = 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_'
                paths.append((cgroups / 'memory', path, *v1))
    for mount, path, limit, used, prefix in paths:
        # Inside a container the path may be the host's, and the mount the container's own.
        for directory in dict.fromkeys([mount / path.lstrip('/'), *_above(mount, path)]):
            with contextlib.suppress(OSError, ValueError):  # no such file, or 'max'
                most = int((directory / limit).read_text())
                statistics = (directory / 'memory.stat').read_text().split()
                cached = int(statistics[statistics.index(f'{prefix}inactive_file') + 1])
                yield most, int((directory / used).read_text()) - cached


def _above(mount: pathlib.Path, path: str) -> list[pathlib.Path]:
    """The cgroups that a cgroup is in, whose limits hold for it too."""
    return [mount / str(parent).lstrip('/') for parent in pathlib.PurePosixPath(path).parents]
