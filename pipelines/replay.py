"""Replay served by Reverb: table, writer and dataset in one object.

Every environment has a column of its own; a
column is the stream of that environment's rows (see `row_codec`), episode after
episode, each row stored once:

    column env_0   F M M M M L F M M M M M M ...        F: FIRST  M: MID  L: LAST
    item      |lead|-- starts --|tail|
                           |lead|-- starts --|tail|

An item is a block of `transitions_per_item` rows that may start a transition, a lead of
`lead_rows` before them whose frames are in their stacks, and a tail of `tail_rows` after
them that their n-step returns look ahead into. Blocks share leads and tails with their
neighbours, they do not copy them. A block may run over an episode's
end; `agents.n_step` never lets a transition do so, and gives every transition of a
block the same chance. With `transitions_per_item = 1` each transition is an item, and LAST
rows, which start no transition, are none.

With priorities (Schaul et al. 2016) each transition is an item, sampled in proportion to
its priority to the power `priority_exponent`; a new one has the highest priority there ever
was. Priorities are not kept on disk: after a restart every transition counts as new.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import TypedDict

import gin
import numpy as np
import psutil
import reverb
import tensorflow as tf

from pipelines import cli, replay_client
from pipelines.cli import UserError
from pipelines.replay_log import ReplayLog
from pipelines.row_codec import RowCodec

# What Reverb keeps beside the rows, measured by benchmarks/replay_memory.py.
_ITEM_BYTES = 760
_CHUNK_BYTES = 750
# A game's frames change little from one to the next: Space Invaders' take a tenth.
_FRAME_COMPRESSION = 5
_MIN_BLOCKS_PER_SAMPLE = 32


class Position(TypedDict):
    """What a checkpoint keeps of a replay."""

    vector_steps: int  # appended since the run began
    highest_priority: float  # that there ever was


class ReplayStalledError(UserError):
    """Sampling or inserting made no progress for the set time; says where it stands."""


def _available_memory() -> int:
    """Bytes that this process may still take, a container's limit included."""
    available = psutil.virtual_memory().available
    cgroup = pathlib.Path('/sys/fs/cgroup')
    with contextlib.suppress(OSError, ValueError):  # no such file, or 'max'
        limit = int((cgroup / 'memory.max').read_text())
        available = min(available, limit - int((cgroup / 'memory.current').read_text()))
    return available


@gin.configurable
class Replay:
    """The replay of one run: server, writer and dataset that cannot disagree.

    Use it as a context manager; leaving it stops the server.
    """

    def __init__(
        self,
        row_spec,
        num_envs: int,
        lead_rows: int,
        tail_rows: int,
        transitions_per_sample: int,
        log_dir: pathlib.Path,
        priority_exponent: float | None = None,
        *,
        capacity_transitions: int = 50_000,
        transitions_per_item: int = 16,
        rows_per_chunk: int = 16,
        stall_timeout_seconds: float = 60.0,
    ):
        """Plans the replay and refuses what cannot work; `with` starts it.

        Args:
          row_spec: a `Trajectory` of tensor specs for one time step.
          num_envs: environments that write, one column each.
          lead_rows: rows before a start whose frames are in its stack (K - 1).
          tail_rows: rows after a start that its n-step return may look at (n).
          transitions_per_sample: how many transitions one sample is to hold at least,
            counting the rows that start none.
          log_dir: where every row is also kept on disk, for `restore`.
          priority_exponent: >= 0, of prioritised sampling, which makes transitions_per_item
            1; None for uniform sampling.
          capacity_transitions: rows that may start a transition, after which the oldest
            leave (the one LAST row of each episode counts too).
          transitions_per_item: 16 is fast; 1 is what priorities need.
          rows_per_chunk: rows that are compressed and kept together.
          stall_timeout_seconds: without progress for so long, sampling and inserting
            raise `ReplayStalledError`.

        Raises:
          UserError: a value out of range, or more memory than there is.
        """
        for name, value in (
            ('capacity_transitions', capacity_transitions),
            ('transitions_per_item', transitions_per_item),
            ('rows_per_chunk', rows_per_chunk),
        ):
            cli.check_count(f'Replay.{name}', value)
        cli.check_positive('Replay.stall_timeout_seconds', stall_timeout_seconds)
        if priority_exponent is not None:
            transitions_per_item = 1
        if capacity_transitions < transitions_per_item:
            raise UserError(
                f'Replay.capacity_transitions = {capacity_transitions}: must be at least '
                f'transitions_per_item = {transitions_per_item}'
            )
        self.codec = RowCodec(row_spec)
        self._priority_exponent = priority_exponent
        self._highest_priority = 1.0
        self.num_envs, self.lead_rows, self.tail_rows = num_envs, lead_rows, tail_rows
        self.transitions_per_item = transitions_per_item
        self.capacity_transitions = capacity_transitions
        self._rows_per_chunk = rows_per_chunk
        self._items = capacity_transitions // transitions_per_item
        self._items_per_sample = -(-transitions_per_sample // transitions_per_item)
        if transitions_per_item > 1:  # a few blocks are too alike, and short episodes' favoured
            self._items_per_sample = max(_MIN_BLOCKS_PER_SAMPLE, self._items_per_sample)
        self._timeout_seconds = stall_timeout_seconds
        self._block_rows = lead_rows + transitions_per_item + tail_rows
        self._signature = replay_client.table_signature(self._block_rows, self.codec.row_bytes)
        self._log_dir = log_dir
        self._check_memory()

    @property
    def expected_bytes(self) -> int:
        """Resident memory of the full table; of a game's frames, a cautious estimate."""
        chunks = -(-self.capacity_transitions // self._rows_per_chunk)
        frame_bytes = self.codec.frame_bytes
        row_bytes = self.codec.row_bytes - frame_bytes + frame_bytes // _FRAME_COMPRESSION
        rows = self.capacity_transitions * row_bytes
        return rows + self._items * _ITEM_BYTES + chunks * _CHUNK_BYTES

    @property
    def description(self) -> str:
        """One line: what is kept, and what it takes."""
        how = 'uniform' if self._priority_exponent is None else 'prioritised'
        return (
            f'replay: {self.capacity_transitions:,} transitions of {self.codec.row_bytes:,} bytes, '
            f'{self.transitions_per_item} per item, {how}, about '
            f'{max(1, round(self.expected_bytes / 2**20)):,} MiB of memory when full'
        )

    def _check_memory(self):
        available = _available_memory()
        if self.expected_bytes > available:
            fits = int(self.capacity_transitions * available / self.expected_bytes)
            raise UserError(
                f'Replay.capacity_transitions = {self.capacity_transitions:,} needs about '
                f'{self.expected_bytes / 2**30:,.1f} GiB and {available / 2**30:.1f} GiB are '
                f'free: at most {fits:,} fit'
            )

    def __enter__(self) -> Replay:
        self._log = ReplayLog(self._log_dir, self.num_envs, self.codec.row_bytes)
        table = reverb.Table(
            name=replay_client.TABLE,
            sampler=self._sampler(),
            remover=reverb.selectors.Fifo(),
            max_size=self._items,
            rate_limiter=reverb.rate_limiters.MinSize(1),
            signature=self._signature,
        )
        with cli.quiet_native_stderr():
            self._server = reverb.Server([table])
            self._table = table
            self._writer = replay_client.ReplayWriter(
                self.address,
                self.num_envs,
                self.lead_rows,
                self.transitions_per_item,
                self.tail_rows,
                self._rows_per_chunk,
                self._timeout_seconds,
            )
        return self

    def _sampler(self):
        if self._priority_exponent is None:
            return reverb.selectors.Uniform()
        return reverb.selectors.Prioritized(self._priority_exponent)

    def __exit__(self, *exc_info) -> None:
        with cli.quiet_native_stderr(), contextlib.suppress(RuntimeError):
            self._writer.close()
        with cli.quiet_native_stderr():
            self._server.stop()
        self._log.close()

    @property
    def address(self) -> str:
        """Where the server listens; on every interface of this machine, unauthenticated."""
        return f'localhost:{self._server.port}'

    @property
    def num_transitions(self) -> int:
        """How many rows that may start a transition can be sampled now."""
        return self._table.info.current_size * self.transitions_per_item

    def append(self, rows: np.ndarray) -> None:
        """Appends one vector step to the table and to the log.

        Args:
          rows: uint8 [num_envs, row_bytes], from `codec.encode`.

        Raises:
          ReplayStalledError: the server takes nothing.
        """
        self._insert(rows)
        self._log.append(rows)

    def _insert(self, rows: np.ndarray):
        try:
            step_type = self.codec.leaf(rows, 0)  # the first of a Trajectory's leaves
            self._writer.append(rows, step_type, self._highest_priority)
        except reverb.DeadlineExceededError as e:
            raise self.stalled('inserting') from e

    def sync(self) -> Position:
        """Makes what was appended survive a power cut; the position is for a checkpoint."""
        self._log.sync()
        return {
            'vector_steps': self._log.position,
            'highest_priority': self._highest_priority,
        }

    def restore(self, position: Position | None) -> None:
        """Forgets what was appended after `position` and fills the empty table again.

        Episodes that were in flight end there: their last row starts no transition, and
        the environments must be reset. Every transition comes back at the highest priority,
        as a new one does. None is where a run begins.

        Raises:
          UserError: the log does not reach `position`.
        """
        position = position or {'vector_steps': 0, 'highest_priority': 1.0}
        self._highest_priority = position['highest_priority']
        self._log.truncate(position['vector_steps'])
        for rows in self._log.read(position['vector_steps'] - self._kept_vector_steps):
            self._insert(rows)
        self.flush()

    def prune(self, position: Position) -> None:
        """Deletes what going back to `position` (or later) would not read."""
        self._log.prune(position['vector_steps'] - self._kept_vector_steps)

    @property
    def _kept_vector_steps(self) -> int:
        rows = self.capacity_transitions
        if self.transitions_per_item == 1:  # LAST rows are no items: at most every second row
            rows *= 2
        return -(-rows // self.num_envs) + self._block_rows

    def what_is_left(self) -> str:
        """After a restore, for a sentence."""
        return f' with {self.num_transitions:,} transitions in replay'

    def newest_observations(self, count: int) -> np.ndarray:
        """[count, ...] or fewer."""
        return self.newest_rows(count).observation.numpy()

    def newest_rows(self, count: int):
        """The newest `count` rows or fewer, as a nest of tensors [count, ...]."""
        self._log.sync()
        steps = list(self._log.read(self._log.position - -(-count // self.num_envs)))
        return self.codec.decode(tf.constant(np.concatenate(steps)[-count:]))

    def flush(self) -> None:
        """Waits until every whole item can be sampled."""
        try:
            self._writer.flush(self._highest_priority)
        except reverb.DeadlineExceededError as e:
            raise self.stalled('inserting') from e

    def samples(self) -> Iterator:
        """An endless iterator of samples, usable inside a `tf.function`.

        Each is a `reverb.ReplaySample` whose `data` is uint8 [items, block_rows,
        row_bytes] for `codec.decode`. Where nothing can be sampled it ends, which in a
        graph is `tf.errors.OutOfRangeError`; `stalled` explains it.
        """
        with cli.quiet_native_stderr():
            return iter(
                replay_client.replay_dataset(
                    self.address,
                    self._signature,
                    self._items_per_sample,
                    self._timeout_seconds,
                    prefetch=self._priority_exponent is None,
                )
            )

    def update_priorities(self, keys: tf.Tensor, priorities: tf.Tensor) -> tf.Tensor:
        """Within a graph: see `replay_client`. Give what it returns to `note_priority`."""
        return replay_client.update_priorities(self.address, keys, priorities)

    def note_priority(self, highest: float) -> None:
        """New transitions come in at least at this priority from now on."""
        self._highest_priority = max(self._highest_priority, highest)

    def stalled(self, doing: str) -> ReplayStalledError:
        """The error that says what the table looked like when `doing` stood still."""
        info = self._table.info
        limiter = info.rate_limiter_info
        return ReplayStalledError(
            f'replay: {doing} made no progress for {self._timeout_seconds:g} s. The table holds '
            f'{info.current_size} of {info.max_size} items '
            f'({self.num_transitions} transitions); its rate limiter wants at least '
            f'{limiter.min_size_to_sample} items and has let through '
            f'{limiter.insert_stats.completed} inserts and {limiter.sample_stats.completed} '
            'samples. Collect more before training, '
            'or look for a writer or learner that has died.'
        )
