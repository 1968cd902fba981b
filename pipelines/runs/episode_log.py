"""Reports every training episode: episodes.csv, TensorBoard, a printed line."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tqdm

from pipelines.loops.episode_losses import EpisodeLosses, Turn
from pipelines.loops.rollout import Episode
from pipelines.runs.csv_log import CsvLog
from pipelines.runs.events import Events

COLUMNS = ('episode', 'env_steps', 'return', 'length', 'avg_loss')


class EpisodeLog:
    """Writes a row for each training episode, a checkpoint's rows exactly once."""

    def __init__(
        self,
        directory: pathlib.Path,
        events: Events,
        gauges: Mapping[str, Callable[[], Any]],
        *,
        prints: bool,
    ):
        """Prepares; call `restore` (if there is a checkpoint) and `open` before the first row.

        Args:
          directory: directory of the run.
          events: its event file, opened before `open` is called.
          gauges: further values of a printed line; the one that is shown is `epsilon`.
          prints: whether to print a line for each episode.
        """
        self._csv, self._events = CsvLog(directory / 'episodes.csv', COLUMNS), events
        self._epsilon, self._prints = gauges.get('epsilon'), prints
        self._losses = EpisodeLosses()

    def state(self) -> dict:
        """Syncs the rows so far to disk; returns what `restore` needs."""
        return {'csv': self._csv.state()}

    def restore(self, state: dict) -> None:
        """Goes back to `state`; `open` then cuts the file there."""
        self._csv.restore(state['csv'])

    def open(self) -> None:
        """Opens the file, and adds the rows that it keeps to the event file."""
        for row in self._csv.open():
            loss = float(row['avg_loss']) if row['avg_loss'] else None
            self._add_to_events(int(row['episode']), float(row['return']), loss)

    def record(self, turns: Sequence[Turn], episodes: Sequence[Episode]) -> None:
        """Takes turns, and the episodes that ended in them; see `EpisodeLosses.join`."""
        for episode, loss in self._losses.join(turns, episodes):
            self._csv.add(
                {
                    'episode': episode.number,
                    'env_steps': episode.env_steps,
                    'return': episode.total_reward,
                    'length': episode.length,
                    'avg_loss': '' if loss is None else loss,
                }
            )
            self._add_to_events(episode.number, episode.total_reward, loss)
            if self._prints:
                tqdm.tqdm.write(self._in_words(episode, loss))  # above the bar, if there is one
        if self._prints:
            sys.stdout.flush()

    def _add_to_events(self, number: int, total_reward: float, loss: float | None) -> None:
        scalars = {'by episode/reward': total_reward}
        if loss is not None:
            scalars['by episode/avg loss'] = loss
        self._events.add(number, scalars)

    def _in_words(self, episode: Episode, loss: float | None) -> str:
        words = [
            f'return {episode.total_reward:g}',
            f'length {episode.length}',
            f'avg loss {"-" if loss is None else f"{loss:.4g}"}',
        ]
        if self._epsilon is not None:
            words.append(f'epsilon {float(self._epsilon()):.3g}')
        return f'episode {episode.number}: {", ".join(words)}'

    def flush(self) -> None:
        """Makes the rows so far visible to other programs."""
        self._csv.flush()

    def close(self) -> None:
        """Syncs and closes the file."""
        self._csv.close()
