"""The replay on a real Reverb server: what can be sampled is what was lived, and nothing else."""

import pathlib
import tempfile
from time import sleep

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from agents import n_step
from pipelines import replay as replay_lib
from pipelines import replay_client
from pipelines.cli import UserError

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))
SPEC = trajectory.Trajectory(
    step_type=tf.TensorSpec([], tf.int32),
    observation=tf.TensorSpec([3], tf.int64),  # env, episode, time: large numbers must survive
    action=tf.TensorSpec([], tf.int64),
    policy_info=(),
    next_step_type=tf.TensorSpec([], tf.int32),
    reward=tf.TensorSpec([], tf.float32),
    discount=tf.TensorSpec([], tf.float32),
)
BIG = 2**53 + 1  # lost by a float64, let alone a float32


class Life:
    """Environments whose rows say which environment, episode and time they are."""

    def __init__(self, lengths, num_envs):
        self.lengths, self.num_envs = lengths, num_envs
        self.episode, self.time = np.arange(num_envs) * 1000, np.zeros(num_envs, int)
        self.transitions: list[set] = []  # per vector step: what starts there

    def length(self, i):
        return self.lengths[self.episode[i] % len(self.lengths)]

    def step(self):
        """One vector step of rows; time `length` is the LAST row."""
        kinds, observations, rewards = [], [], []
        started = set()
        for i in range(self.num_envs):
            length, t = self.length(i), int(self.time[i])
            kinds.append(FIRST if t == 0 else LAST if t == length else MID)
            observations.append([i, int(self.episode[i]), BIG + t])
            rewards.append(float(t + 1) if t < length else 0.0)
            if t < length:
                started.add((i, int(self.episode[i]), t))
            if t == length:
                self.episode[i] += 1
                self.time[i] = 0
            else:
                self.time[i] += 1
        self.transitions.append(started)
        kinds = np.array(kinds, np.int32)
        return trajectory.Trajectory(
            step_type=kinds,
            observation=np.array(observations, np.int64),
            action=np.array([o[2] - BIG for o in observations], np.int64),
            policy_info=(),
            next_step_type=kinds,
            reward=np.array(rewards, np.float32),
            discount=np.array(
                [0.0 if r == self.lengths[o[1] % len(self.lengths)] else 1.0
                 for r, o in zip(rewards, observations)], np.float32,
            ),
        )  # fmt: skip

    def cut_short(self):
        """What a kill does: every environment starts a new episode."""
        self.episode += 1
        self.time[:] = 0


def make(directory, num_envs=1, n=1, lead=0, sample=256, **kwargs):
    kwargs = {'transitions_per_item': 4, 'rows_per_chunk': 4, 'stall_timeout_seconds': 20} | kwargs
    log_dir = pathlib.Path(directory) / 'log'
    return replay_lib.Replay(SPEC, num_envs, lead, n, sample, log_dir, **kwargs)


def fill(replay, life, num_steps):
    for _ in range(num_steps):
        replay.append(replay.codec.encode(life.step()))
    replay.flush()


def sampled(replay, n, draws, sample=256):
    """(env, episode, time, k, reward) of many sampled transitions, checked for consistency."""
    num_frames = replay.lead_rows + 1

    @tf.function(autograph=False)
    def cut(data):
        blocks = replay.codec.decode(data)
        plan = n_step.plan_minibatches(
            blocks, lead=replay.lead_rows, n=n, gamma=1.0, num_minibatches=1, batch_size=sample
        )
        return n_step.minibatch(blocks, tf.nest.map_structure(lambda t: t[0], plan), num_frames)

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
    """[B, 3] of [B, K, 3]; the frames before are the episode's own, its first one repeated."""
    newest = stacks[:, -1]
    for back in range(stacks.shape[1]):
        frame = stacks[:, -1 - back]
        np.testing.assert_array_equal(frame[:, :2], newest[:, :2])
        np.testing.assert_array_equal(frame[:, 2], np.maximum(newest[:, 2] - back, BIG))
    return newest


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
def test_what_is_sampled_is_what_was_lived(
    lengths, num_envs, n, num_frames, per_item, rows_per_chunk, capacity
):
    """Museums 3, 4, 5: each sample is a true consecutive piece of one episode; every stored
    transition, terminal ones included, can come up; nothing older than the capacity can."""
    life = Life(lengths, num_envs)
    num_steps = 60
    with (
        tempfile.TemporaryDirectory() as directory,
        make(
            directory, num_envs, n, num_frames - 1, transitions_per_item=per_item,
            rows_per_chunk=rows_per_chunk, capacity_transitions=capacity,
        ) as replay,
    ):  # fmt: skip
        fill(replay, life, num_steps)
        found = sampled(replay, n, draws=20)
        current_items = replay.num_transitions // per_item
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


@pytest.mark.parametrize('per_item', [1, 4])
def test_every_stored_transition_is_equally_likely(tmp_path, per_item):
    """Episodes of 1, 2 and 6 steps; 51 200 draws; chi-squared, one in 10 000 fails."""
    from scipy import stats

    life = Life([1, 2, 6], 2)
    with make(tmp_path, 2, 2, transitions_per_item=per_item) as replay:
        fill(replay, life, 42)
        found = sampled(replay, 2, draws=200)
    _, counts = np.unique(found[:, :3], axis=0, return_counts=True)
    assert len(counts) == sum(len(step) for step in life.transitions[:40])
    assert counts.sum() == 200 * 256
    # The transitions of an item come up together, so that their counts are one sample, not
    # `per_item` ones: the statistic is that many times a chi-squared one.
    statistic, freedom = stats.chisquare(counts).statistic, len(counts) - 1
    assert stats.chi2.sf(statistic / per_item, freedom / per_item) > 1e-4


def test_museum_4_a_full_replay_keeps_the_newest_and_samples_all_of_them(tmp_path):
    life = Life([5], 1)
    with make(tmp_path, capacity_transitions=40) as replay:
        fill(replay, life, 401)
        assert replay.num_transitions == 40
        found = sampled(replay, 1, draws=20)
    stored = [s for step in life.transitions[360:400] for s in step]
    assert {tuple(int(x) for x in row[:3]) for row in found} == set(stored)


def test_restore_brings_back_what_there_was_at_the_checkpoint(tmp_path):
    life = Life([3, 5], 2)
    with make(tmp_path, 2, 2, lead=3) as replay:
        fill(replay, life, 30)
        position = replay.sync()
        before = {tuple(row[:3]) for row in sampled(replay, 2, draws=20)}
        size = replay.num_transitions
        fill(replay, life, 7)  # after the checkpoint: lost by the kill
    life = Life([3, 5], 2)
    for _ in range(30):
        life.step()
    with make(tmp_path, 2, 2, lead=3) as replay:
        replay.restore(position)
        assert replay.num_transitions == size
        assert {tuple(row[:3]) for row in sampled(replay, 2, draws=20)} == before
        life.cut_short()
        fill(replay, life, 30)  # `sampled` checks that nothing joins the two lives
        after = {tuple(row[:3]) for row in sampled(replay, 2, draws=40)}
        assert before < after
        assert replay.sync()['vector_steps'] == 60


@pytest.mark.parametrize('per_item', [1, 4])
@pytest.mark.parametrize('length', [1, 5])
def test_restore_of_a_full_replay_fills_the_capacity(tmp_path, per_item, length):
    layout = dict(capacity_transitions=40, transitions_per_item=per_item)
    with make(tmp_path, **layout) as replay:
        fill(replay, Life([length], 1), 200)
        position, size = replay.sync(), replay.num_transitions
        replay.prune(position)
    with make(tmp_path, **layout) as replay:
        replay.restore(position)
        assert replay.num_transitions == size == 40


def test_a_writer_and_a_dataset_need_only_the_address(tmp_path):
    """A collector and a learner that were given nothing but where the server listens."""
    life = Life([3], 2)
    with make(tmp_path, 2, 2) as replay:
        writer = replay_client.ReplayWriter(replay.address, 2, 0, 4, 2, 4, timeout_seconds=20)
        for _ in range(30):
            row = life.step()
            writer.append(replay.codec.encode(row), row.step_type)
        writer.flush()
        signature = replay_client.table_signature(4 + 2, replay.codec.row_bytes)
        dataset = replay_client.replay_dataset(replay.address, signature, 8, 20, prefetch=True)
        blocks = replay.codec.decode(next(iter(dataset)).data)
        writer.close()
        assert replay.num_transitions == 2 * 28
    assert blocks.observation.shape == (8, 6, 3)
    moments = blocks.observation.numpy()[..., 1:] - [0, BIG]
    step = np.diff(moments, axis=1)  # consecutive: the next time, or the next episode's start
    assert np.all((step == [0, 1]).all(-1) | (step == [1, -3]).all(-1))


def in_graph(replay, keys, priorities):
    renew = tf.function(replay.update_priorities, autograph=False)
    return float(renew(tf.constant(keys, tf.uint64), tf.constant(priorities, tf.float32)))


def test_museum_10_priorities_are_sampled_by_the_law_of_alpha(tmp_path):
    """Chi-squared against p^alpha / sum p^alpha (Schaul et al. 2016, equation 1)."""
    alpha, count, draws = 0.6, 12, 24_000
    with make(tmp_path, priority_exponent=alpha, rows_per_chunk=1) as replay:
        fill(replay, Life([count], 1), count + 1)
        assert replay.num_transitions == count
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


@pytest.mark.parametrize('sample', [1, 64, 1024])
def test_one_sample_is_fetched_before_its_priorities_are_known_and_no_more(tmp_path, sample):
    """Neither after many fast draws, which find nothing ready, nor after a pause."""
    with make(tmp_path, priority_exponent=1.0, sample=sample, rows_per_chunk=1) as replay:
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


def test_new_transitions_come_at_the_highest_priority_there_ever_was(tmp_path):
    with make(tmp_path, priority_exponent=1.0, sample=64, rows_per_chunk=1) as replay:
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


def test_restored_transitions_have_the_highest_priority_there_ever_was(tmp_path):
    with make(tmp_path, priority_exponent=1.0, rows_per_chunk=1) as replay:
        fill(replay, Life([50], 1), 10)
        replay.note_priority(7.0)
        position = replay.sync()
    with make(tmp_path, priority_exponent=1.0, sample=64, rows_per_chunk=1) as replay:
        replay.restore(position)
        np.testing.assert_allclose(next(replay.samples()).info.priority, 7.0)
        assert replay.sync() == position


def test_priorities_are_of_single_transitions_whatever_the_items_would_be(tmp_path):
    with make(tmp_path, priority_exponent=0.5, transitions_per_item=8) as replay:
        assert replay.transitions_per_item == 1 and 'prioritised' in replay.description


def test_newest_rows(tmp_path):
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
