"""A replay filled from the log of another one: what is sampled has happened, in one episode."""

import json

import numpy as np
import pytest
import reverb
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_agents.specs import tensor_spec

from pipelines import json_files
from pipelines.errors import UserError
from pipelines.experience import log as replay_log
from pipelines.experience.reuse import ReusedReplay, dealt
from pipelines.experience.rows import RowCodec
from tests.pipelines.experience.fakes import BIG, FIRST, LAST, SPEC, Life, fill, make


def write_log(run_dir, life, num_steps):
    """A run's directory that holds the log of `num_steps` vector steps."""
    codec = RowCodec(SPEC)
    log = replay_log.ReplayLog(run_dir / 'replay', life.num_envs, codec.row_bytes, codec.described)
    for _ in range(num_steps):
        log.append(codec.encode(life.step()))
    log.close()
    return run_dir


def reused(path, replay):
    return ReusedReplay('train_ddqn.reuse_replay', str(path), replay)


def transitions(replay, draws=400):
    """Every (environment, episode, time) that an item of the table can start with."""
    found = set()
    for sample in reverb.Client(replay.address).sample('transitions', draws, emit_timesteps=False):
        rows = sample.data[0]
        lead, tail = replay.shape.lead_rows, replay.shape.tail_rows
        kinds = replay.codec.leaf(rows, 0)
        observations = replay.codec.leaf(rows, 1)
        for t in range(lead, len(rows) - tail):
            if kinds[t] != LAST and kinds[t + 1] != FIRST:
                (env, episode, time), following = observations[t], observations[t + 1]
                assert following.tolist() == [env, episode, time + 1]
                for back in range(1, min(lead, time - BIG) + 1):  # the frames of its stack
                    assert observations[t - back].tolist() == [env, episode, time - back]
                found.add((int(env), int(episode), int(time - BIG)))
    return found


@pytest.mark.parametrize('alpha', [None, 0.6])
@pytest.mark.parametrize('others', [1, 2, 3])
@pytest.mark.parametrize(('n', 'frame_stack'), [(1, None), (3, 2)])
def test_what_is_sampled_has_happened_whatever_the_number_of_environments(
    tmp_path, others, n, frame_stack, alpha
):
    life = Life([3, 5, 2, 7], others)
    run = write_log(tmp_path / 'other', life, 60)
    happened = set().union(*life.transitions)
    with make(tmp_path, num_envs=2, n=n, frame_stack=frame_stack, alpha=alpha,
              capacity_transitions=1_000) as replay:  # fmt: skip
        replay.restore(None)
        source = reused(run, replay)
        source.check()
        assert source.take()['transitions'] == replay.num_starts > 0
        mine = Life([4], 2)
        mine.episode += 500
        fill(replay, mine, 4 * (n + 4))  # its own rows follow, so every block is complete
        own = set().union(*mine.transitions)
        sampled = transitions(replay)
        assert sampled <= happened | own and len(sampled & happened) > len(happened) / 2


def test_the_newest_rows_that_fit_are_taken_in_order(tmp_path, capsys):
    life = Life([5], 2)
    run = write_log(tmp_path / 'other', life, 100)
    with make(tmp_path, num_envs=2, capacity_transitions=40) as replay:
        replay.restore(None)
        source = reused(run, replay)
        kept = replay.blocks.kept_vector_steps  # 40 rows of 2 environments, and one block
        assert kept == 20 + 5
        assert source.check() == [f'replay begins with the newest {2 * kept} rows of {run}']
        source.take()
        assert replay.num_starts == 40
        assert f'40 transitions in replay are from {run}' in capsys.readouterr().out
        theirs = replay_log.LogReader(run / 'replay', 2, replay.codec.row_bytes)
        replay.state()
        np.testing.assert_array_equal(
            np.stack([rows for _, rows in replay._log.read(0)]),
            np.stack([rows for _, rows in theirs.read(100 - kept)]),
        )


def test_a_resumed_run_has_the_rows_as_its_own(tmp_path):
    run = write_log(tmp_path / 'other', Life([5], 2), 20)
    with make(tmp_path, num_envs=2) as replay:
        replay.restore(None)
        source = reused(run, replay)
        source.check()
        source.take()
        state, count = replay.state(), replay.num_starts
    for path in (run / 'replay').iterdir():
        path.unlink()
    with make(tmp_path, num_envs=2) as replay:
        replay.restore(state)
        assert replay.num_starts == count > 0


def test_the_other_log_is_only_read_and_may_still_be_written(tmp_path):
    life = Life([5], 2)
    run = write_log(tmp_path / 'other', life, 20)
    (segment,) = (run / 'replay').glob('*.rows')
    with open(segment, 'ab') as f:
        f.write(b'\1\0\0\0\xff\0\0\0half')  # a block that is being written
    before = {path: path.read_bytes() for path in (run / 'replay').iterdir()}
    with make(tmp_path, num_envs=2) as replay:
        replay.restore(None)
        source = reused(run, replay)
        source.check()
        source.take()
        assert replay.num_starts > 0
    assert {path: path.read_bytes() for path in (run / 'replay').iterdir()} == before


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 30),
    st.integers(0, 5),
)
def test_episodes_are_dealt_whole_and_once(lengths, theirs, ours, num_steps, first):
    """No row is lost but those of episodes whose beginning is not there."""
    life, codec = Life(lengths, theirs), RowCodec(SPEC)
    steps = [codec.encode(life.step()) for _ in range(first + num_steps)][first:]
    columns = list(dealt(enumerate(steps), codec, ours))
    rows = np.stack(columns, axis=1) if columns else np.zeros([ours, 0, codec.row_bytes], np.uint8)
    seen = []
    for column in rows:
        episode = None
        for kind, (env, number, time) in zip(codec.leaf(column, 0), codec.leaf(column, 1)):
            if kind == FIRST:
                assert time == BIG
                episode, due = (env, number), BIG
            assert ((env, number), time) == (episode, due)
            due = due + 1
            seen.append((env, number, time))
    wanted = []
    for i in range(theirs):
        begun = False
        for step in steps:
            begun = begun or codec.leaf(step, 0)[i] == FIRST
            if begun:
                wanted.append(tuple(codec.leaf(step, 1)[i]))
    assert set(seen) == set(wanted)
    once = [row for row in seen if row[2] != BIG]  # a filler repeats a first row
    assert len(once) == len(set(once))


def test_columns_get_about_the_same(tmp_path):
    life, codec = Life([3, 4], 8), RowCodec(SPEC)
    steps = [codec.encode(life.step()) for _ in range(100)]
    assert 800 / 3 <= len(list(dealt(enumerate(steps), codec, 3))) <= 800 / 3 + 5


def lose_a_block(directory, number):
    """Changes a byte of one of the blocks of a log, each of which is a segment."""
    path = sorted(directory.glob('*.rows'))[number]
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    path.write_bytes(data)


@pytest.fixture
def small_blocks(monkeypatch):
    """Logs have five vector steps in a block, and a block in a segment."""
    monkeypatch.setattr(replay_log, '_BLOCK_BYTES', 5 * 2 * RowCodec(SPEC).row_bytes)
    monkeypatch.setattr(replay_log, '_SEGMENT_BYTES', 1)


@pytest.mark.parametrize('per_item', [1, 4])
@pytest.mark.parametrize(('n', 'frame_stack'), [(1, None), (3, 3)])
def test_no_transition_crosses_what_the_log_has_lost(
    tmp_path, small_blocks, n, frame_stack, per_item
):
    """Rows 20 to 24 and 40 to 44 of 60 are lost: `transitions` checks what is left."""
    layout = dict(num_envs=2, n=n, frame_stack=frame_stack, transitions_per_item=per_item)
    life = Life([3, 20, 7], 2)
    with make(tmp_path, **layout) as replay:
        replay.restore(None)
        fill(replay, life, 60)
        position = replay.state()
    for number in (4, 8):
        lose_a_block(tmp_path / 'log', number)
    whole = [set().union(*life.transitions[a:b]) for a, b in ((0, 19), (25, 39), (45, 59))]
    with make(tmp_path, **layout) as replay:
        replay.restore(position)
        assert replay.lost_vector_steps == 10
        assert '; 20 rows are damaged or missing in' in replay.contents
        found = transitions(replay, draws=3_000)
        assert found <= set().union(*whole)
        if per_item == 1:  # all but those of a stack with lost frames, and of the unfinished end
            lead = (frame_stack or 1) - 1
            pieces = ((0, 19), (25 + lead, 39), (45 + lead, 60 - n))
            assert found >= set().union(
                *(life.transitions[i] for a, b in pieces for i in range(a, b))
            )
        state = replay.state()
    with make(tmp_path, **layout) as replay:  # and again
        replay.restore(state)
        assert transitions(replay) <= set().union(*whole) and replay.lost_vector_steps == 10


@pytest.mark.parametrize('others', [1, 2])
def test_what_another_log_has_lost_is_left_out_and_said(tmp_path, small_blocks, others):
    life = Life([3, 20, 7], others)
    run = write_log(tmp_path / 'other', life, 60)
    lose_a_block(run / 'replay', 2)
    with make(tmp_path, num_envs=2) as replay:
        replay.restore(None)
        source = reused(run, replay)
        lost = source.check()[1]
        assert lost == '10 of them are damaged or missing there'
        source.take()
        state = replay.state()
        fill(replay, Life([4], 2), 20)  # so every block is complete
        happened = set().union(*life.transitions)
        found = transitions(replay)
        assert len(found & happened) > 20
    with make(tmp_path, num_envs=2) as replay:
        replay.restore(state)
        assert transitions(replay) <= happened


def change(**entries):
    def apply(run):
        path = run / 'replay' / 'layout.json'
        layout = json.loads(path.read_text())
        layout['row'] |= entries
        json_files.write(path, layout)

    return apply


def forget(run):
    path = run / 'replay' / 'layout.json'
    layout = json.loads(path.read_text())
    del layout['row']
    json_files.write(path, layout)


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        (change(action='int64 [], 0 to 2'), 'action is int64 [], 0 to 2 there and int64 [] here'),
        (change(observation='float32 [4]'), 'observation is float32 [4] there and int64 [3] here'),
        (forget, 'did not say what its rows hold'),
        (lambda run: (run / 'replay' / 'layout.json').write_text('{"num'), 'cannot be read: '),
        (
            lambda run: (run / 'replay' / 'layout.json').write_text(
                '{"num_envs": 2, "row_bytes": 44}'
            ),
            'by another version',
        ),
        (change(action=5), 'action is 5 there'),
        (lambda run: (run / 'replay' / 'layout.json').unlink(), 'there is no replay'),
        (lambda run: next((run / 'replay').glob('*.rows')).unlink(), 'holds nothing yet'),
    ],
)
def test_a_log_that_cannot_be_used_is_one_line(tmp_path, spoil, words):
    run = write_log(tmp_path / 'other', Life([5], 2), 20)
    spoil(run)
    with pytest.raises(UserError) as error:
        reused(run, make(tmp_path, num_envs=2)).check()
    assert str(error.value).startswith(f"train_ddqn.reuse_replay = '{run}': ")
    assert words in str(error.value) and '\n' not in str(error.value)


def test_an_integers_values_are_part_of_what_a_row_holds():
    spec = SPEC._replace(
        action=tensor_spec.BoundedTensorSpec([], tf.int64, 0, 1),
        observation={
            'image': tensor_spec.BoundedTensorSpec([2, 2], tf.uint8, 0, 255),
            'vector': tensor_spec.BoundedTensorSpec([2], tf.int32, [0, 1], [5, 5]),
        },
    )
    described = RowCodec(spec).described
    assert described['action'] == 'int64 [], 0 to 1'
    assert described['observation'] == {
        'image': 'uint8 [2, 2], 0 to 255',
        'vector': 'int32 [2], [0, 1] to [5, 5]',
    }
    assert described['reward'] == 'float32 []' and described['policy_info'] == []
