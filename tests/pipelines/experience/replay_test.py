"""The replay on a real Reverb server."""

import tempfile
from time import sleep

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from pipelines.errors import UserError
from pipelines.experience import memory, minibatches, replay_client
from tests.pipelines.experience.fakes import BIG, Life, fill, make


def sampled(replay, draws, sample=256):
    """Samples many transitions: (env, episode, time, k, reward), checked for consistency."""
    frame_stack = replay.shape.frame_stack or 1

    @tf.function(autograph=False)
    def cut(data):
        blocks = replay.codec.decode(data)
        indices = minibatches.choose_minibatches(
            blocks, replay.shape, num_minibatches=1, batch_size=sample
        )
        first = tf.nest.map_structure(lambda t: t[0], indices)
        return minibatches.minibatch(blocks, first, frame_stack)

    samples = replay.samples()
    found = []
    for _ in range(draws):
        batch = cut(next(samples).data)
        start, end = (
            newest_of_stack(t.observation.numpy()) for t in (batch.time_step, batch.next_time_step)
        )
        np.testing.assert_array_equal(start[:, :2], end[:, :2])  # one env, one episode
        np.testing.assert_array_equal(batch.action_step.action, start[:, 2] - BIG)
        found.append(
            np.concatenate(
                [
                    start[:, :2],
                    start[:, 2:] - BIG,
                    end[:, 2:] - start[:, 2:],
                    batch.next_time_step.reward.numpy()[:, None].astype(np.int64),
                    batch.next_time_step.discount.numpy()[:, None].astype(np.int64),
                ],
                axis=1,
            )
        )
    return np.concatenate(found)


def newest_of_stack(stacks):
    """Returns the newest frames, [B, 3], of checked stacks [B, K, 3]."""
    newest = stacks[:, -1]
    for back in range(stacks.shape[1]):
        frame = stacks[:, -1 - back]
        np.testing.assert_array_equal(frame[:, :2], newest[:, :2])
        np.testing.assert_array_equal(frame[:, 2], np.maximum(newest[:, 2] - back, BIG))
    return newest


@pytest.mark.slow
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    num_envs=st.integers(1, 3),
    n=st.integers(1, 4),
    num_frames=st.integers(1, 4),
    per_item=st.sampled_from([1, 4, 7]),
    rows_per_chunk=st.sampled_from([1, 4, 16]),
    capacity=st.sampled_from([28, 10_000]),
)
def test_samples_are_transitions_that_happened(
    lengths, num_envs, n, num_frames, per_item, rows_per_chunk, capacity
):
    """Each sample is consecutive rows of one episode. All stored transitions, terminal ones
    included, can be sampled; none beyond the capacity can."""
    life = Life(lengths, num_envs)
    num_steps = 60
    with (
        tempfile.TemporaryDirectory() as directory,
        make(
            directory, num_envs, n, num_frames, transitions_per_item=per_item,
            rows_per_chunk=rows_per_chunk, capacity_transitions=capacity,
        ) as replay,
    ):  # fmt: skip
        fill(replay, life, num_steps)
        found = sampled(replay, draws=20)
        current_items = replay.num_starts // per_item
        assert current_items <= max(1, capacity // per_item)
    for episode, time, k, reward, discount in np.unique(found[:, 1:], axis=0):
        length = lengths[episode % len(lengths)]
        assert k == min(n, length - time)
        assert reward == sum(range(time + 1, time + 1 + k))
        assert discount == (0 if time + k == length else 1)
    seen = {(int(e), int(p), int(t)) for e, p, t, *_ in found}
    # Whole blocks only: the last (block) rows wait for their tails.
    whole = (num_steps - n) // per_item * per_item
    stored = [s for step in life.transitions[:whole] for s in step]
    assert seen <= set(stored)
    if capacity >= len(stored) * 2:
        assert seen == set(stored)
    elif per_item == 1:
        newest, oldest_step = set(), whole
        while len(newest | life.transitions[oldest_step - 1]) <= capacity:
            oldest_step -= 1
            newest |= life.transitions[oldest_step]
        # Of the vector step that the capacity cuts through, any may have stayed.
        assert newest <= seen <= newest | life.transitions[oldest_step - 1]
        assert len(seen) == capacity


@pytest.mark.slow
@pytest.mark.parametrize('per_item', [1, 4])
def test_every_stored_transition_is_equally_likely(tmp_path, per_item):
    """A chi-squared test that fails once in 10 000 times; episodes of 1, 2 and 6 steps."""
    from scipy import stats

    life = Life([1, 2, 6], 2)
    with make(tmp_path, 2, 2, transitions_per_item=per_item) as replay:
        fill(replay, life, 42)
        found = sampled(replay, draws=200)
    _, counts = np.unique(found[:, :3], axis=0, return_counts=True)
    assert len(counts) == sum(len(step) for step in life.transitions[:40])
    assert counts.sum() == 200 * 256
    # The transitions of an item come up together, so that their counts are one sample, not
    # `per_item` ones: the statistic is that many times a chi-squared one.
    statistic, freedom = stats.chisquare(counts).statistic, len(counts) - 1
    assert stats.chi2.sf(statistic / per_item, freedom / per_item) > 1e-4


@pytest.mark.slow
@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    num_envs=st.integers(1, 3),
    n=st.integers(1, 3),
    num_frames=st.integers(1, 3),
    per_item=st.sampled_from([1, 4, 7]),
    wanted=st.integers(1, 30),
)
def test_a_short_first_item_lets_training_begin_as_early_as_it_can(
    lengths, num_envs, n, num_frames, per_item, wanted
):
    """The copies that fill it up start nothing, and all that happened since can be sampled."""
    life = Life(lengths, num_envs)
    with (
        tempfile.TemporaryDirectory() as directory,
        make(
            directory, num_envs, n, num_frames, transitions_per_item=per_item,
            min_transitions=wanted,
        ) as replay,
    ):  # fmt: skip
        first = -(-wanted // num_envs) + n
        assert replay.blocks.start_vector_steps == first
        fill(replay, life, first - 1)
        assert replay.num_starts < wanted
        fill(replay, life, 1)
        if per_item > 1:
            assert replay.num_starts >= wanted
        fill(replay, life, 3 * per_item)
        whole = first - n + 3 * per_item
        assert replay.num_starts == (
            whole * num_envs
            if per_item > 1
            else sum(len(step) for step in life.transitions[:whole])
        )
        found = sampled(replay, draws=20)
    stored = [s for step in life.transitions[:whole] for s in step]
    assert {(int(e), int(p), int(t)) for e, p, t, *_ in found} == set(stored)


@pytest.mark.slow
def test_the_starts_of_a_short_first_item_are_as_likely_as_all_others(tmp_path):
    """A chi-squared test that fails once in 10 000 times: items of 1, 8 and 8 starts."""
    life = Life([1, 2, 6], 2)
    with make(tmp_path, 2, 2, transitions_per_item=8, min_transitions=34) as replay:
        fill(replay, life, 19)
        assert replay.num_starts == 34
        found = sampled(replay, draws=400)
    _, counts = np.unique(found[:, :3], axis=0, return_counts=True)
    assert len(counts) == sum(len(step) for step in life.transitions[:17])
    statistic, freedom = stats.chisquare(counts).statistic, len(counts) - 1
    assert stats.chi2.sf(statistic / 8, freedom / 8) > 1e-4  # an item's starts come up together


def test_a_short_first_item_comes_back_as_it_was_and_goes_first(tmp_path):
    layout = dict(capacity_transitions=24, transitions_per_item=4, min_transitions=5)
    life = Life([5], 1)
    with make(tmp_path, **layout) as replay:
        fill(replay, life, 6)
        position, size = replay.state(), replay.num_starts
        assert size == 5  # items of 1 and 4
    with make(tmp_path, **layout) as replay:
        replay.restore(position)
        assert replay.num_starts == size
        fill(replay, life, 20)
        assert replay.num_starts == 24  # six whole items: the short one has left


def test_a_full_replay_keeps_the_newest_and_samples_all_of_them(tmp_path):
    life = Life([5], 1)
    with make(tmp_path, capacity_transitions=40) as replay:
        fill(replay, life, 381)  # no multiple of 40: one that begins again would not be full
        assert replay.num_starts == 40
        found = sampled(replay, draws=20)
    stored = [s for step in life.transitions[340:380] for s in step]
    assert {tuple(int(x) for x in row[:3]) for row in found} == set(stored)


@pytest.mark.slow
def test_restore_brings_back_the_replay_at_the_checkpoint(tmp_path):
    life = Life([3, 5], 2)
    with make(tmp_path, 2, 2, frame_stack=4) as replay:
        fill(replay, life, 30)
        position = replay.state()
        before = {tuple(row[:3]) for row in sampled(replay, draws=20)}
        size = replay.num_starts
        fill(replay, life, 7)  # after the checkpoint: lost by the kill
    life = Life([3, 5], 2)
    for _ in range(30):
        life.step()
    with make(tmp_path, 2, 2, frame_stack=4) as replay:
        replay.restore(position)
        assert replay.num_starts == size
        assert {tuple(row[:3]) for row in sampled(replay, draws=20)} == before
        life.cut_short()
        fill(replay, life, 30)  # `sampled` checks that nothing joins the two lives
        after = {tuple(row[:3]) for row in sampled(replay, draws=40)}
        assert before < after
        assert replay.state()['vector_steps'] == 60


@pytest.mark.parametrize('per_item', [1, 4])
@pytest.mark.parametrize('length', [1, 5])
def test_restore_of_a_full_replay_fills_the_capacity(tmp_path, per_item, length):
    layout = dict(capacity_transitions=40, transitions_per_item=per_item)
    with make(tmp_path, **layout) as replay:
        fill(replay, Life([length], 1), 200)
        position, size = replay.state(), replay.num_starts
        replay.prune(position)
    with make(tmp_path, **layout) as replay:
        replay.restore(position)
        assert replay.num_starts == size == 40


def test_a_writer_and_a_dataset_need_only_the_address(tmp_path):
    """A collector and a learner know nothing but the address of the server."""
    life = Life([3], 2)
    with make(tmp_path, 2, 2) as replay:
        writer = replay_client.ReplayWriter(replay.address, 2, replay.shape, 4, 4, 20)
        for _ in range(30):
            row = life.step()
            writer.append(replay.codec.encode(row), row.step_type)
        writer.flush()
        signature = replay_client.table_signature(4 + 2, replay.codec.row_bytes)
        dataset = replay_client.replay_dataset(replay.address, signature, 8, 20, prefetch=True)
        blocks = replay.codec.decode(next(iter(dataset)).data)
        writer.close()
        assert replay.num_starts == 2 * 28
    assert blocks.observation.shape == (8, 6, 3)
    moments = blocks.observation.numpy()[..., 1:] - [0, BIG]
    step = np.diff(moments, axis=1)  # consecutive: the next time, or the next episode's start
    assert np.all((step == [0, 1]).all(-1) | (step == [1, -3]).all(-1))


def in_graph(replay, keys, priorities):
    renew = tf.function(replay.update_priorities, autograph=False)
    return float(renew(tf.constant(keys, tf.uint64), tf.constant(priorities, tf.float32)))


def test_sampling_follows_priorities_to_the_power_alpha(tmp_path):
    """Frequencies are p^alpha / sum p^alpha (Schaul et al. 2016, equation 1) by chi-squared."""
    alpha, count, draws = 0.6, 12, 24_000
    with make(tmp_path, alpha=alpha, rows_per_chunk=1) as replay:
        fill(replay, Life([count], 1), count + 1)
        assert replay.num_starts == count
        samples, keys = replay.samples(), {}
        while len(keys) < count:
            sample = next(samples)
            rows = replay.codec.decode(sample.data)
            times = rows.observation.numpy()[:, 0, 2] - BIG
            keys |= dict(zip(times.tolist(), sample.info.key.numpy().tolist(), strict=True))
        np.testing.assert_allclose(sample.info.priority, 1.0)  # new ones: the highest so far
        priorities = np.linspace(0.1, 3.0, count)
        highest = in_graph(replay, [keys[t] for t in range(count)], priorities)
        assert highest == pytest.approx(3.0)
        next(samples)  # what was fetched before
        drawn = np.zeros(count)
        law = priorities**alpha / (priorities**alpha).sum()
        while drawn.sum() < draws:
            sample = next(samples)
            times = replay.codec.decode(sample.data).observation.numpy()[:, 0, 2] - BIG
            drawn += np.bincount(times, minlength=count)
            np.testing.assert_allclose(sample.info.probability, law[times], rtol=1e-5)
            assert (sample.info.table_size.numpy() == count).all()
    assert stats.chisquare(drawn, law * drawn.sum()).pvalue > 1e-4


@pytest.mark.parametrize('count', [3, 65, 200])
def test_every_transition_of_a_prioritised_replay_is_drawn(tmp_path, count):
    """Numbers that are not powers of two: a tree of sums must not lose leaves at its edge."""
    with make(tmp_path, alpha=0.6, sample=512, rows_per_chunk=1) as replay:
        fill(replay, Life([count], 1), count + 1)
        assert replay.num_starts == count
        samples, drawn = replay.samples(), set()
        for _ in range(20):  # each 51 times on average, or more
            drawn |= set(replay.codec.decode(next(samples).data).observation.numpy()[:, 0, 2] - BIG)
    assert drawn == set(range(count))


@pytest.mark.slow
@pytest.mark.parametrize('sample', [1, 64, 1024])
def test_one_sample_is_fetched_before_its_priorities_are_known_and_no_more(tmp_path, sample):
    """Not even after many fast draws, which find nothing ready, or after a pause."""
    with make(tmp_path, alpha=1.0, sample=sample, rows_per_chunk=1) as replay:
        fill(replay, Life([12], 1), 13)
        samples, keys = replay.samples(), set()
        while len(keys) < 12:
            keys |= set(next(samples).info.key.numpy().tolist())
        for priority, pause in ((2.0, 0.0), (3.0, 0.3), (4.0, 0.0), (5.0, 0.3)):
            for _ in range(100):
                next(samples)
            sleep(pause)
            in_graph(replay, sorted(keys), np.full(12, priority))
            next(samples)
            np.testing.assert_allclose(next(samples).info.priority, priority)


def test_new_transitions_get_the_highest_priority_so_far(tmp_path):
    with make(tmp_path, alpha=1.0, sample=64, rows_per_chunk=1) as replay:
        life = Life([50], 1)
        fill(replay, life, 3)
        replay.note_priority(7.0)
        replay.note_priority(2.0)
        fill(replay, life, 1)
        samples, seen = replay.samples(), {}
        for _ in range(8):
            sample = next(samples)
            times = replay.codec.decode(sample.data).observation.numpy()[:, 0, 2] - BIG
            seen |= dict(zip(times.tolist(), sample.info.priority.numpy().tolist(), strict=True))
    assert seen == {0: 1.0, 1: 1.0, 2: 7.0}  # row 3 waits for its successor


def test_restored_transitions_get_the_highest_priority_so_far(tmp_path):
    with make(tmp_path, alpha=1.0, rows_per_chunk=1) as replay:
        fill(replay, Life([50], 1), 10)
        replay.note_priority(7.0)
        position = replay.state()
    with make(tmp_path, alpha=1.0, sample=64, rows_per_chunk=1) as replay:
        replay.restore(position)
        np.testing.assert_allclose(next(replay.samples()).info.priority, 7.0)
        assert replay.state() == position


def test_priorities_make_each_transition_an_item(tmp_path):
    with make(tmp_path, alpha=0.5, transitions_per_item=8) as replay:
        assert replay.transitions_per_item == 1 and 'prioritised' in replay.description


def test_the_newest_rows_can_be_read(tmp_path):
    with make(tmp_path, 2) as replay:
        fill(replay, Life([3], 2), 10)
        rows = replay.newest_rows(5)
    assert rows.observation.shape == (5, 3)
    np.testing.assert_array_equal(rows.observation[-1], [1, 1002, BIG + 1])


def test_sampling_an_empty_table_says_what_is_wrong(tmp_path):
    with make(tmp_path, stall_timeout_seconds=0.2) as replay:
        with pytest.raises(StopIteration):
            next(replay.samples())
        message = str(replay.stalled('sampling'))
    assert 'sampling made no progress for 0.2 s' in message
    assert '0 of' in message and 'at least 1 items' in message


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(capacity_transitions=0), 'Replay.capacity_transitions = 0'),
        (dict(transitions_per_item=-1), 'Replay.transitions_per_item = -1'),
        (dict(capacity_transitions=3), 'at least transitions_per_item = 4'),
        (dict(capacity_transitions=10**12), r'GiB are free: at most .* fit'),
    ],
)
def test_impossible_replays_are_refused_before_anything_starts(tmp_path, kwargs, message):
    with pytest.raises(UserError, match=message):
        make(tmp_path, **kwargs)


@pytest.mark.parametrize(
    ('limit', 'current'),
    [
        ('memory.max', 'memory.current'),
        ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes'),
    ],
)
def test_a_containers_limit_counts_in_both_versions_of_cgroups(
    tmp_path, monkeypatch, limit, current
):
    (tmp_path / 'memory').mkdir()
    (tmp_path / limit).write_text('3000000\n')
    (tmp_path / current).write_text('1000000\n')
    monkeypatch.setattr(memory, '_CGROUP', tmp_path)
    assert memory.available_bytes() == 2_000_000


def test_the_samples_of_a_turn_need_memory_beside_the_replay(monkeypatch):
    monkeypatch.setattr(memory, 'available_bytes', lambda: 2**30)
    memory.check_sample_fits(1_000, sample_bytes=2**28, replay_bytes=2**29)  # twice, and just
    with pytest.raises(UserError, match='are 1,000 transitions at a time: with a full replay'):
        memory.check_sample_fits(1_000, sample_bytes=2**28 + 1, replay_bytes=2**29)
