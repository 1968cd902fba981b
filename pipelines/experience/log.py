"""The replay on disk: an append-only log of rows, each written once.

    replay/layout.json              {"format": "2", "row_bytes": 40, "num_envs": 16, ...}
    replay/000000000000.rows        vector steps [0, S), in blocks
    replay/00000000S.rows           vector steps [S, ...), in blocks
    ...

    block   b'rows'  first   steps   bytes   checksum    checksum     zlib of uint8 [steps,
                     uint64  uint32  uint32  of payload  of the rest  num_envs, row_bytes], each
                                             uint32      uint32       step less the one before

Consecutive frames differ in few pixels, so a block of Atari frames shrinks to a fortieth. A
position is a number of vector steps since the run began. A checkpoint records a position and
ends a block there; going back to the checkpoint cuts the log at its position. Segments that no
kept checkpoint needs are deleted.

A block says which vector steps it holds, and its checksums (CRC-32) whether it is whole. Damage
costs the steps of the damaged blocks alone: they are a gap, which readers see in the positions.
"""

from __future__ import annotations

import os
import pathlib
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, NotRequired, TypedDict

import numpy as np

from agents.ranges import Count
from pipelines import files, json_files
from pipelines.errors import UserError

FORMAT = '2'
_BLOCK_BYTES = 1 << 20  # before compression
_SEGMENT_BYTES = 16 << 20
_MAGIC = b'rows'
_HEAD = struct.Struct('<4sQIII')  # _MAGIC, first vector step, steps, bytes, checksum of the payload
_CHECKSUM = struct.Struct('<I')
_HEADER_BYTES = _HEAD.size + _CHECKSUM.size
_SEGMENT_NAME = re.compile(r'\d{12,}\.rows')


class Layout(TypedDict):
    """layout.json: what the rows of a log are."""

    num_envs: Count  # rows in a vector step
    row_bytes: Count
    row: NotRequired[dict[str, Any]]  # what a row holds (`RowCodec.described`)


class Block(NamedTuple):
    """The vector steps [first, end)."""

    first: int
    end: int
    at: int  # where it begins in its file
    payload: bytes


class LogReader:
    """The rows of `num_envs` environments, one vector step after another; writes nothing."""

    def __init__(self, directory: str | os.PathLike, num_envs: int, row_bytes: int):
        """Prepares; nothing is read yet."""
        self._dir = pathlib.Path(directory)
        self._step_shape = (num_envs, row_bytes)

    def _segments(self) -> list[tuple[int, pathlib.Path]]:
        """Returns (first vector step, path) of each segment, in order; other files are not ours."""
        return sorted(
            (int(path.stem), path)
            for path in self._dir.glob('*.rows')
            if _SEGMENT_NAME.fullmatch(path.name) and path.is_file()
        )

    def end(self) -> int:
        """Returns the position after the newest whole vector step."""
        for _, path in reversed(self._segments()):
            if blocks := list(_whole_blocks(path)):
                return blocks[-1].end
        return 0

    def read(self, start: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yields what is whole from the position `start` on, or from the oldest kept.

        Steps appended since the last `sync` may be missing.

        Yields:
          The position of a vector step, and uint8 [num_envs, row_bytes]. Where a position does not
          follow the one before, steps are damaged or missing.

        Raises:
          UserError: the rows are not of this shape.
        """
        for block in self._blocks(start):
            rows = self._unzipped(block)
            # np.cumsum takes 10 times as long.
            for before, step in zip(rows, rows[1:], strict=False):
                step += before
            first = max(start, block.first)
            yield from enumerate(rows[first - block.first :], first)

    def count(self, start: int) -> int:
        """Returns how many vector steps `read` would yield."""
        return sum(block.end - max(start, block.first) for block in self._blocks(start))

    def _blocks(self, start: int) -> Iterator[Block]:
        """Yields the whole blocks with steps from `start` on, in order."""
        segments, position = self._segments(), start
        for i, (_, path) in enumerate(segments):
            if i + 1 < len(segments) and segments[i + 1][0] <= start:
                continue
            for block in _whole_blocks(path):
                if block.end > position:
                    position = block.end
                    yield block

    def _unzipped(self, block: Block) -> np.ndarray:
        try:
            rows = np.frombuffer(bytearray(zlib.decompress(block.payload)), np.uint8)
            return rows.reshape(block.end - block.first, *self._step_shape)
        except (zlib.error, ValueError) as e:
            raise UserError(f'{self._dir} holds other rows than its layout.json says') from e


class ReplayLog(LogReader):
    """A log that grows: `append` and `sync` write it, going back to a checkpoint cuts it."""

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
          UserError: the log there has rows of another shape, or is of another version.
        """
        super().__init__(directory, num_envs, row_bytes)
        self._dir.mkdir(parents=True, exist_ok=True)
        self._block_steps = max(1, _BLOCK_BYTES // (num_envs * row_bytes))
        self._check_layout(row)
        self._file: BinaryIO | None = None
        self._pending: list[np.ndarray] = []
        self.position = self.end()

    def _check_layout(self, row: Any) -> None:
        layout = {'format': FORMAT, 'num_envs': self._step_shape[0]}
        layout |= {'row_bytes': self._step_shape[1]} | ({} if row is None else {'row': row})
        path = self._dir / 'layout.json'
        files.remove_leftover(path.with_name('layout.json.tmp'))
        found = None
        if path.exists():
            try:
                found = json_files.read(path, Layout, version=FORMAT)
            except json_files.Damaged as e:  # what it says is known
                print(f'{e}: it is written again')
        if found is None:
            json_files.write(path, layout)
        elif found | layout != found:
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

    def skip(self, num_steps: int) -> None:
        """Leaves a gap of so many vector steps."""
        self._write_block()
        self.position += num_steps

    def _write_block(self) -> None:
        if not self._pending:
            return
        steps = np.stack(self._pending)
        steps[1:] -= steps[:-1].copy()  # uint8 wraps around here, and back in `_decode`
        payload = zlib.compress(steps.data, level=1)
        first = self.position - len(steps)
        if self._file is None or self._file.tell() >= _SEGMENT_BYTES:
            self._open_segment(first)
        assert self._file is not None
        head = _HEAD.pack(_MAGIC, first, len(steps), len(payload), zlib.crc32(payload))
        self._file.write(head + _CHECKSUM.pack(zlib.crc32(head)))
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

        Nothing before it is touched, whole or not; if the end is missing, it is a gap.
        """
        self.close()
        segments = self._segments()
        for i, (first, path) in enumerate(segments):
            if first >= position:
                path.unlink()
            elif i + 1 == len(segments) or segments[i + 1][0] >= position:
                later = (block.at for block in _whole_blocks(path) if block.end > position)
                if (at := next(later, None)) is not None:
                    os.truncate(path, at)
        files.sync_dir(self._dir)
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


def _whole_blocks(path: pathlib.Path) -> Iterator[Block]:
    """Yields the blocks that are whole, in order; what is between them is skipped."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as e:
        raise UserError(f'{path} was deleted while it was to be read: try again') from e
    at = 0
    while at >= 0:
        block = _block_at(data, at)
        if block is None:
            at = data.find(_MAGIC, at + 1)
        else:
            yield block
            at += _HEADER_BYTES + len(block.payload)


def _block_at(data: bytes, at: int) -> Block | None:
    """The block that begins there; None if there is none, or it is damaged or cut."""
    head = data[at : at + _HEAD.size]
    header = data[at : at + _HEADER_BYTES]
    if len(header) < _HEADER_BYTES or header != head + _CHECKSUM.pack(zlib.crc32(head)):
        return None
    magic, first, num_steps, num_bytes, checksum = _HEAD.unpack(head)
    payload = data[at + _HEADER_BYTES : at + _HEADER_BYTES + num_bytes]
    whole = magic == _MAGIC and len(payload) == num_bytes and zlib.crc32(payload) == checksum
    return Block(first, first + num_steps, at, payload) if whole else None
