"""n-step transitions of stored rows, compared with the definition on whole episodes."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from pipelines.experience.minibatches import (
    TransitionShape,
    choose_minibatches,
    minibatch,
    n_step_returns,
)

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


def returns(step_type, reward, discount, n, gamma):
    result = n_step_returns(
        tf.constant([step_type]),
        tf.constant([reward], tf.float32),
        tf.constant([discount], tf.float32),
        n=n,
        gamma=gamma,
    )
    return [x.numpy()[0] for x in result]


def test_termination_and_truncation_by_hand():
    #             terminates after 3 transitions | a time limit after 2
    step_type = [FIRST, MID, MID, LAST, FIRST, MID, LAST, FIRST, MID]
    reward = [1.0, 2.0, 4.0, 0.0, 10.0, 20.0, 0.0, 5.0, 6.0]
    discount = [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    total, remaining, bootstrap, valid = returns(step_type, reward, discount, n=2, gamma=0.5)
    np.testing.assert_array_equal(valid, [1, 1, 1, 0, 1, 1, 0])
    np.testing.assert_allclose(total[valid], [1 + 0.5 * 2, 2 + 0.5 * 4, 4, 10 + 0.5 * 20, 20])
    #                   two steps on; terminated; terminated; time limit; its tail of one step
    np.testing.assert_allclose(remaining[valid], [0.25, 0.0, 0.0, 0.25, 0.5])
    np.testing.assert_array_equal(bootstrap[valid], [2, 3, 3, 6, 6])


def test_a_row_whose_next_was_never_stored_starts_no_transition():
    """After a kill between rows 1 and 2, row 0 bootstraps at row 1, which starts nothing."""
    total, remaining, bootstrap, valid = returns(
        [FIRST, MID, FIRST, MID, MID, MID], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0] * 6, 3, 0.5
    )
    np.testing.assert_array_equal(valid, [True, False, True])
    assert (total[0], remaining[0], bootstrap[0]) == (1.0, 0.5, 1)
    assert total[2] == 3 + 0.5 * 4 + 0.25 * 5


@st.composite
def streams(draw):
    """Draws rows of consecutive episodes, with various lengths and ways to end."""
    episodes = draw(st.lists(st.tuples(st.integers(1, 7), st.booleans()), min_size=1, max_size=8))
    step_type, discount = [], []
    for length, terminated in episodes:
        step_type += [FIRST] + [MID] * (length - 1) + [LAST]
        discount += [1.0] * (length - 1) + [0.0 if terminated else 1.0] + [1.0]
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return episodes, step_type, rng.normal(size=len(step_type)).astype(np.float32), discount


@settings(deadline=None, max_examples=100)
@given(streams(), st.integers(1, 5), st.sampled_from([0.0, 0.9, 1.0]))
def test_every_start_has_the_return_that_its_episode_defines(stream, n, gamma):
    episodes, step_type, reward, discount = stream
    pad = n  # rows beyond the stream, so that every row may be a start
    total, remaining, bootstrap, valid = returns(
        step_type + [FIRST] + [MID] * (pad - 1),
        np.concatenate([reward, np.zeros(pad, np.float32)]),
        discount + [1.0] * pad,
        n,
        gamma,
    )
    row, expected_valid = 0, []
    for length, terminated in episodes:
        for t in range(length):
            k = min(n, length - t)
            start = row + t
            expected = sum(gamma**j * reward[start + j] for j in range(k))
            np.testing.assert_allclose(total[start], expected, rtol=1e-5, atol=1e-5)
            ends = t + k == length
            np.testing.assert_allclose(
                remaining[start], 0.0 if ends and terminated else gamma**k, rtol=1e-6
            )
            assert bootstrap[start] == start + k
        expected_valid += [True] * length + [False]
        row += length + 1
    np.testing.assert_array_equal(valid, expected_valid)


def blocks_of(step_type, items=1):
    """Makes `items` equal blocks of rows whose observation is their index."""
    num_rows = len(step_type)
    index = tf.reshape(tf.range(items * num_rows, dtype=tf.float32), [items, num_rows])
    kinds = tf.constant([step_type] * items)
    return trajectory.Trajectory(
        step_type=kinds,
        observation=index[..., None],
        action=tf.cast(index, tf.int64),
        policy_info=(),
        next_step_type=kinds,
        reward=tf.ones_like(index),
        discount=tf.ones_like(index),
    )


def minibatches(blocks, lead=0, *, n, gamma, num_minibatches, batch_size):
    """Returns all minibatches of a deal, [U, B, ...], with single observations."""
    indices = choose_minibatches(
        blocks,
        TransitionShape(n, gamma, frame_stack=lead + 1),
        num_minibatches=num_minibatches,
        batch_size=batch_size,
    )
    each = [
        minibatch(blocks, tf.nest.map_structure(lambda t, i=i: t[i], indices), frame_stack=None)
        for i in range(num_minibatches)
    ]
    return tf.nest.map_structure(lambda *rows: tf.stack(rows), *each)


def test_the_next_state_follows_the_action():
    """Observations and actions are the numbers of their rows."""
    stack = minibatches(
        blocks_of([FIRST, MID, MID, MID, LAST, FIRST, MID]),
        n=1, gamma=0.9, num_minibatches=3, batch_size=8,
    )  # fmt: skip
    state = stack.time_step.observation[..., 0].numpy()
    following = stack.next_time_step.observation[..., 0].numpy()
    np.testing.assert_array_equal(following, state + 1)
    np.testing.assert_array_equal(stack.action_step.action, state.astype(np.int64))
    assert stack.time_step.observation.shape == (3, 8, 1)


@pytest.mark.slow
def test_minibatches_are_full_and_every_transition_is_equally_likely():
    """500 draws of 12 from 4 + 4 starts between LAST rows: each start about 750 times."""
    blocks = blocks_of([FIRST, LAST, FIRST, MID, LAST, FIRST, MID, MID], items=2)
    counts = np.zeros(16, int)
    for _ in range(500):
        stack = minibatches(blocks, n=2, gamma=1.0, num_minibatches=2, batch_size=6)
        counts += np.bincount(stack.time_step.observation.numpy().astype(int).ravel(), minlength=16)
    starts = [0, 2, 3, 5, 8, 10, 11, 13]
    assert counts.sum() == 500 * 12
    assert counts[starts].sum() == counts.sum()  # LAST rows and tails start nothing
    # Each draw holds every start once or twice: at most 500 * 0.25 of variance.
    assert np.abs(counts[starts] - 750).max() < 5 * np.sqrt(125)


def test_rows_of_the_lead_start_nothing():
    blocks = blocks_of([FIRST, MID, MID, MID, LAST, FIRST, MID, MID])
    stack = minibatches(blocks, lead=3, n=1, gamma=0.5, num_minibatches=1, batch_size=60)
    starts = stack.time_step.observation[0, :, 0].numpy().astype(int)
    assert sorted(set(starts)) == [3, 5, 6]
    np.testing.assert_array_equal(stack.next_time_step.observation[0, :, 0], starts + 1)
