"""Which losses belong to which training episode."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipelines.loops.rollout import Episode
from pipelines.protocols import Metrics


class Turn(NamedTuple):
    """What a turn of collecting and training has done."""

    env_steps: int  # of the run, at the end of the turn
    train_steps: int  # in the turn
    metrics: Metrics  # over these train steps; empty if there were none


class EpisodeLosses:
    """Joins training episodes with the losses of the turns in which they were played.

    An episode's loss is the mean over the train steps since the turn in which the episode before
    it ended, up to and including the turn in which it ended itself. Episodes that end in the
    same turn have the same loss.

        turn            1     2     3     4
        train steps     -     2     2     2
        loss            -     1     3     5
        ends         A              B     C, D

    A: None, because training had not started; B: 2; C and D: 5.
    """

    def __init__(self) -> None:
        self._sum, self._train_steps = 0.0, 0

    def join(
        self, turns: Sequence[Turn], episodes: Sequence[Episode]
    ) -> Iterator[tuple[Episode, float | None]]:
        """Yields each episode and its loss, None if there was no train step.

        Args:
          turns: since the last call, in their order; some with `loss` in their metrics.
          episodes: those that ended in these turns, in their order.
        """
        left = collections.deque(episodes)
        for turn in turns:
            if turn.train_steps:
                self._sum += turn.metrics['loss'] * turn.train_steps
                self._train_steps += turn.train_steps
            if not left or left[0].env_steps > turn.env_steps:
                continue
            loss = self._sum / self._train_steps if self._train_steps else None
            while left and left[0].env_steps <= turn.env_steps:
                yield left.popleft(), loss
            self._sum, self._train_steps = 0.0, 0
