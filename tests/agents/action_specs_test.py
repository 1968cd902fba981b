"""How agents number an environment's actions, and back."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_agents.specs import array_spec, tensor_spec

from agents import errors
from agents.action_specs import DiscreteActions, taken


@pytest.mark.parametrize(
    'spec',
    [
        tensor_spec.BoundedTensorSpec([], tf.int64, 0, 4),
        array_spec.BoundedArraySpec([], np.int64, 0, 4),
        array_spec.BoundedArraySpec([], np.int32, -2, 2),
        array_spec.BoundedArraySpec([], np.int8, 3, 7),
    ],
)
def test_actions_are_counted_in_tensor_specs_and_array_specs(spec):
    actions = DiscreteActions(spec)
    assert actions.sizes == (5,) and not actions.are_several
    assert actions.index_dtype in (tf.int32, tf.int64)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 6)), min_size=1, max_size=4),
    st.sampled_from([np.int8, np.int32, np.int64]),
    st.sampled_from(['flat', 'column']),
)
def test_indices_count_from_zero_in_each_dimension_and_lead_back(dimensions, dtype, form):
    first, sizes = np.array(dimensions).T
    shape = [len(sizes)] if form == 'flat' else [len(sizes), 1]
    first = first.reshape(shape).astype(dtype)
    spec = array_spec.BoundedArraySpec(shape, dtype, first, first + sizes.reshape(shape) - 1)
    actions = DiscreteActions(spec)
    assert actions.are_several and actions.num_in_all == sizes.sum()
    last = actions.action(tf.constant([sizes - 1], actions.index_dtype))
    assert last.dtype == spec.dtype
    np.testing.assert_array_equal(last[0], spec.maximum)
    np.testing.assert_array_equal(actions.index(last), [sizes - 1])
    np.testing.assert_array_equal(actions.index(tf.constant(first[np.newaxis])), [sizes * 0])


def test_a_scalar_that_starts_elsewhere_is_converted_both_ways():
    actions = DiscreteActions(tensor_spec.BoundedTensorSpec([], tf.int64, 3, 5))
    np.testing.assert_array_equal(actions.index(tf.constant([5, 3], tf.int64)), [2, 0])
    np.testing.assert_array_equal(actions.action(tf.constant([2, 0], tf.int64)), [5, 3])


def test_actions_that_start_at_zero_cost_nothing():
    """The very same tensors: nothing is added to a graph."""
    actions = DiscreteActions(tensor_spec.BoundedTensorSpec([], tf.int64, 0, 5))
    index, row = tf.constant([4], tf.int64), tf.ones([1, 6])
    assert actions.action(index) is index and actions.index(index) is index
    assert actions.by_dimension(row, 0.0) is row


def test_a_row_is_dealt_to_the_dimensions():
    spec = tensor_spec.BoundedTensorSpec([3], tf.int64, 0, [1, 3, 0])
    actions = DiscreteActions(spec)
    row = tf.constant([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]])
    expected = [[[1, 2, -9, -9], [3, 4, 5, 6], [7, -9, -9, -9]]]
    np.testing.assert_array_equal(actions.by_dimension(row, -9.0), expected)
    np.testing.assert_array_equal(actions.is_real, np.array(expected[0]) > 0)
    same = DiscreteActions(tensor_spec.BoundedTensorSpec([2], tf.int64, 0, 1))
    np.testing.assert_array_equal(
        same.by_dimension(tf.constant([[True, False, False, True]]), False),
        [[[True, False], [False, True]]],
    )


def test_what_is_taken_of_each_shape():
    values = tf.reshape(tf.range(12.0), [2, 2, 3])
    np.testing.assert_array_equal(taken(values[:, 0], tf.constant([2, 1])), [2, 7])
    np.testing.assert_array_equal(taken(values, tf.constant([[2, 0], [1, 1]])), [[2, 3], [7, 10]])
    np.testing.assert_array_equal(taken(values, tf.constant([1, 0])), [[3, 4, 5], [6, 7, 8]])


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        (tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0), r'continuous .* shape \(2,\)'),
        (array_spec.BoundedArraySpec([2], np.float32, -1.0, 1.0), 'needs discrete actions'),
        (tf.TensorSpec([], tf.int64), 'needs discrete actions'),
        (tensor_spec.BoundedTensorSpec([2], tf.int32, 0, 2**31 - 1), 'has 2,147,483,648 in'),
        (tensor_spec.BoundedTensorSpec([0], tf.int32, 0, 1), 'has 0 in'),
    ],
)
def test_actions_that_cannot_be_counted_are_refused(spec, message):
    with pytest.raises(errors.ConfigError, match=message):
        DiscreteActions(spec)
