"""What a run writes while it lasts: progress.csv, episodes.csv and TensorBoard's event file."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from pipelines.runs.episode_log import EpisodeLog
from pipelines.runs.events import Events
from pipelines.runs.progress import Progress
from pipelines.runs.training import Training
from pipelines.settings import RunSchedule


class Records:
    """The files that grow, opened and closed together."""

    def __init__(
        self,
        directory: pathlib.Path,
        schedule: RunSchedule,
        training: Training,
        evaluation_columns: Sequence[str],
    ):
        """Prepares; call `open` before anything is recorded.

        Args:
          directory: directory of the run.
          schedule: says how long the run is, and what is printed.
          training: says which metrics and gauges there are.
          evaluation_columns: further columns of progress.csv (see `Progress`).
        """
        self._schedule, self._training = schedule, training
        self._events = Events(directory / 'tensorboard')
        self.progress = Progress(
            directory, self._events, training.metrics, training.gauges, evaluation_columns
        )
        self.episodes = EpisodeLog(
            directory, self._events, training.gauges, prints=schedule.log_every_episode
        )

    def open(self) -> None:
        """Opens the files; those that a checkpoint restored are cut where they ended at it."""
        statistics, schedule = self._training.statistics, self._schedule
        limits = {schedule.unit: schedule.length}
        if schedule.num_episodes is not None:
            limits = {'episodes': schedule.num_episodes} | limits
        self._events.open()
        self.progress.open(
            limits, {'env_steps': statistics.env_steps, 'episodes': statistics.num_episodes}
        )
        self.episodes.open()

    def flush(self) -> None:
        """Makes everything so far visible to other programs."""
        self.episodes.flush()
        self._events.flush()

    def close(self) -> None:
        """Syncs and closes the files, and ends the live line."""
        self.progress.close()
        self.episodes.close()
        self._events.close()
