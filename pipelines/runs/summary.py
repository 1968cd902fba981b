"""summary.json, the results of a finished run. Only this module reads and writes the file."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import Any

from pipelines import files
from pipelines.errors import UserError

_UNITS = ('env_steps', 'episodes')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """The results of a finished run; counts include everything before it was last resumed.

    JSON has each field under its name, except that `length` is `num_env_steps` or
    `num_episodes`, and the entries of `more` are on the same level as the others.
    """

    env_name: str
    agent: str
    seed: int
    env_steps: int
    unit: str = 'env_steps'  # of `length`: 'env_steps' or 'episodes'
    length: int = 0  # as configured
    episode_limit: int | None = None  # if the unit is env steps: it also ended after so many
    frames_per_env_step: int = 1
    train_steps: int = 0
    episodes: int = 0  # of training
    return_mean_100: float = math.nan  # raw, of the last 100 training episodes
    wall_seconds: float  # of training and periodic evaluation
    env_steps_per_second: float
    best: dict[str, Any] = dataclasses.field(default_factory=dict)  # when the policy was found
    training_overestimation: dict[str, float] | None = None  # in the last periodic evaluation
    eval_returns: list[float] = dataclasses.field(default_factory=list)  # of the export, raw
    eval_mean: float  # of `eval_returns`
    overestimation: dict[str, float] | None = None  # of the export
    policy_dir: str = ''
    # If a callback ended the run: its name (`by`), `why`, and `within` what (`RunSchedule.ends`).
    stopped: dict[str, str] | None = None
    more: dict[str, Any] = dataclasses.field(default_factory=dict)  # what one algorithm adds

    def covers(self, length: int, episode_limit: int | None, ends: str = '') -> bool:
        """Whether a run of this length, in `unit`, or of so many episodes would add nothing.

        Args:
          length: in `unit`.
          episode_limit: the run also ends after so many episodes; None: it does not.
          ends: `RunSchedule.ends`. What a callback has stopped is over while these are the same.
        """
        if self.stopped is not None:
            return self.stopped['within'] == ends
        if episode_limit is not None and self.episodes >= episode_limit:
            return True
        stopped_by_episodes = self.episode_limit is not None and self.episodes >= self.episode_limit
        return self.length >= length and not stopped_by_episodes

    def write(self, path: pathlib.Path) -> None:
        """Writes the file whole or not at all."""
        entries: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == 'length':
                entries[f'num_{self.unit}'] = value
            elif field.name == 'more':
                entries |= value
            elif field.name != 'unit' and value is not None:
                entries[field.name] = value
        files.write_json(path, entries)

    @classmethod
    def read(cls, path: pathlib.Path) -> Summary:
        """Reads what `write` wrote.

        Raises:
          UserError: the file cannot be read or lacks a field; the message names it.
        """
        try:
            entries = json.loads(path.read_text())
        except (OSError, ValueError) as e:
            reason = getattr(e, 'strerror', None) or e
            raise UserError(f'{path} cannot be read: {reason}') from e
        if not isinstance(entries, dict):
            raise UserError(f'{path} cannot be read: it does not hold a JSON object')
        known: dict[str, Any] = {}
        for unit in _UNITS:
            if (length := entries.pop(f'num_{unit}', None)) is not None:
                known |= {'unit': unit, 'length': length}
        for field in dataclasses.fields(cls):
            if field.name in entries:
                known[field.name] = entries.pop(field.name)
            elif field.default is field.default_factory is dataclasses.MISSING:
                raise UserError(f"{path} cannot be read: it has no '{field.name}'")
        return cls(**known, more=entries)
