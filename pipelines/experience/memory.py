"""How much memory a replay takes, and whether the machine has it."""

from __future__ import annotations

import contextlib
import pathlib

import psutil

from pipelines.errors import UserError
from pipelines.experience.rows import RowCodec

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


def available_bytes() -> int:
    """Bytes that this process may still take, within the container's limit if there is one."""
    available = psutil.virtual_memory().available
    cgroup = pathlib.Path('/sys/fs/cgroup')
    with contextlib.suppress(OSError, ValueError):  # no such file, or 'max'
        limit = int((cgroup / 'memory.max').read_text())
        available = min(available, limit - int((cgroup / 'memory.current').read_text()))
    return available
