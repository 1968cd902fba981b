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
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
from tf_agents.trajectories import time_step as ts

from pipelines.errors import UserError
from pipelines.experience.log import LogReader
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
        try:
            layout = json.loads((directory / 'layout.json').read_text())
            num_envs, row_bytes = int(layout['num_envs']), int(layout['row_bytes'])
            row = layout.get('row')
        except FileNotFoundError:
            self._fail(f'there is no replay: {directory} has no layout.json')
        except (OSError, ValueError, KeyError, TypeError) as e:
            self._fail(f'{directory / "layout.json"} is damaged: {e}')
        self._check_same(row)
        replay = self._replay
        log = LogReader(directory, num_envs, row_bytes)
        rows = replay.kept_vector_steps * replay.num_envs
        start = max(0, log.end() - -(-rows // num_envs))
        try:
            vector_steps = log.check(start)
        except UserError as e:
            self._fail(str(e))
        if not vector_steps:
            self._fail(f'{directory} holds nothing yet')
        self._log, self._num_envs, self._start = log, num_envs, start
        newest = 'the newest ' if start else ''
        return [f'replay begins with {newest}{vector_steps * num_envs:,} rows of {self._path}']

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
            vector_steps = dealt(vector_steps, replay.codec, replay.num_envs)
        for rows in vector_steps:
            replay.append(rows)
        replay.flush()
        print(f'{replay.num_starts:,} transitions in replay are from {self._path}')
        return {'from': self._path, 'transitions': replay.num_starts}

    def _fail(self, reason: str) -> NoReturn:
        raise UserError(f"{self._binding} = '{self._path}': {reason}")


def dealt(
    vector_steps: Iterator[np.ndarray], codec: RowCodec, num_envs: int
) -> Iterator[np.ndarray]:
    """Deals whole episodes to `num_envs` columns, in the order in which they end.

    Rows before a column's first FIRST belong to an episode whose beginning is not there, and are
    left out.

    Args:
      vector_steps: uint8 [other num_envs, row_bytes] each.
      codec: of the rows.
      num_envs: of the vector steps to make.
    """
    columns: list[collections.deque[np.ndarray]] = [collections.deque() for _ in range(num_envs)]
    playing: dict[int, list[np.ndarray]] = {}
    filler = np.zeros(0, np.uint8)

    def deal(episode: list[np.ndarray]) -> None:
        min(columns, key=len).extend(episode)

    for rows in vector_steps:
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
