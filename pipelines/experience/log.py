"""The replay on disk: an append-only log of rows, each written once.

    replay/layout.json              {"row_bytes": 40, "num_envs": 16}
    replay/000000000000.rows        vector steps [0, S), in blocks
    replay/00000000S.rows           vector steps [S, ...), in blocks
    ...

    block   vector steps  bytes   zlib of uint8 [vector steps, num_envs, row_bytes],
            uint32        uint32  each step as its difference from the step before

Consecutive frames differ in few pixels, so a block of Atari frames shrinks to a fortieth. A
position is a number of vector steps since the run began. A checkpoint records a position and
ends a block there; going back to the checkpoint cuts the log at its position. Segments that no
kept checkpoint needs are deleted.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from pipelines import files
from pipelines.errors import UserError

_BLOCK_BYTES = 1 << 20  # before compression
_SEGMENT_BYTES = 16 << 20
_HEADER = np.dtype('<u4')


class LogReader:
    """The rows of `num_envs` environments, one vector step after another; writes nothing."""

    _cure = 'name another run'  # where the log is damaged

    def __init__(self, directory: str | os.PathLike, num_envs: int, row_bytes: int):
        """Prepares; nothing is read yet."""
        self._dir = pathlib.Path(directory)
        self._step_shape = (num_envs, row_bytes)

    def _segments(self) -> list[tuple[int, pathlib.Path]]:
        """Returns (first vector step, path) of each segment, in order."""
        return sorted((int(path.stem), path) for path in self._dir.glob('*.rows'))

    def end(self) -> int:
        """Returns how many whole vector steps were ever written, those deleted since included."""
        segments = self._segments()
        if not segments:
            return 0
        first, path = segments[-1]
        return first + sum(steps for steps, _, _ in _blocks(path))

    def read(self, start: int) -> Iterator[np.ndarray]:
        """Yields vector steps from `start` (or the oldest kept) on: uint8 [num_envs, row_bytes].

        Steps appended since the last `sync` may be missing.

        Raises:
          UserError: a block is damaged or missing.
        """
        for position, block in self._blocks(start):
            rows = np.frombuffer(bytearray(block), np.uint8).reshape(-1, *self._step_shape)
            # np.cumsum takes 10 times as long.
            for before, step in zip(rows, rows[1:], strict=False):
                step += before
            yield from rows[max(0, start - position) :]

    def check(self, start: int) -> int:
        """Reads as `read` would, and returns the number of vector steps."""
        step_bytes = math.prod(self._step_shape)
        return sum(
            len(block) // step_bytes - max(0, start - position)
            for position, block in self._blocks(start)
        )

    def _blocks(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Yields (its first vector step, the differences in it) of each block from `start` on."""
        segments = self._segments()
        position: int | None = None
        for i, (first, path) in enumerate(segments):
            if i + 1 < len(segments) and segments[i + 1][0] <= start:
                continue
            if position not in (None, first):
                raise UserError(f'{path}: the rows before it are missing: {self._cure}')
            try:
                blocks = list(_blocks(path))  # before the bytes: the file may be growing
                data = path.read_bytes()
            except FileNotFoundError as e:
                raise UserError(f'{path} was deleted while it was to be read: try again') from e
            position = first
            for steps, block_start, block_end in blocks:
                if position + steps > start:
                    yield position, self._unzipped(path, data[block_start:block_end], steps)
                position += steps

    def _unzipped(self, path: pathlib.Path, payload: bytes, steps: int) -> bytes:
        try:
            block = zlib.decompress(payload)
        except zlib.error as e:
            raise UserError(f'{path} is damaged ({e}): {self._cure}') from e
        if len(block) != steps * math.prod(self._step_shape):
            raise UserError(f'{path} is damaged (a block of another length): {self._cure}')
        return block


class ReplayLog(LogReader):
    """A log that grows: `append` and `sync` write it, going back to a checkpoint cuts it."""

    _cure = 'the replay cannot be restored; use a new directory'

    def __init__(
        self, directory: str | os.PathLike, num_envs: int, row_bytes: int, row: Any = None
    ):
        """Opens the log in `directory`, which is created if it is missing.

        Args:
          directory: of the log.
          num_envs: rows in a vector step.
          row_bytes: bytes in a row.
          row: what a row holds, as JSON values, for other programs that read the log.

        Raises:
          UserError: the log there has rows of another shape.
        """
        super().__init__(directory, num_envs, row_bytes)
        self._dir.mkdir(parents=True, exist_ok=True)
        self._block_steps = max(1, _BLOCK_BYTES // (num_envs * row_bytes))
        self._check_layout(row)
        self._file: BinaryIO | None = None
        self._pending: list[np.ndarray] = []
        self.position = self.end()

    def _check_layout(self, row: Any) -> None:
        layout = {'num_envs': self._step_shape[0], 'row_bytes': self._step_shape[1]}
        path = self._dir / 'layout.json'
        if not path.exists():
            files.write_json(path, layout if row is None else layout | {'row': row})
        elif not layout.items() <= json.loads(path.read_text()).items():
            raise UserError(
                f'{path} describes other rows than {layout}: it was written by another version of '
                'this program; use a new directory'
            )

    def append(self, rows: np.ndarray) -> None:
        """Appends one vector step: uint8 [num_envs, row_bytes]."""
        self._pending.append(rows)
        self.position += 1
        if len(self._pending) == self._block_steps:
            self._write_block()

    def _write_block(self) -> None:
        if not self._pending:
            return
        steps = np.stack(self._pending)
        steps[1:] -= steps[:-1].copy()  # uint8 wraps around here, and back in `_decode`
        payload = zlib.compress(steps.data, level=1)
        if self._file is None or self._file.tell() >= _SEGMENT_BYTES:
            self._open_segment(self.position - len(steps))
        assert self._file is not None
        self._file.write(np.array([len(steps), len(payload)], _HEADER).tobytes())
        self._file.write(payload)
        self._pending = []

    def _open_segment(self, first: int) -> None:
        if self._file is not None:
            self._close_file()
        self._file = open(self._dir / f'{first:012d}.rows', 'wb')  # noqa: SIM115

    def sync(self) -> None:
        """Makes everything appended so far survive a power cut."""
        self._write_block()
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            files.sync_dir(self._dir)

    def truncate(self, position: int) -> None:
        """Deletes everything from `position` on, which must be where a `sync` ended a block.

        Raises:
          UserError: rows before `position` are missing.
        """
        self.close()
        end = 0
        for first, path in self._segments():
            if first >= position:
                path.unlink()
                continue
            end, num_bytes = first, 0
            for steps, _, block_end in _blocks(path):
                if end + steps > position:
                    break
                end, num_bytes = end + steps, block_end
            os.truncate(path, num_bytes)
        if end != position:
            raise UserError(
                f'{self._dir} holds {end} vector steps and the checkpoint needs {position}: files '
                'were removed or damaged; use a new directory'
            )
        self.position = position

    def prune(self, position: int) -> None:
        """Deletes the segments that lie wholly before `position`."""
        segments = self._segments()
        for (_, path), (following, _) in zip(segments, segments[1:], strict=False):
            if following <= position:
                path.unlink()

    def close(self) -> None:
        """Writes the pending steps and closes the segment; `append` then opens a new one."""
        self._write_block()
        if self._file is not None:
            self._close_file()

    def _close_file(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        files.sync_dir(self._dir)


def _blocks(path: pathlib.Path) -> Iterator[tuple[int, int, int]]:
    """Yields (vector steps, start and end of the payload in bytes) of each whole block."""
    size = path.stat().st_size
    header_bytes = 2 * _HEADER.itemsize
    start = header_bytes
    with open(path, 'rb') as f:
        while header := f.read(header_bytes):
            if len(header) < header_bytes:
                return
            steps, num_bytes = (int(n) for n in np.frombuffer(header, _HEADER))
            if start + num_bytes > size:
                return
            yield steps, start, start + num_bytes
            f.seek(num_bytes, os.SEEK_CUR)
            start += num_bytes + header_bytes
