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
    return [int(rows[0, 0]) for _, rows in log.read(start)]


def positions(log, start=0):
    return [position for position, _ in log.read(start)]


def make(path, monkeypatch, block_steps=2, segment_blocks=2):
    monkeypatch.setattr(replay_log, '_BLOCK_BYTES', block_steps * 6)
    block_bytes = 28 + len(zlib.compress(bytes(block_steps * 6), level=1))  # at the very least
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
    zipped = 28 + len(zlib.compress(bytes(6), level=1))
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
    assert (np.stack([rows for _, rows in log.read(0)]) == np.stack(wanted)).all()
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


def test_what_is_missing_at_the_end_is_a_gap_before_what_follows(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch)
    log.append(step(0))
    log.truncate(5)
    log.append(step(5))
    log.sync()
    assert positions(log) == [0, 5] and log.end() == 6
    assert log.count(0) == 2 and log.count(5) == 1


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


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_damage_costs_the_damaged_blocks_alone(tmp_path_factory, data):
    """Bytes changed, cut out or added: what is read was written, and lies where it was written."""
    with pytest.MonkeyPatch.context() as patch:
        log = make(tmp_path_factory.mktemp('log'), patch, 2, data.draw(st.integers(1, 9)))
        for i in range(20):
            log.append(np.random.default_rng(i).integers(0, 256, (2, 3), dtype=np.uint8))
        log.close()
        wanted = dict(log.read(0))
        assert list(wanted) == list(range(20))
        path = data.draw(st.sampled_from(sorted(log._dir.glob('*.rows'))))
        whole = path.read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        kind = data.draw(st.sampled_from(['flip', 'cut out', 'add', 'truncate']))
        length = data.draw(st.integers(1, 40))
        damaged = {
            'flip': whole[:at] + bytes([whole[at] ^ (1 << length % 8)]) + whole[at + 1 :],
            'cut out': whole[:at] + whole[at + length :],
            'add': whole[:at] + b'rows' * length + whole[at:],
            'truncate': whole[:at],
        }[kind]
        path.write_bytes(damaged)
        found = dict(log.read(0))
        assert all((rows == wanted[i]).all() for i, rows in found.items())
        assert list(found) == sorted(found) and log.count(0) == len(found)
        if kind in ('flip', 'add'):  # one block at most
            assert len(found) >= 18
        # Going back changes nothing before the position.
        log.truncate(14)
        log.append(wanted[0])
        log.close()
        assert positions(log) == [*(i for i in found if i < 14), 14]


def test_a_damaged_header_no_longer_empties_the_log(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch, segment_blocks=100)
    for i in range(10):
        log.append(step(i))
    log.close()
    (path,) = tmp_path.glob('*.rows')
    data = bytearray(path.read_bytes())
    data[12] ^= 0xFF  # in the length of the first block
    path.write_bytes(data)
    again = make(tmp_path, monkeypatch)
    again.truncate(10)
    assert positions(again) == list(range(2, 10)) and path.read_bytes() == data


def test_a_gap_that_was_left_is_one_after_reopening(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch)
    log.append(step(0))
    log.skip(4)
    log.append(step(5))
    log.close()
    assert positions(make(tmp_path, monkeypatch)) == [0, 5]


def test_files_of_others_are_left_alone(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch)
    log.append(step(0))
    log.sync()
    (tmp_path / 'notes.rows').write_text('mine')
    (tmp_path / '000000000007.rows').mkdir()
    (tmp_path / 'layout.json.tmp').write_text('{')  # of a kill
    again = make(tmp_path, monkeypatch)
    assert read(again) == [0] and again.position == 1
    again.truncate(0)
    again.prune(100)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'notes.rows', '000000000007.rows', 'layout.json'}


@pytest.mark.parametrize('text', ['', '{}', '[]', 'null', '{"num_envs": 2', '{"format": "2"}'])
def test_a_damaged_layout_is_written_again(tmp_path, monkeypatch, capsys, text):
    make(tmp_path, monkeypatch).close()
    path = tmp_path / 'layout.json'
    before = path.read_text()
    path.write_text(text)
    make(tmp_path, monkeypatch)
    assert path.read_text() == before
    assert f'{path} cannot be read: ' in capsys.readouterr().out


def test_a_log_of_an_earlier_version_is_refused(tmp_path, monkeypatch):
    (tmp_path / 'layout.json').write_text('{"num_envs": 2, "row_bytes": 3}')
    with pytest.raises(UserError, match='layout.json was written by another version'):
        make(tmp_path, monkeypatch)


def test_rows_of_another_shape_than_was_said_are_one_line(tmp_path, monkeypatch):
    log = make(tmp_path, monkeypatch)
    log.append(step(0))
    log.sync()
    with pytest.raises(UserError, match='holds other rows than its layout.json says'):
        read(replay_log.LogReader(tmp_path, 2, 4))


def test_a_log_of_other_rows_is_refused(tmp_path, monkeypatch):
    make(tmp_path, monkeypatch).close()
    with pytest.raises(UserError, match='describes other rows'):
        replay_log.ReplayLog(tmp_path, num_envs=2, row_bytes=5)
