"""What a new run starts from: an old policy's weights, another run's replay, or neither."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, Protocol

from pipelines.experience.replay import Replay
from pipelines.experience.reuse import ReusedReplay
from pipelines.runs import checkpoints
from pipelines.runs.training import Training
from pipelines.runs.warm_start import WarmStart
from pipelines.settings import DdqnSettings, ReinforceSettings


class Origin(Protocol):
    """One thing that a run starts from."""

    key: str  # in summary.json

    def check(self) -> list[str]:
        """Reads it; returns lines about what is taken. A UserError says what does not fit."""

    def take(self) -> dict[str, Any]:
        """Takes what `check` has read; returns what summary.json says about it."""


class Beginning:
    """All that a new run starts from; a run with a checkpoint needs none of it again."""

    def __init__(self, origins: Sequence[Origin] = ()):
        self._origins = origins
        self.taken: dict[str, dict[str, Any]] = {}  # what summary.json says about each
        self._lines: list[str] | None = None  # None: nothing has been read
        self._announced = False

    @classmethod
    def configured(
        cls,
        settings: DdqnSettings | ReinforceSettings,
        training: Training,
        replay: Replay | None = None,
    ) -> Beginning:
        """What the settings say; nothing is read yet."""
        origins: list[Origin] = []
        program = settings.name()
        if settings.warm_start is not None:
            origins.append(
                WarmStart(program, settings.warm_start, settings.warm_start_reinitialise, training)
            )
        if replay is not None and isinstance(settings, DdqnSettings) and settings.reuse_replay:
            binding = f'{program}.reuse_replay'
            origins.append(ReusedReplay(binding, settings.reuse_replay, replay))
        return cls(origins)

    def check_unless_resumed(self, root_dir: str, *, announce: bool) -> None:
        """Reads everything, unless the run has a checkpoint; raises what `check` does.

        Args:
          root_dir: directory of the run, which need not exist.
          announce: print what would be taken.
        """
        if checkpoints.all_in(pathlib.Path(root_dir).expanduser() / 'checkpoints'):
            return
        self.check()
        if announce:
            self.announce()

    def check(self) -> None:
        """Reads everything, once.

        Raises:
          UserError: something is missing, damaged or does not fit.
        """
        if self._lines is None:
            self._lines = [line for origin in self._origins for line in origin.check()]

    def announce(self) -> None:
        """Prints what is taken and what is not, once; raises what `check` does."""
        self.check()
        if not self._announced:
            print(*(self._lines or []), sep='\n', end='\n' if self._lines else '')
        self._announced = True

    def take(self) -> None:
        """Takes it all; raises what `check` does."""
        self.announce()
        self.taken = {origin.key: origin.take() for origin in self._origins}

    # Part of a checkpoint.

    def state(self) -> dict[str, dict[str, Any]]:
        """Returns what was taken when the run began."""
        return self.taken

    def restore(self, state: dict[str, dict[str, Any]]) -> None:
        """Goes back to `state`."""
        self.taken = state
