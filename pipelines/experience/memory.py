"""How much memory a replay takes, and whether the machine has it."""

from __future__ import annotations

import contextlib
import pathlib

import psutil

from pipelines.errors import UserError
from pipelines.experience.rows import RowCodec

_CGROUP = pathlib.Path('/sys/fs/cgroup')
_CGROUP_FILES = (  # of version 2, and of version 1
    ('memory.max', 'memory.current'),
    ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes'),
)
# Reverb's overhead, measured by benchmarks/replay_memory.py.
_ITEM_BYTES = 760
_CHUNK_BYTES = 750
_FRAME_COMPRESSION = 5  # cautious: Space Invaders' frames shrink to a tenth


def expected_bytes(
    codec: RowCodec, capacity_transitions: int, num_items: int, rows_per_chunk: int
) -> int:
    """Resident memory of a full table in bytes; a cautious estimate for a game's frames."""
    chunks = -(-capacity_transitions // rows_per_chunk)
    row_bytes = codec.row_bytes - codec.frame_bytes + codec.frame_bytes // _FRAME_COMPRESSION
    return capacity_transitions * row_bytes + num_items * _ITEM_BYTES + chunks * _CHUNK_BYTES


def check_fits(capacity_transitions: int, needed_bytes: int) -> None:
    """Raises a UserError if `needed_bytes` are not free; it says how many transitions fit."""
    available = available_bytes()
    if needed_bytes > available:
        fits = int(capacity_transitions * available / needed_bytes)
        raise UserError(
            f'Replay.capacity_transitions = {capacity_transitions:,} needs about '
            f'{needed_bytes / 2**30:,.1f} GiB and {available / 2**30:.1f} GiB are '
            f'free: at most {fits:,} fit'
        )


def check_sample_fits(transitions: int, sample_bytes: int, replay_bytes: int) -> None:
    """Raises a UserError if the samples of one turn are not free beside a full replay.

    Args:
      transitions: in the samples.
      sample_bytes: of the rows in them; they are held twice, as they come and as minibatches.
      replay_bytes: of the full replay.
    """
    available, needed = available_bytes(), replay_bytes + 2 * sample_bytes
    if needed > available:
        raise UserError(
            f'train_ddqn.batch_size times max_train_steps_per_turn are {transitions:,} transitions '
            f'at a time: with a full replay about {needed / 2**30:,.1f} GiB, and '
            f'{available / 2**30:.1f} GiB are free: lower one of them'
        )


def available_bytes() -> int:
    """Bytes that this process may still take, within the container's limit if there is one."""
    available = psutil.virtual_memory().available
    for limit, current in _CGROUP_FILES:
        with contextlib.suppress(OSError, ValueError):  # no such file, or 'max'
            free = int((_CGROUP / limit).read_text()) - int((_CGROUP / current).read_text())
            available = min(available, free)
    return available
