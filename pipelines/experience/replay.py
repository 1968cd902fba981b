"""Replay served by Reverb: table, writer and dataset in one object.

Each environment has one column, its rows in order, each stored once. Items are blocks of rows that
share their ends (see `blocks`); `minibatches` makes sure that no transition crosses the end of an
episode. With `transitions_per_item = 1` each transition is an item, and LAST rows, which start
no transition, are left out.

With priorities (Schaul et al. 2016, https://arxiv.org/abs/1511.05952, equation 1) each
transition is an item, sampled in proportion to its priority to the power alpha. A new
transition gets the highest priority so far. Priorities are not kept on disk: after a restart
every transition counts as new.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, TypedDict

import gin
import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from agents.prioritisation import Prioritisation
from agents.ranges import Count, Seconds, checked, count
from pipelines.errors import UserError
from pipelines.experience import guard, memory, replay_client
from pipelines.experience.blocks import Blocks
from pipelines.experience.guard import ReplayStalledError
from pipelines.experience.log import ReplayLog
from pipelines.experience.minibatches import TransitionShape
from pipelines.experience.rows import RowCodec
from pipelines.native_noise import quiet_native_stderr

MAY_CHANGE = ('Replay.stall_timeout_seconds',)  # between two runs of one directory
_MIN_BLOCKS_PER_SAMPLE = 32


class Position(TypedDict):
    """What a checkpoint records about a replay."""

    vector_steps: int  # appended since the run began
    highest_priority: float  # of any transition so far


@gin.configurable(denylist=['min_transitions'])
@checked(UserError)
class Replay:
    """The replay of one run: server, writer and dataset, which therefore agree.

    Use it as a context manager; leaving it stops the server.
    """

    def __init__(
        self,
        row_spec: Any,
        num_envs: int,
        shape: TransitionShape,
        transitions_per_sample: int,
        log_dir: pathlib.Path,
        prioritisation: Prioritisation | None = None,
        min_transitions: int | None = None,
        *,
        capacity_transitions: Count = 50_000,
        transitions_per_item: Annotated[int, count(most=4_096)] = 16,
        rows_per_chunk: Annotated[int, count(most=4_096)] = 16,
        stall_timeout_seconds: Seconds = 60.0,
    ):
        """Checks the values; entering the replay starts the server.

        Args:
          row_spec: a `Trajectory` of tensor specs for one time step.
          num_envs: number of environments, with one column each.
          shape: the shape of a transition.
          transitions_per_sample: minimum number of transitions in a sample; LAST rows in its
            blocks count too.
          log_dir: directory where every row is also kept on disk, for `restore`.
          prioritisation: its alpha is the exponent of prioritised sampling, which makes
            transitions_per_item 1; None for uniform sampling.
          min_transitions: how many training waits for; None: the first item is a whole one.
          capacity_transitions: maximum number of transitions, beyond which the oldest are
            removed; LAST rows in blocks count too.
          transitions_per_item: 16 is fast; 1 is needed for priorities.
          rows_per_chunk: number of rows that are compressed together.
          stall_timeout_seconds: sampling and inserting raise `ReplayStalledError` after this
            long without progress.

        Raises:
          UserError: a value is out of range, or the replay needs more memory than is free.
        """
        transitions_per_item = 1 if prioritisation is not None else transitions_per_item
        if capacity_transitions < transitions_per_item:
            raise UserError(
                f'Replay.capacity_transitions = {capacity_transitions}: must be at least '
                f'transitions_per_item = {transitions_per_item}'
            )
        self.codec = RowCodec(row_spec)
        items = capacity_transitions // transitions_per_item
        self.blocks = Blocks(num_envs, shape, transitions_per_item, items, min_transitions)
        self.num_envs, self.shape, self.prioritisation = num_envs, shape, prioritisation
        self.transitions_per_item = transitions_per_item
        self.capacity_transitions = capacity_transitions
        self.lost_vector_steps = 0  # of those that `restore` wanted, damaged or missing in the log
        self._highest_priority, self._rows_per_chunk = 1.0, rows_per_chunk
        self._items_per_sample = -(-transitions_per_sample // transitions_per_item)
        if transitions_per_item > 1:  # fewer blocks would be too alike and favour short episodes
            self._items_per_sample = max(_MIN_BLOCKS_PER_SAMPLE, self._items_per_sample)
        self._signature = replay_client.table_signature(self.blocks.rows, self.codec.row_bytes)
        self._log_dir, self._timeout_seconds = log_dir, stall_timeout_seconds
        layout = (items, rows_per_chunk, self._items_per_sample * self.blocks.rows)
        self.forecast = memory.Forecast(self.codec, capacity_transitions, *layout)
        self.forecast.check()

    @property
    def description(self) -> str:
        """One line about its capacity, layout and memory."""
        how = 'uniform' if self.prioritisation is None else 'prioritised'
        return (
            f'replay: {self.capacity_transitions:,} transitions of {self.codec.row_bytes:,} bytes, '
            f'{self.transitions_per_item} per item, {how}, about '
            f'{max(1, round(self.forecast.table_bytes / 2**20)):,} MiB of memory when full'
        )

    def __enter__(self) -> Replay:
        codec, priorities, select = self.codec, self.prioritisation, reverb.selectors
        self._log = ReplayLog(self._log_dir, self.num_envs, codec.row_bytes, codec.described)
        table = reverb.Table(
            name=replay_client.TABLE,
            sampler=select.Prioritized(priorities.alpha) if priorities else select.Uniform(),
            remover=select.Fifo(),
            max_size=self.blocks.max_items,
            rate_limiter=reverb.rate_limiters.MinSize(1),
            signature=self._signature,
        )
        with quiet_native_stderr():
            self._server = reverb.Server([table], checkpointer=guard.NoCheckpoints())
            self._table = table
            self._writer = replay_client.ReplayWriter(
                self.address, self.num_envs, self.shape, self.transitions_per_item,
                self._rows_per_chunk, self._timeout_seconds, self.blocks.filling_rows,
            )  # fmt: skip
        return self

    def __exit__(self, *exc_info: object) -> None:
        with quiet_native_stderr(), contextlib.suppress(RuntimeError):
            self._writer.close()
        with quiet_native_stderr():
            self._server.stop()
        self._log.close()

    @property
    def address(self) -> str:
        """Address of the server, which accepts anyone on every interface of this machine."""
        return f'localhost:{self._server.port}'

    @property
    def num_starts(self) -> int:
        """Number of rows in the table that may start a transition."""
        info = self._table.info
        inserted = info.rate_limiter_info.insert_stats.completed
        return self.blocks.num_starts(info.current_size, inserted, self._writer.filled_rows)

    def append(self, rows: np.ndarray) -> None:
        """Appends one vector step to the table and to the log.

        Args:
          rows: uint8 [num_envs, row_bytes], from `codec.encode`.

        Raises:
          ReplayStalledError: the server accepted nothing within the timeout.
        """
        self._insert(rows)
        self._log.append(rows)

    def _insert(self, rows: np.ndarray) -> None:
        try:
            step_type = self.codec.leaf(rows, 0)  # the first of a Trajectory's leaves
            self._writer.append(rows, step_type, self._highest_priority)
            if self.forecast.measure(rows):
                self.forecast.check(self.num_starts)
        except reverb.DeadlineExceededError as e:
            raise self.stalled('inserting') from e

    def flush(self) -> None:
        """Waits until every complete item can be sampled."""
        try:
            self._writer.flush(self._highest_priority)
        except reverb.DeadlineExceededError as e:
            raise self.stalled('inserting') from e

    def check_unchanged(self, in_flight: int = replay_client.ITEMS_IN_FLIGHT) -> None:
        """Raises a TableChangedError if the table is not what was appended, within `in_flight`."""
        guard.check_table(self._table, self._server.port, self._writer.created, in_flight)

    def samples(self) -> Iterator:
        """Returns an endless iterator of samples, usable inside a `tf.function`.

        A sample is a `reverb.ReplaySample`; its `data`, uint8 [items, block_rows, row_bytes],
        is decoded by `codec`. The iterator ends if nothing can be sampled within the timeout
        (`tf.errors.OutOfRangeError` in a graph); `stalled` explains why.
        """
        with quiet_native_stderr():
            return iter(
                replay_client.replay_dataset(
                    self.address,
                    self._signature,
                    self._items_per_sample,
                    self._timeout_seconds,
                    prefetch=self.prioritisation is None,
                )
            )

    def update_priorities(self, keys: tf.Tensor, priorities: tf.Tensor) -> tf.Tensor:
        """See `replay_client.update_priorities`; pass its result to `note_priority`."""
        return replay_client.update_priorities(self.address, keys, priorities)

    def note_priority(self, highest: float) -> None:
        """Gives new transitions at least this priority from now on."""
        self._highest_priority = max(self._highest_priority, highest)

    def stalled(self, doing: str) -> ReplayStalledError:
        """Returns the error when `doing` made no progress; raises what `check_unchanged` does."""
        if doing == 'sampling':
            self.check_unchanged()
        return guard.stalled(doing, self._timeout_seconds, self._table.info, self.num_starts)

    # The protocol `Experience`.

    def state(self) -> Position:
        """Syncs the log and returns the position for `restore`; checks the table to the item."""
        self.flush()
        self.check_unchanged(in_flight=0)
        self._log.sync()
        return Position(vector_steps=self._log.position, highest_priority=self._highest_priority)

    def restore(self, state: Position | None) -> None:
        """Cuts the log at a position (None: the beginning) and refills the empty table.

        Episodes in progress end there: their last row starts no transition, and the
        environments must be reset. Every transition comes back with the highest priority,
        like a new one. What the log has lost is a gap that no transition crosses.
        """
        position = state or Position(vector_steps=0, highest_priority=1.0)
        self._highest_priority = position['highest_priority']
        self._log.truncate(position['vector_steps'])
        start = max(0, position['vector_steps'] - self.blocks.kept_vector_steps)
        whole = self.refill(self._log.read(start), logged=True)
        self.lost_vector_steps = position['vector_steps'] - start - whole
        self.flush()

    def refill(self, vector_steps: Iterable[tuple[int, np.ndarray]], *, logged: bool) -> int:
        """Appends what a log holds, with a gap where positions are missing.

        Args:
          vector_steps: positions and rows (see `LogReader.read`).
          logged: whether they are in this replay's log already.

        Returns:
          The number of vector steps.
        """
        append, count, before = self._insert if logged else self.append, 0, (0, np.empty(0))
        for position, rows in vector_steps:
            if count and (missing := position - before[0] - 1):
                self._leave_gap(before[1])
                self._log.skip(0 if logged else missing)
            append(rows)
            count, before = count + 1, (position, rows)
        return count

    def _leave_gap(self, newest: np.ndarray) -> None:
        step_type = self.codec.leaf(filler := newest.copy(), 0)
        step_type[:] = ts.StepType.FIRST
        self._writer.gap(filler, step_type, self._highest_priority)

    def prune(self, state: Position) -> None:
        """Deletes what going back to that position, or to a later one, would not read."""
        self._log.prune(state['vector_steps'] - self.blocks.kept_vector_steps)

    @property
    def contents(self) -> str:
        """The number of transitions in replay, as the end of a sentence."""
        words = f' with {self.num_starts:,} transitions in replay'
        if lost := self.lost_vector_steps * self.num_envs:
            words += f'; {lost:,} rows are damaged or missing in {self._log_dir}'
        return words

    def newest_rows(self, count: int) -> Any:
        """Returns the newest rows as a nest of tensors, [count, ...] or fewer."""
        self._log.sync()
        start = max(0, self._log.position - -(-count // self.num_envs))
        none = np.zeros([0, self.codec.row_bytes], np.uint8)
        steps = [none, *(rows for _, rows in self._log.read(start))]
        return self.codec.decode(tf.constant(np.concatenate(steps)[-count:]))

    def newest_observations(self, count: int) -> Any:
        """Returns the newest observations, arrays [count, ...] or fewer."""
        return tf.nest.map_structure(lambda t: t.numpy(), self.newest_rows(count).observation)
