import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from agents import encodings


def spec(shape, dtype, low, high, name='observation'):
    return tensor_spec.BoundedTensorSpec(shape, dtype, low, high, name)


@pytest.mark.parametrize(
    ('of', 'given', 'expected'),
    [
        (spec([], tf.int64, 0, 3), 2, [0, 0, 1, 0]),
        (spec([], tf.int16, -1, 1), -1, [1, 0, 0]),
        (spec([2], tf.int64, [0, 1], [2, 2], 'categories'), [2, 1], [0, 0, 1, 1, 0]),
        (spec([2], tf.int8, -9, 9), [-9, 0], [0.0, 0.5]),
        (spec([2], tf.uint16, 0, 1_000), [250, 1_000], [0.25, 1.0]),
        (spec([2], tf.int32, [0, -10], [10, 10]), [5, 5], [0.5, 0.75]),
        (spec([2], tf.uint8, 0, 255), [255, 51], [1.0, 0.2]),
        (spec([3], tf.int8, 0, 1), [0, 1, 1], [0.0, 1.0, 1.0]),  # MultiBinary
        (tf.TensorSpec([3], tf.bool), [False, True, True], [0.0, 1.0, 1.0]),
        (spec([2], tf.int64, -(2**62), 2**62), [5, -7], [5.0, -7.0]),  # bounds that say nothing
        (spec([2], tf.int32, 3, 3), [3, 3], [0.0, 0.0]),
        (spec([2], tf.float32, -2.0, 2.0), [1.5, -2.0], [1.5, -2.0]),
    ],
)
def test_what_numbers_count_as(of, given, expected):
    dtype = of.dtype.as_numpy_dtype
    encoded = encodings.Encode(of)(tf.constant(np.array([given] * 2, dtype)))
    assert encoded.dtype == tf.float32
    np.testing.assert_allclose(encoded, [expected] * 2, rtol=1e-6)


def test_one_of_many_values_is_embedded():
    encode = encodings.Encode(spec([], tf.int64, 5, 5 + encodings.MAX_ONE_HOT))
    first, second, again = encode(tf.constant([5, 6, 5])).numpy()
    assert first.shape == (64,) and (first == again).all() and (first != second).any()
    (table,) = encode.trainable_variables
    assert table.shape == (encodings.MAX_ONE_HOT + 1, 64)


def test_parts_are_joined_by_name():
    specs = {'b': spec([], tf.int64, 0, 1), 'a': spec([1], tf.float32, 0.0, 9.0)}
    encode = encodings.EncodeParts(specs)
    given = {'b': tf.constant([1]), 'a': tf.constant([[7.0]])}
    np.testing.assert_array_equal(encode(given), [[7.0, 0.0, 1.0]])
