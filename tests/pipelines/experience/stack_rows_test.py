"""The stack acted on and the stack trained on are the same, bit for bit."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tf_agents.trajectories import trajectory

from pipelines.experience import minibatches
from pipelines.experience.minibatches import TransitionShape, stack_rows
from tests.agents.fakes import FIRST, LAST, MID, frames_of, stacks_acted_on


def test_the_rows_of_a_stack_by_hand():
    step_type = tf.constant([[FIRST, MID, MID, LAST, FIRST, MID]])
    rows = tf.constant([[0, 0], [0, 1], [0, 3], [0, 5]])
    assert stack_rows(step_type, rows, 3).numpy()[:, :, 1].tolist() == [
        [0, 0, 0],
        [0, 0, 1],
        [1, 2, 3],
        [4, 4, 5],  # nothing of the episode before
    ]
    assert (stack_rows(step_type, rows, 3).numpy()[:, :, 0] == 0).all()


@st.composite
def streams(draw):
    """Step types of a column: whole episodes, and ones cut short without a LAST row."""
    episodes = draw(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=2, max_size=6))
    kinds = []
    for length, cut_short in episodes:
        kinds += [FIRST] + [MID] * (length - 1) + ([] if cut_short else [LAST])
    return kinds


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(streams(), st.integers(1, 5), st.integers(1, 3))
def test_the_stack_trained_on_is_the_stack_acted_on(kinds, num_frames, n):
    """For every transition of a block, wherever the block is in its column."""
    numbers = list(range(len(kinds)))
    shape = TransitionShape(n_step=n, gamma=1.0, frame_stack=num_frames)
    lead = num_frames - 1
    length = lead + 4 + n
    padded_kinds = [FIRST] * lead + kinds  # as the writer fills up a column's beginning
    padded_numbers = [0] * lead + numbers
    pieces = range(len(padded_kinds) - length + 1)
    assume(pieces)

    def cut(values):
        return tf.stack([values[i : i + length] for i in pieces])

    step_type = cut(padded_kinds)
    block = trajectory.Trajectory(
        step_type=step_type,
        observation=tf.stack([frames_of(padded_numbers[i : i + length]) for i in pieces]),
        action=tf.cast(cut(padded_numbers), tf.int64),
        policy_info=(),
        next_step_type=step_type,
        reward=tf.ones(step_type.shape),
        discount=tf.ones(step_type.shape),
    )
    returns = minibatches.n_step_returns(
        step_type[:, lead:], block.reward[:, lead:], block.discount[:, lead:], n=n, gamma=1.0
    )
    assume(np.any(returns.is_transition))
    indices = minibatches.choose_minibatches(block, shape, num_minibatches=1, batch_size=64)
    batch = minibatches.minibatch(block, tf.nest.map_structure(lambda t: t[0], indices), num_frames)
    acted = stacks_acted_on(num_frames, kinds, numbers)
    for time_step in (batch.time_step, batch.next_time_step):
        newest = time_step.observation.numpy()[:, -1, 0, 0]
        np.testing.assert_array_equal(time_step.observation[:, :, 0, 0], acted[newest])
    np.testing.assert_array_equal(
        batch.action_step.action, batch.time_step.observation[:, -1, 0, 0]
    )
