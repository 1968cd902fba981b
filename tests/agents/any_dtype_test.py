import numpy as np
import pytest
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec

from agents.any_dtype import AnyDtypeNetwork


def drawn(base):
    """A network with one layer over its flattened input, and the input that made its weights."""

    class Small(base):
        def __init__(self, spec):
            super().__init__(input_tensor_spec=spec, state_spec=())
            self.layer, self.seen = tf.keras.layers.Dense(2), []

        def call(self, observation, step_type=None, network_state=(), training=False):
            self.seen.append(observation)
            flat = [
                tf.reshape(tf.cast(x, tf.float32), [1, -1]) for x in tf.nest.flatten(observation)
            ]
            return self.layer(tf.concat(flat, axis=1)), network_state

    return Small


@pytest.mark.parametrize('dtype', [tf.int8, tf.int16, tf.uint16])
def test_what_tensorflow_cannot_draw_stands_in_at_its_smallest(dtype):
    spec = tensor_spec.BoundedTensorSpec([3], dtype, [1, 2, 3], 9)
    with pytest.raises(ValueError, match='invalid value'):
        drawn(network.Network)(spec).create_variables()
    small = drawn(AnyDtypeNetwork)(spec)
    assert small.create_variables() == tf.TensorSpec([2], tf.float32)
    assert small.layer.kernel.shape == (3, 2)
    (seen,) = small.seen
    assert seen.dtype == dtype
    np.testing.assert_array_equal(seen, [[1, 2, 3]])


def test_nests_of_any_dtypes_are_taken():
    spec = {
        'a': tensor_spec.BoundedTensorSpec([], tf.int16, 2, 5),
        'b': tf.TensorSpec([2], tf.bool),
        'c': tf.TensorSpec([2, 2], tf.float32),
    }
    small = drawn(AnyDtypeNetwork)(spec)
    small.create_variables()
    assert small.layer.kernel.shape == (1 + 2 + 4, 2)


@pytest.mark.parametrize('dtype', [tf.float32, tf.uint8, tf.int32, tf.int64])
def test_elsewhere_the_weights_are_those_that_tf_agents_gives(dtype):
    spec, kernels = tensor_spec.BoundedTensorSpec([3], dtype, 0, 9), []
    for base in (network.Network, AnyDtypeNetwork):
        tf.keras.utils.set_random_seed(3)
        small = drawn(base)(spec)
        small.create_variables()
        kernels.append(small.layer.kernel.numpy())
    np.testing.assert_array_equal(*kernels)
