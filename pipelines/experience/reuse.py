"""Another run's replay fills a new run's, row by row, from its log.

The rows become the new run's own, in Reverb and in its log, so resuming never needs the other
run again. With as many environments, the vector steps are taken as they are. With more or fewer,
whole episodes are dealt to the columns, each to the shortest:

    other run   env_0  F M M L F M L        ->   env_0  F M M L F M L F M L f
                env_1  F M L F M M L                    F M M L ... (the only other column)

Columns end together: shorter ones are filled up with rows of type FIRST (f), which start no
transition. A row whose next row is FIRST starts none either unless it is LAST (see
`minibatches`), so nothing reaches from one episode into another.
"""

from __future__ import annotations

import collections
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import numpy as np
from tf_agents.trajectories import time_step as ts

from pipelines import json_files
from pipelines.errors import UserError
from pipelines.experience import log
from pipelines.experience.log import Layout, LogReader
from pipelines.experience.replay import Replay
from pipelines.experience.rows import RowCodec


class ReusedReplay:
    """The newest rows of another run's log, at most as many as a replay can hold."""

    key = 'reused_replay'  # in summary.json

    def __init__(self, binding: str, path: str, replay: Replay):
        """Reads nothing yet.

        Args:
          binding: such as 'train_ddqn.reuse_replay', for messages.
          path: directory of the other run, which may be unfinished and is only read.
          replay: to be filled.
        """
        self._binding, self._path, self._replay = binding, path, replay

    def check(self) -> list[str]:
        """Looks the log through; returns a line about what is taken.

        Raises:
          UserError: there is no log, it is damaged, or its rows hold something else.
        """
        directory = pathlib.Path(os.path.expanduser(self._path), 'replay')
        path = directory / 'layout.json'
        if not path.exists():
            self._fail(f'there is no replay: {directory} has no layout.json')
        try:
            layout: Layout = json_files.read(path, Layout, version=log.FORMAT)
        except UserError as e:
            self._fail(str(e))
        self._check_same(layout.get('row'))
        replay, num_envs = self._replay, layout['num_envs']
        reader = LogReader(directory, num_envs, layout['row_bytes'])
        rows = replay.blocks.kept_vector_steps * replay.num_envs
        end = reader.end()
        start = max(0, end - -(-rows // num_envs))
        try:
            vector_steps = reader.count(start)
        except UserError as e:
            self._fail(str(e))
        if not vector_steps:
            self._fail(f'{directory} holds nothing yet')
        self._log, self._num_envs, self._start = reader, num_envs, start
        newest = 'the newest ' if start else ''
        lines = [f'replay begins with {newest}{vector_steps * num_envs:,} rows of {self._path}']
        if lost := end - start - vector_steps:
            lines.append(f'{lost * num_envs:,} of them are damaged or missing there')
        return lines

    def _check_same(self, theirs: dict[str, Any] | None) -> None:
        if theirs is None:
            self._fail('an earlier version wrote it and did not say what its rows hold')
        ours = self._replay.codec.described
        for name in ours:
            if ours[name] != theirs.get(name):
                self._fail(
                    f'its rows hold something else: {name} is {theirs.get(name)} there and '
                    f'{ours[name]} here'
                )

    def take(self) -> dict[str, Any]:
        """Appends what `check` found, and prints how many transitions the replay then holds.

        Returns:
          What summary.json says about it.

        Raises:
          UserError: the log was changed meanwhile.
        """
        replay, vector_steps = self._replay, self._log.read(self._start)
        if self._num_envs != replay.num_envs:
            vector_steps = enumerate(dealt(vector_steps, replay.codec, replay.num_envs))
        replay.refill(vector_steps, logged=False)
        replay.flush()
        print(f'{replay.num_starts:,} transitions in replay are from {self._path}')
        return {'from': self._path, 'transitions': replay.num_starts}

    def _fail(self, reason: str) -> NoReturn:
        raise UserError(f"{self._binding} = '{self._path}': {reason}")


def dealt(
    vector_steps: Iterable[tuple[int, np.ndarray]], codec: RowCodec, num_envs: int
) -> Iterator[np.ndarray]:
    """Deals whole episodes to `num_envs` columns, in the order in which they end.

    Rows before a column's first FIRST belong to an episode whose beginning is not there, and are
    left out; so are those after a gap, while those before it are dealt as far as they go.

    Args:
      vector_steps: positions, and uint8 [other num_envs, row_bytes] each.
      codec: of the rows.
      num_envs: of the vector steps to make.
    """
    columns: list[collections.deque[np.ndarray]] = [collections.deque() for _ in range(num_envs)]
    playing: dict[int, list[np.ndarray]] = {}
    filler, expected = np.zeros(0, np.uint8), None

    def deal(episode: list[np.ndarray]) -> None:
        min(columns, key=len).extend(episode)

    for position, rows in vector_steps:
        if position != expected:
            for episode in playing.values():
                deal(episode)
            playing.clear()
        expected = position + 1
        for i in np.flatnonzero(codec.leaf(rows, 0) == ts.StepType.FIRST):
            deal(playing.pop(i, []))
            playing[i], filler = [], rows[i]
        for i, episode in playing.items():
            episode.append(rows[i])
        while all(columns):
            yield np.stack([column.popleft() for column in columns])
    for episode in playing.values():
        deal(episode)
    while any(columns):
        yield np.stack([column.popleft() if column else filler for column in columns])
