import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import UserError
from pipelines.experience import log as replay_log


def step(i):
    return np.full((2, 3), i % 256, np.uint8)


def read(log, start=0):
    return [int(rows[0, 0]) for rows in log.read(start)]


def make(path, monkeypatch, block_steps=2, segment_blocks=2):
    monkeypatch.setattr(replay_log, '_BLOCK_BYTES', block_steps * 6)
    block_bytes = 8 + len(zlib.compress(bytes(block_steps * 6), level=1))  # at the very least
    monkeypatch.setattr(replay_log, '_SEGMENT_BYTES', segment_blocks * block_bytes)
    return replay_log.ReplayLog(path, num_envs=2, row_bytes=3)


def test_what_was_appended_is_read_from_any_start_even_after_reopening(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch)
    for i in range(10):
        log.append(step(i))
    log.sync()
    assert read(log, 0) == list(range(10)) and read(log, 7) == [7, 8, 9]
    log.close()
    again = make(tmp_path, monkeypatch)
    assert again.position == 10
    again.append(step(10))
    again.sync()
    assert read(again, 3) == list(range(3, 11))


def test_each_step_is_written_once_however_often_it_is_synced(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch)
    for i in range(10):
        log.append(step(i))
        log.sync()
        log.sync()
    assert read(log) == list(range(10))
    zipped = 8 + len(zlib.compress(bytes(6), level=1))
    assert sum(p.stat().st_size for p in tmp_path.glob('*.rows')) <= 10 * (zipped + 2)


def test_frames_that_change_little_take_little_space(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (4, 7_000), dtype=np.uint8)
    log = replay_log.ReplayLog(tmp_path, num_envs=4, row_bytes=7_000)
    wanted = []
    for _ in range(100):
        rows = rows.copy()
        rows[:, rng.integers(0, 7_000, 20)] += 1
        wanted.append(rows)
        log.append(rows)
    log.sync()
    assert (np.stack(list(log.read(0))) == np.stack(wanted)).all()
    assert sum(p.stat().st_size for p in tmp_path.glob('*.rows')) < 100 * 4 * 7_000 / 10


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 20), st.integers(0, 20), st.integers(0, 5), st.integers(1, 6), st.integers(1, 3)
)
def test_truncating_where_it_was_synced_and_appending_again(
    tmp_path_factory, total, keep, more, block_steps, segment_blocks
):
    keep = min(keep, total)
    with pytest.MonkeyPatch.context() as patch:
        log = make(tmp_path_factory.mktemp('log'), patch, block_steps, segment_blocks)
        for i in range(total):
            if i == keep:
                log.sync()
            log.append(step(i))
        log.truncate(keep)
        for i in range(more):
            log.append(step(100 + i))
        log.sync()
        assert log.position == keep + more
        assert read(log) == list(range(keep)) + [100 + i for i in range(more)]


def test_a_log_that_ends_early_is_not_taken_for_whole(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch)
    log.append(step(0))
    with pytest.raises(UserError, match='holds 1 vector steps and the checkpoint needs 2'):
        log.truncate(2)


def test_a_half_written_step_at_the_end_does_not_count(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch)
    for i in range(3):
        log.append(step(i))
    log.close()
    with open(tmp_path / '000000000000.rows', 'ab') as f:
        f.write(b'\1\1')
    again = make(tmp_path, monkeypatch)
    assert again.position == 3
    again.truncate(3)
    again.append(step(3))
    again.sync()
    assert read(again) == [0, 1, 2, 3]


def test_pruning_removes_only_whole_old_segments(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch)
    for i in range(10):
        log.append(step(i))
    log.sync()
    whole = sorted(int(path.stem) for path in tmp_path.glob('*.rows'))
    assert whole == [0, 4, 8]
    log.prune(7)
    assert read(log) == list(range(4, 10))


def test_a_damaged_block_is_named(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch)
    log.append(step(0))
    log.close()
    path = tmp_path / '000000000000.rows'
    path.write_bytes(path.read_bytes()[:-3] + b'abc')
    with pytest.raises(UserError, match='000000000000.rows is damaged'):
        read(log)


def test_a_log_of_other_rows_is_refused(tmp_path, monkeypatch):
    make(tmp_path, monkeypatch).close()
    with pytest.raises(UserError, match='describes other rows'):
        replay_log.ReplayLog(tmp_path, num_envs=2, row_bytes=5)
