"""How far a run is: its counts and seconds, what is left of it, and whether a callback ended it."""

from __future__ import annotations

import time
from typing import TypedDict

from pipelines.runs.summary import Stop
from pipelines.runs.training import Training
from pipelines.settings import RunSchedule


class State(TypedDict):
    """What a checkpoint records; TensorFlow's variables hold the counts."""

    wall_seconds: float
    train_steps: int  # for human readers
    stopped: Stop | None


class Extent:
    """Counts of one run, before and after it was last resumed."""

    def __init__(self, schedule: RunSchedule, training: Training):
        """Reads the counts where they are kept.

        Args:
          schedule: says how long the run is.
          training: counts env steps, train steps and episodes.
        """
        self._schedule, self._training = schedule, training
        self.wall_seconds = 0.0  # of training and evaluations, at the last `read_clock`
        self.stopped: Stop | None = None  # by a callback

    @property
    def env_steps(self) -> int:
        """Environment steps so far."""
        return int(self._training.env_steps)

    @property
    def train_steps(self) -> int:
        """Train steps so far."""
        return int(self._training.agent.train_step_counter)

    @property
    def episodes(self) -> int:
        """Training episodes that have ended."""
        return self._training.statistics.num_episodes

    @property
    def count(self) -> int:
        """How far the run is, in the schedule's unit."""
        return self.env_steps if self._schedule.unit == 'env_steps' else self.episodes

    @property
    def in_words(self) -> str:
        """'12,000 env steps'."""
        return f'{self.count:,} {self._schedule.unit_in_words}'

    @property
    def vector_steps_left(self) -> int:
        """How many vector steps (or episodes per environment) are sure to fit."""
        if self.stopped or self.episodes_left == 0:
            return 0
        return max(0, self._schedule.length - self.count) // self._training.envs.batch_size

    @property
    def episodes_left(self) -> int | None:
        """How many episodes are left of `RunSchedule.num_episodes`; None: there is no limit."""
        if self._schedule.num_episodes is None:
            return None
        return max(0, self._schedule.num_episodes - self.episodes)

    @property
    def is_complete(self) -> bool:
        """Whether nothing more fits into the run."""
        return not self.vector_steps_left

    def stop(self, by: str, why: str) -> None:
        """Makes the run complete; the first to stop it counts."""
        self.stopped = self.stopped or Stop(by=by, why=why, within=self._schedule.ends)

    def start_clock(self) -> None:
        """Goes on counting seconds."""
        self._began = time.perf_counter() - self.wall_seconds

    def read_clock(self) -> None:
        """Updates `wall_seconds`."""
        self.wall_seconds = time.perf_counter() - self._began

    def state(self) -> State:
        """Returns what `restore` needs."""
        return State(
            wall_seconds=self.wall_seconds, train_steps=self.train_steps, stopped=self.stopped
        )

    def restore(self, state: State) -> None:
        """Goes back to `state`; a stop is forgotten where length or callbacks have changed."""
        self.wall_seconds = state['wall_seconds']
        stopped = state.get('stopped')
        if stopped and stopped['within'] == self._schedule.ends:
            self.stopped = stopped
