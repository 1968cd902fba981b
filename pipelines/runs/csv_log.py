"""A CSV file that grows while a run lasts, and that a checkpoint can cut."""

from __future__ import annotations

import csv
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, TextIO


class CsvLog:
    """Appends rows of numbers; after a resume it ends where it ended at the checkpoint."""

    def __init__(self, path: pathlib.Path, columns: Sequence[str]):
        """Prepares; call `restore` (if there is a checkpoint) and `open` before the first row."""
        self.path, self._columns, self._num_bytes = path, tuple(columns), 0

    def state(self) -> int:
        """Syncs the rows so far to disk; returns the file's length in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def restore(self, num_bytes: int) -> None:
        """Goes back to a length that `state` returned; `open` then cuts the file there."""
        self._num_bytes = num_bytes

    def open(self) -> list[dict[str, str]]:
        """Opens the file, cuts it to its length at the checkpoint, and returns its rows.

        A file that this run cannot have written is set aside, and a new one is started.
        """
        self._file = self._open_file()
        self._file.truncate(min(self._num_bytes, self.path.stat().st_size))
        self._file.seek(0)
        kept = _rows(self._file, self._columns) if self._num_bytes else []
        if kept is None:
            damaged = self.path.with_suffix('.csv.damaged')
            print(f'{self.path} is damaged: it is {damaged.name} now, and a new file starts here')
            self._file.close()
            os.replace(self.path, damaged)
            self._file = self._open_file()
            kept, self._num_bytes = [], 0
        self._file.seek(0, os.SEEK_END)
        self._writer = csv.DictWriter(self._file, self._columns)
        if self._num_bytes == 0:
            self._writer.writeheader()
        return kept

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


def _rows(file: TextIO, column_names: Sequence[str]) -> list[dict[str, str]] | None:
    """Returns the file's rows; None if this run cannot have written them."""
    reader = csv.DictReader(file)
    try:
        rows = list(reader)
        for row in rows:
            int(row['env_steps'])
            [float(value) for value in row.values() if value != '']
    except (csv.Error, KeyError, TypeError, ValueError):
        return None
    return rows if reader.fieldnames == list(column_names) else None


def short(value: Any) -> str:
    """A number with at most six significant digits if it is a float."""
    return f'{value:.6g}' if isinstance(value, float) else str(value)
