"""A CSV file that grows while a run lasts, and that a checkpoint can cut."""

from __future__ import annotations

import csv
import io
import os
import pathlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

Mark = list[int]  # [length in bytes, CRC-32 of the bytes since the mark before]


class CsvLog:
    """Appends rows of numbers; after a resume it ends where it ended at the checkpoint."""

    def __init__(self, path: pathlib.Path, columns: Sequence[str]):
        """Prepares; call `restore` (if there is a checkpoint) and `open` before the first row."""
        self.path, self._columns = path, tuple(columns)
        self._marks: list[Mark] = []

    def state(self) -> list[Mark]:
        """Syncs the rows so far to disk; returns where it ended at each call."""
        self._file.flush()
        os.fsync(self._file.fileno())
        start, end = self._num_bytes, self._file.tell()
        if end > start:
            with open(self.path, 'rb') as f:
                f.seek(start)
                self._marks = [*self._marks, [end, zlib.crc32(f.read(end - start))]]
        return self._marks

    def restore(self, marks: list[Mark]) -> None:
        """Goes back to what `state` returned; `open` then cuts the file there."""
        self._marks = marks

    @property
    def _num_bytes(self) -> int:
        return self._marks[-1][0] if self._marks else 0

    def open(self) -> list[dict[str, str]]:
        """Opens the file, cuts it to its length at the checkpoint, and returns its rows.

        A file that has changed since then is set aside. The new one has its rows but those between
        the two checkpoints where it has changed.
        """
        data = self.path.read_bytes() if self.path.exists() else b''
        starts = [0, *(end for end, _ in self._marks)]
        pieces = [data[a:b] for a, b in zip(starts, starts[1:], strict=False)]
        whole = [
            piece
            for piece, (_, checksum) in zip(pieces, self._marks, strict=True)
            if zlib.crc32(piece) == checksum
        ]
        if len(whole) < len(pieces):
            return self._begin_again(_rows(whole, self._columns))
        self._file = self._open_file()
        self._file.truncate(self._num_bytes)
        self._file.seek(0, os.SEEK_END)
        self._writer = csv.DictWriter(self._file, self._columns)
        if not self._num_bytes:
            self._writer.writeheader()
        return _rows(whole, self._columns)

    def _begin_again(self, rows: list[dict[str, str]]) -> list[dict[str, str]]:
        """Sets the file aside, and writes these rows to a new one."""
        damaged = self.path.with_suffix('.csv.damaged')
        words = 'is gone'
        if self.path.exists():
            os.replace(self.path, damaged)
            words = f'was damaged or changed: it is {damaged.name} now'
        print(f'{self.path} {words}, and a new file has the {len(rows):,} rows that are whole')
        self._marks = []
        self._file = self._open_file()
        self._writer = csv.DictWriter(self._file, self._columns)
        self._writer.writeheader()
        self._writer.writerows(rows)
        return rows

    def _open_file(self) -> TextIO:
        return open(self.path, 'a+', newline='')

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row; it may stay in memory until `flush` or `state`."""
        self._writer.writerow({name: short(value) for name, value in row.items()})

    def flush(self) -> None:
        """Makes the rows so far visible to other programs."""
        self._file.flush()

    def close(self) -> None:
        """Syncs and closes the file."""
        self.state()
        self._file.close()


def _rows(pieces: Sequence[bytes], columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows in whole pieces of a file, of which the first may have the header."""
    reader = csv.reader(io.StringIO(b''.join(pieces).decode(), newline=''))
    return [dict(zip(columns, row, strict=True)) for row in reader if row != list(columns)]


def short(value: Any) -> str:
    """A number with at most six significant digits if it is a float."""
    return f'{value:.6g}' if isinstance(value, float) else str(value)
