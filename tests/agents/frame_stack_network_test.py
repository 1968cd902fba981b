"""The stacks that networks act on; what they are trained on is in stack_rows_test."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from agents import conv_torso, errors, frame_stack_network, q_network
from tests.agents.fakes import (
    FIRST,
    FRAME,
    LAST,
    MID,
    THREE_ACTIONS,
    frames_of,
    stacking_network,
    stacks_acted_on,
)


def test_a_stack_by_hand():
    kinds = [FIRST, MID, MID, MID, LAST, FIRST, MID]
    assert stacks_acted_on(4, kinds, [1, 2, 3, 4, 5, 6, 7]).tolist() == [
        [1, 1, 1, 1],
        [1, 1, 1, 2],
        [1, 1, 2, 3],
        [1, 2, 3, 4],
        [2, 3, 4, 5],
        [6, 6, 6, 6],  # nothing of the episode before
        [6, 6, 6, 7],
    ]


def test_a_frame_stays_uint8_and_is_kept_once():
    network = stacking_network(4)
    assert network.state_spec.dtype == tf.uint8 and network.state_spec.shape == [3, 2, 3]
    _, state = network(frames_of([7]), tf.constant([FIRST]), tf.zeros([1, 3, 2, 3], tf.uint8))
    assert state.dtype == tf.uint8 and (state.numpy() == 7).all()


def test_outputs_are_those_of_the_network_on_the_stack():
    network = stacking_network(2)
    frame, kind = frames_of([3, 4]), tf.constant([MID, FIRST])
    before = tf.fill([2, 1, 2, 3], tf.constant(9, tf.uint8))
    outputs, state = network.outputs(frame, kind, before)
    stack = tf.stack([tf.concat([before[:1, 0], frame[1:]], axis=0), frame], axis=1)
    expected, _ = network.stack_network.outputs(stack)
    np.testing.assert_array_equal(outputs['q_values'], expected['q_values'])
    np.testing.assert_array_equal(network(frame, kind, before)[0], expected['q_values'])
    np.testing.assert_array_equal(state[:, 0], frame)


def test_one_frame_needs_no_state():
    network = stacking_network(1)
    q_values, state = network(
        frames_of([3, 4]), tf.constant([MID, FIRST]), tf.zeros([2, 0, 2, 3], tf.uint8)
    )
    assert q_values.shape == (2, 3) and state.shape == (2, 0, 2, 3)


@pytest.mark.parametrize('num_frames', [0, -1, 2.5, True])
def test_an_impossible_number_of_frames_is_refused(num_frames):
    with pytest.raises(errors.ConfigError, match='^frame_stack = '):
        frame_stack_network.stacked_spec(FRAME, num_frames)


def test_vector_observations_can_be_stacked_too():
    box = tensor_spec.BoundedTensorSpec([4], tf.float32, [-1, -2, -3, -4], [1, 2, 3, 4])
    spec = frame_stack_network.stacked_spec(box, 3)
    assert spec.shape == [3, 4] and (spec.minimum == np.array([[-1, -2, -3, -4]] * 3)).all()
    network = stacking_network(3, box)
    q_values, _ = network(tf.ones([2, 4]), tf.constant([FIRST, MID]), tf.zeros([2, 2, 4]))
    assert q_values.shape == (2, 3)


def convolutional(height, width, dtype_policy='float32'):
    frame = tensor_spec.BoundedTensorSpec([height, width], tf.uint8, 0, 255)
    spec = frame_stack_network.stacked_spec(frame, 4)
    settings = q_network.NetworkSettings(conv_torso.conv_torso, (8,), dtype_policy)
    network = q_network.DuelingQNetwork(spec, THREE_ACTIONS, settings)
    network.create_variables()
    return network


@pytest.mark.parametrize(('height', 'width'), [(84, 84), (105, 80)])
def test_the_convolutions_see_the_frames_as_channels(height, width):
    """A one-pixel change in the oldest frame moves the value; a stack is not one picture."""
    network = convolutional(height, width)
    stack = np.zeros([2, 4, height, width], np.uint8)
    stack[1, 0, 40, 40] = 255
    q_values, _ = network(tf.constant(stack))
    assert np.abs(q_values[0] - q_values[1]).max() > 1e-4
    assert network.trainable_variables[0].shape == (8, 8, 4, 32)


def test_a_copy_for_use_sees_the_very_same_in_bfloat16():
    """Weights that are cast once give what weights that are cast at every call give."""
    network = convolutional(84, 84, 'mixed_bfloat16')
    copy = network.copy_for_use('Copy')
    for a, b in zip(copy.variables, network.variables, strict=True):
        a.assign(tf.cast(b, a.dtype))
    frames = np.random.default_rng(0).integers(0, 256, [16, 4, 84, 84], np.uint8)
    np.testing.assert_array_equal(copy(frames)[0], network(frames)[0])


def test_each_part_of_a_dict_is_stacked():
    frame = {
        'a': tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0),
        'b': tensor_spec.BoundedTensorSpec([], tf.int64, 0, 9),
    }
    spec = frame_stack_network.stacked_spec(frame, 3)
    assert spec['a'].shape == (3, 2) and spec['b'].shape == (3,)
    inner = q_network.PlainQNetwork(spec, THREE_ACTIONS)
    inner.create_variables()
    network = frame_stack_network.FrameStackNetwork(frame, inner)
    assert network.state_spec['b'].shape == (2,) and network.state_spec['b'].dtype == tf.int64
    now = {'a': tf.ones([2, 2]), 'b': tf.constant([7, 8], tf.int64)}
    before = {'a': tf.zeros([2, 2, 2]), 'b': tf.constant([[1, 2], [3, 4]], tf.int64)}
    stack = network.stack(now, tf.constant([MID, FIRST]), before)
    np.testing.assert_array_equal(stack['b'], [[1, 2, 7], [8, 8, 8]])
    np.testing.assert_array_equal(stack['a'][:, :, 0], [[0, 0, 1], [1, 1, 1]])
    _, state = network(now, tf.constant([MID, FIRST]), before)
    np.testing.assert_array_equal(state['b'], [[2, 7], [8, 8]])
