"""The stack acted on and the stack trained on are the same, bit for bit."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from agents import errors, frame_stack_network, n_step, q_network, torsos

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))
ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2)
FRAME = tensor_spec.BoundedTensorSpec([2, 3], tf.uint8, 0, 255)


def make(num_frames, frame=FRAME):
    stack_network = q_network.PlainQNetwork(
        frame_stack_network.stacked_spec(frame, num_frames), ACTION
    )
    network = frame_stack_network.FrameStackNetwork(frame, stack_network)
    network.create_variables()
    return network


def frames_of(numbers):
    """uint8 [N, 2, 3]: frame i is filled with numbers[i]."""
    filled = np.array(numbers, np.uint8)[:, None, None]
    return tf.constant(np.broadcast_to(filled, (len(numbers), 2, 3)))


def acted_on(network, step_types, numbers):
    """[T, K]: what the acting network stacked at each step, from a state full of rubbish."""
    state = tf.fill([1, *network.state_spec.shape], tf.constant(99, tf.uint8))
    seen = []
    for kind, frame in zip(step_types, frames_of(numbers), strict=True):
        stack = network.stack(frame[None], tf.constant([kind]), state)
        _, state = network(frame[None], tf.constant([kind]), state)
        seen.append(stack.numpy()[0, :, 0, 0])
    return np.array(seen)


def test_a_stack_by_hand():
    seen = acted_on(make(4), [FIRST, MID, MID, MID, LAST, FIRST, MID], [1, 2, 3, 4, 5, 6, 7])
    assert seen.tolist() == [
        [1, 1, 1, 1],
        [1, 1, 1, 2],
        [1, 1, 2, 3],
        [1, 2, 3, 4],
        [2, 3, 4, 5],
        [6, 6, 6, 6],  # museum 5: nothing of the episode before
        [6, 6, 6, 7],
    ]


@st.composite
def streams(draw):
    """Step types of a column: whole episodes, and ones cut short without a LAST row."""
    episodes = draw(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=2, max_size=6))
    kinds = []
    for length, cut_short in episodes:
        kinds += [FIRST] + [MID] * (length - 1) + ([] if cut_short else [LAST])
    return kinds


@settings(deadline=None, max_examples=40)
@given(streams(), st.integers(1, 5), st.integers(1, 3))
def test_museum_5_the_stack_trained_on_is_the_stack_acted_on(kinds, num_frames, n):
    """Every transition of a block, wherever the block was cut out of its column."""
    numbers = list(range(len(kinds)))
    acted = acted_on(make(num_frames), kinds, numbers)
    lead = num_frames - 1
    kinds = [FIRST] * lead + kinds  # as the writer fills up a column's beginning
    numbers = [0] * lead + numbers
    length = lead + 4 + n
    pieces = range(len(kinds) - length + 1)
    if not pieces:
        return

    def cut(values):
        return tf.stack([values[i : i + length] for i in pieces])

    step_type = cut(kinds)
    block = trajectory.Trajectory(
        step_type=step_type,
        observation=tf.stack([frames_of(numbers[i : i + length]) for i in pieces]),
        action=tf.cast(cut(numbers), tf.int64),
        policy_info=(),
        next_step_type=step_type,
        reward=tf.ones(step_type.shape),
        discount=tf.ones(step_type.shape),
    )
    if not np.any(n_step.n_step_returns(
        step_type[:, lead:], block.reward[:, lead:], block.discount[:, lead:], n=n, gamma=1.0
    ).is_transition):  # fmt: skip
        return
    plan = n_step.plan_minibatches(
        block, lead=lead, n=n, gamma=1.0, num_minibatches=1, batch_size=64
    )
    batch = n_step.minibatch(block, tf.nest.map_structure(lambda t: t[0], plan), num_frames)
    for time_step in (batch.time_step, batch.next_time_step):
        newest = time_step.observation.numpy()[:, -1, 0, 0]
        np.testing.assert_array_equal(time_step.observation[:, :, 0, 0], acted[newest])
    np.testing.assert_array_equal(
        batch.action_step.action, batch.time_step.observation[:, -1, 0, 0]
    )


def test_museum_6_a_frame_stays_uint8_and_is_kept_once():
    network = make(4)
    assert network.state_spec.dtype == tf.uint8 and network.state_spec.shape == [3, 2, 3]
    _, state = network(frames_of([7]), tf.constant([FIRST]), tf.zeros([1, 3, 2, 3], tf.uint8))
    assert state.dtype == tf.uint8 and (state.numpy() == 7).all()


def test_one_frame_needs_no_state():
    network = make(1)
    q_values, state = network(
        frames_of([3, 4]), tf.constant([MID, FIRST]), tf.zeros([2, 0, 2, 3], tf.uint8)
    )
    assert q_values.shape == (2, 3) and state.shape == (2, 0, 2, 3)


@pytest.mark.parametrize('num_frames', [0, -1, 2.5, True])
def test_an_impossible_number_of_frames_is_refused(num_frames):
    with pytest.raises(errors.ConfigError, match='train_ddqn.frame_stack = '):
        frame_stack_network.stacked_spec(FRAME, num_frames)


def test_vector_observations_can_be_stacked_too():
    box = tensor_spec.BoundedTensorSpec([4], tf.float32, [-1, -2, -3, -4], [1, 2, 3, 4])
    spec = frame_stack_network.stacked_spec(box, 3)
    assert spec.shape == [3, 4] and (spec.minimum == np.array([[-1, -2, -3, -4]] * 3)).all()
    network = make(3, box)
    q_values, _ = network(tf.ones([2, 4]), tf.constant([FIRST, MID]), tf.zeros([2, 2, 4]))
    assert q_values.shape == (2, 3)


@pytest.mark.parametrize(('height', 'width'), [(84, 84), (105, 80)])
def test_the_convolutions_see_the_frames_as_channels(height, width):
    """A one-pixel change in the oldest frame moves the value, and a stack is no picture."""
    frame = tensor_spec.BoundedTensorSpec([height, width], tf.uint8, 0, 255)
    spec = frame_stack_network.stacked_spec(frame, 4)
    network = q_network.DuelingQNetwork(spec, ACTION, torsos.conv_torso, (8,))
    network.create_variables()
    stack = np.zeros([2, 4, height, width], np.uint8)
    stack[1, 0, 40, 40] = 255
    q_values, _ = network(tf.constant(stack))
    assert np.abs(q_values[0] - q_values[1]).max() > 1e-4
    assert network.trainable_variables[0].shape == (8, 8, 4, 32)


def test_a_copy_for_use_sees_the_very_same_in_bfloat16():
    """Weights that are cast once give what weights that are cast at every call give."""
    spec = tensor_spec.BoundedTensorSpec([4, 84, 84], tf.uint8, 0, 255)
    network = q_network.DuelingQNetwork(spec, ACTION, torsos.conv_torso, (8,), 'mixed_bfloat16')
    network.create_variables()
    copy = network.copy_for_use('Copy')
    for a, b in zip(copy.variables, network.variables, strict=True):
        a.assign(tf.cast(b, a.dtype))
    frames = np.random.default_rng(0).integers(0, 256, [16, 4, 84, 84], np.uint8)
    np.testing.assert_array_equal(copy(frames)[0], network(frames)[0])
