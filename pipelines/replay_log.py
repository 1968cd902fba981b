"""The replay's memory on disk: an append-only log of rows, each written once.

    replay/layout.json              {"row_bytes": 40, "num_envs": 16, ...}
    replay/000000000000.rows        vector steps [0, S), num_envs rows each, raw bytes
    replay/00000000S.rows           vector steps [S, 2S)
    ...

A position is a count of vector steps since the run began. A checkpoint records one;
going back to that checkpoint cuts the log there. Segments that no kept checkpoint
could still need are deleted.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from pipelines import run_dir
from pipelines.cli import UserError

_SEGMENT_BYTES = 64 << 20


class ReplayLog:
    """Rows of `num_envs` environments, by vector step."""

    def __init__(self, directory: str | os.PathLike, num_envs: int, row_bytes: int):
        self._dir = pathlib.Path(directory)
        self._dir.mkdir(parents=True, exist_ok=True)
        self._step_shape = (num_envs, row_bytes)
        self._step_bytes = num_envs * row_bytes
        self._segment_steps = max(1, _SEGMENT_BYTES // self._step_bytes)
        self._check_layout()
        self._file: BinaryIO | None = None
        self.position = self._end()

    def _check_layout(self):
        layout = {
            'num_envs': self._step_shape[0],
            'row_bytes': self._step_shape[1],
            'segment_vector_steps': self._segment_steps,
        }
        path = self._dir / 'layout.json'
        if not path.exists():
            run_dir.write_json(path, layout)
        elif json.loads(path.read_text()) != layout:
            raise UserError(
                f'{path} describes other rows than {layout}: it was written by another version of '
                'this program; start in a new directory'
            )

    def _segments(self) -> list[tuple[int, pathlib.Path]]:
        """(first vector step, path) of each segment, in order."""
        return sorted((int(path.stem), path) for path in self._dir.glob('*.rows'))

    def _end(self) -> int:
        segments = self._segments()
        if not segments:
            return 0
        first, path = segments[-1]
        return first + path.stat().st_size // self._step_bytes

    def append(self, rows: np.ndarray) -> None:
        """Appends one vector step: uint8 [num_envs, row_bytes]."""
        if self._file is None or self.position % self._segment_steps == 0:
            self._file = self._open_segment()
        self._file.write(rows.data)
        self.position += 1

    def _open_segment(self) -> BinaryIO:
        self.close()
        first = self.position - self.position % self._segment_steps
        return open(self._dir / f'{first:012d}.rows', 'ab', buffering=1 << 16)

    def sync(self) -> None:
        """Makes everything appended so far survive a power cut."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            run_dir.sync_dir(self._dir)

    def truncate(self, position: int) -> None:
        """Forgets everything from `position` on.

        Raises:
          UserError: the log ends before `position`, so that rows are missing.
        """
        if position > self.position:
            raise UserError(
                f'{self._dir} holds {self.position} vector steps and the checkpoint needs '
                f'{position}: files were removed or damaged; start in a new directory'
            )
        self.close()
        for first, path in self._segments():
            if first >= position:
                path.unlink()
            elif first + self._segment_steps > position:
                os.truncate(path, (position - first) * self._step_bytes)
        self.position = position

    def prune(self, position: int) -> None:
        """Deletes the segments that lie wholly before `position`."""
        for first, path in self._segments():
            if first + self._segment_steps <= position:
                path.unlink()

    def read(self, start: int) -> Iterator[np.ndarray]:
        """Vector steps from `start` (or the oldest kept) on, as uint8 [num_envs, row_bytes]."""
        for first, path in self._segments():
            if first + self._segment_steps <= start:
                continue
            data = np.fromfile(path, np.uint8)
            whole = len(data) // self._step_bytes
            steps = data[: whole * self._step_bytes].reshape(whole, *self._step_shape)
            yield from steps[max(0, start - first) :]

    def close(self) -> None:
        """Closes the open segment; `append` opens it again."""
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None
