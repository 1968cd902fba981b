"""A user's own code that is told about a run while it lasts.

A callback is an object with at least one of these methods, each of which takes a `Moment`:

    start(run)             when the program starts, or resumes, before the first turn
    after_turn(run)        after each turn of collecting and training
    after_evaluation(run)  after each evaluation while training
    end(run)               when the turns are over: the policy is exported, or the run was stopped

It may have `columns`, the names of its columns in progress.csv, and `state()`, which returns JSON
values, with `restore(state)`: a checkpoint keeps what it returns.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import pathlib
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines import files, imports
from pipelines.errors import UserError
from pipelines.loops import overestimation
from pipelines.runs import progress
from pipelines.runs.extent import Extent
from pipelines.runs.training import Training

MOMENTS = ('start', 'after_turn', 'after_evaluation', 'end')
ERROR_FILE = 'callback_error.txt'


class CallbackError(UserError):
    """A callback raised an error; the run ends with a checkpoint."""


class Answers:
    """What callbacks have asked for since it was last looked at."""

    def __init__(self, columns: Sequence[str]):
        self.columns = tuple(columns)
        self.why: str | None = None  # the run is to stop; None: it is not
        self.values: dict[str, float] = {}


@dataclasses.dataclass(frozen=True)
class Moment:
    """Where a run is."""

    directory: pathlib.Path  # of the run
    env_steps: int
    train_steps: int
    episodes: int  # of training that have ended
    wall_seconds: float  # of training and evaluations, those before the run was resumed included
    is_complete: bool  # whether no turn follows, even if the same command is given again
    # The newest value of each: of a turn ('loss', ...), of the training episodes
    # ('return_mean_100') and of an evaluation ('eval_return_mean', ...); what is not known yet is
    # missing.
    metrics: Mapping[str, float]
    _answers: Answers = dataclasses.field(repr=False)

    def stop(self, why: str) -> None:
        """Ends the run here: it counts as complete, and its policy is exported.

        Args:
          why: the reason, for the summary. At `end` it is too late, and nothing happens.
        """
        self._answers.why = ' '.join(str(why).split())  # in one line

    def record(self, **values: float) -> None:
        """Sets values of the next row of progress.csv, by the callback's `columns`.

        Raises:
          ValueError: a column was not declared, or a value is not a number.
        """
        for name, value in values.items():
            if name not in self._answers.columns:
                raise ValueError(f"'{name}' is not among the columns: {self._answers.columns}")
            self._answers.values[name] = float(value)


class Callbacks:
    """The callbacks of one run, told in their order."""

    def __init__(self, callbacks: Sequence[tuple[str, Any]] = ()):
        """Checks them.

        Args:
          callbacks: (name, callback) each.

        Raises:
          UserError: one has none of the methods, a method that is nearly one of them, or columns
            that are not names or are another's.
        """
        self._callbacks = list(callbacks)
        columns: list[str] = []
        for name, callback in self._callbacks:
            _check_methods(name, callback)
            own = getattr(callback, 'columns', ())
            if not isinstance(own, list | tuple) or not all(isinstance(c, str) for c in own):
                raise UserError(f"callback '{name}': columns = {own!r}: must be a list of names")
            columns += own
        self._answers = Answers(columns)
        self._metrics: dict[str, float] = {}  # the newest
        self._states: list[Any] = [None] * len(self._callbacks)
        self._failed: set[str] = set()  # names
        self._failure: tuple[str, BaseException] | None = None  # not raised yet

    @classmethod
    def configured(cls, program: str, entries: Sequence[Any], training: Training) -> Callbacks:
        """Imports and makes the callbacks of a setting.

        Args:
          program: such as 'train_ddqn', whose `callbacks` they are.
          entries: 'module:Class' or ('module:Class', {'argument': value}) each.
          training: of the run; it says which columns progress.csv has anyway.

        Raises:
          UserError: a module or class is missing, or what `Callbacks` raises.
        """
        named: dict[str, Any] = {}
        for entry in entries:
            name, callback = imports.make(f'{program}.callbacks', entry)
            count = sum(1 for other in named if other.partition(' ')[0] == name)
            named[f'{name} ({count + 1})' if count else name] = callback
        made = cls(list(named.items()))
        more = (*training.metrics, *training.gauges, *overestimation.COLUMNS)
        every = [*progress.columns(more), *made.columns]
        for column in made.columns:
            if every.count(column) > 1:
                raise UserError(f"{program}.callbacks: two columns would be called '{column}'")
        return made

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._callbacks)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that they add to progress.csv."""
        return self._answers.columns

    @property
    def identity(self) -> dict[str, str]:
        """What of them must be equal when a run is resumed: progress.csv has one header."""
        return {'columns of callbacks': ', '.join(self.columns)} if self.columns else {}

    def wants(self, moment: str) -> bool:
        """Whether one of them has the method for this moment."""
        return any(hasattr(callback, moment) for _, callback in self._callbacks)

    def take_values(self) -> dict[str, float]:
        """Returns the values recorded since the last call, by column."""
        values, self._answers.values = self._answers.values, {}
        return values

    def tell(
        self,
        moment: str,
        directory: pathlib.Path,
        extent: Extent,
        metrics: Mapping[str, float] = types.MappingProxyType({}),
    ) -> None:
        """Calls the method `moment` of all that have it; after one has failed, only `end`.

        Args:
          moment: one of `MOMENTS`.
          directory: of the run.
          extent: how far the run is; a callback may stop it, except at `end`.
          metrics: what is new, by name.
        """
        self._metrics |= metrics
        if not self.wants(moment):
            return
        run = Moment(
            directory=directory,
            env_steps=extent.env_steps,
            train_steps=extent.train_steps,
            episodes=extent.episodes,
            wall_seconds=extent.wall_seconds,
            is_complete=extent.is_complete,
            metrics=dict(self._metrics),
            _answers=self._answers,
        )
        for name, callback in self._callbacks:
            goes_on = not self._failed or (moment == 'end' and name not in self._failed)
            if not goes_on or not hasattr(callback, moment):
                continue
            self._call(name, moment, getattr(callback, moment), run)
            why, self._answers.why = self._answers.why, None
            if why is not None and moment != 'end':
                extent.stop(name, why)

    def _call(self, name: str, method: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (Exception, SystemExit) as e:
            self._failed.add(name)
            self._failure = self._failure or (f"'{name}' in {method}", e)
            return None

    def raise_failure(self, directory: pathlib.Path) -> None:
        """Raises a CallbackError if one has failed, once; its traceback is written to a file.

        Args:
          directory: of the run; the file is callback_error.txt in it.
        """
        if self._failure is None:
            return
        (where, error), self._failure = self._failure, None
        cure = 'mend it and run the same command to resume'
        if where.endswith(' in end'):
            cure = 'the run itself was saved before'
        path = directory / ERROR_FILE
        files.write_text(path, ''.join(traceback.format_exception(error)))
        raise CallbackError(
            f'callback {where} failed: {imports.in_one_line(error, skip=1)}; the traceback is in '
            f'{path}; {cure}'
        ) from error

    # Part of a checkpoint.

    def state(self) -> list[Any]:
        """Returns what each callback's `state` returns; None where it has none."""
        for i, (name, callback) in enumerate(self._callbacks):
            if hasattr(callback, 'state'):
                text = self._call(name, 'state', lambda state: json.dumps(state()), callback.state)
                self._states[i] = self._states[i] if text is None else json.loads(text)
        names = (name for name, _ in self._callbacks)
        return [[name, state] for name, state in zip(names, self._states, strict=True)]

    def restore(self, state: list[Any]) -> None:
        """Gives each callback that has `restore` what its `state` returned, by their names."""
        kept = dict(state)
        for i, (name, callback) in enumerate(self._callbacks):
            self._states[i] = kept.get(name)
            if hasattr(callback, 'restore') and self._states[i] is not None:
                self._call(name, 'restore', callback.restore, self._states[i])


def _check_methods(name: str, callback: Any) -> None:
    public = [word for word in dir(callback) if not word.startswith('_')]
    for word in public:
        near = difflib.get_close_matches(word, MOMENTS, n=1, cutoff=0.9)
        if near and word not in MOMENTS and callable(getattr(callback, word)):
            raise UserError(f"callback '{name}' has a method '{word}': did you mean '{near[0]}'?")
    if not set(MOMENTS) & set(public):
        raise UserError(f"callback '{name}' has none of the methods {', '.join(MOMENTS)}")
