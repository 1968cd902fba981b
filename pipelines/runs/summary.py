"""summary.json, the results of a finished run. Only this module reads and writes the file."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import typing
from typing import Any, TypedDict

from pipelines import files, json_files

_UNITS = ('env_steps', 'episodes')


class Stop(TypedDict):
    """What a callback that ended a run has left."""

    by: str  # its name
    why: str
    within: str  # `RunSchedule.ends`


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
    stopped: Stop | None = None  # if a callback ended the run
    checksums: dict[str, str] = dataclasses.field(default_factory=dict)  # of what it left, by path
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
        json_files.write(path, entries)

    @classmethod
    def read(cls, path: pathlib.Path) -> Summary:
        """Reads what `write` wrote.

        Raises:
          UserError: the file cannot be read, or a field is missing or of another type; the message
            names it.
        """
        entries = json_files.read(path, dict[str, Any])
        known: dict[str, Any] = {}
        for unit in _UNITS:
            if (length := entries.pop(f'num_{unit}', None)) is not None:
                known |= {'unit': unit, 'length': length}
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if field.name in entries:
                known[field.name] = entries.pop(field.name)
            elif field.default is field.default_factory is dataclasses.MISSING:
                raise json_files.Damaged(f"{path} cannot be read: it has no '{field.name}'")
            if field.name not in known:
                continue
            name = f'num_{known["unit"]}' if field.name == 'length' else field.name
            words = json_files.misfit(known[field.name], hints[field.name], name)
            if words is not None:
                raise json_files.Damaged(f'{path} cannot be read: {words}')
        return cls(**known, more=entries)

    @classmethod
    def is_whole(cls, path: pathlib.Path) -> bool:
        """Whether `read` would succeed."""
        try:
            cls.read(path)
        except json_files.Damaged:
            return False
        return True

    def changed(self, root: pathlib.Path, names: typing.Collection[str] | None = None) -> list[str]:
        """What the run left in `root`, and is no longer as it was.

        Args:
          root: directory of the run.
          names: paths below it that matter; None: all that `checksums` knows.
        """
        return [
            name
            for name, checksum in self.checksums.items()
            if (names is None or name in names) and files.checksum(root / name) != checksum
        ]
