import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from agents import errors, torsos

BOX = tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0)


def test_uint8_is_scaled_to_one():
    spec = tensor_spec.BoundedTensorSpec([2, 2], tf.uint8, 0, 255)
    layer = torsos.mlp_torso(spec, units=())
    np.testing.assert_allclose(layer(tf.fill([1, 2, 2], tf.constant(255, tf.uint8))), [[1] * 4])


@pytest.mark.parametrize('dtype', [tf.int8, tf.int16, tf.uint16, tf.int32, tf.int64])
def test_an_integer_of_any_dtype_is_one_of_its_values(dtype):
    spec = tensor_spec.BoundedTensorSpec([], dtype, 2, 4)
    layer = torsos.mlp_torso(spec, units=())
    np.testing.assert_array_equal(layer(tf.constant([4, 2], dtype)), [[0, 0, 1], [1, 0, 0]])


def test_a_layer_without_units_is_refused():
    with pytest.raises(errors.ConfigError, match='mlp_torso.units'):
        torsos.mlp_torso(BOX, units=(30, 0))


@pytest.mark.parametrize('name', torsos.INITIALIZERS)
def test_initial_weights_are_those_of_keras(name):
    """The same distribution, whose largest and mean squared weights are known."""
    layers = {
        'dense': (torsos.mlp_torso(BOX, units=(3_000,), kernel_initializer=name), 4, 3_000),
        'linear': (torsos.linear(3_000, initializer=name), 4, 3_000),
    }
    for layer, fan_in, fan_out in layers.values():
        layer(tf.zeros([1, 4]))
        kernel = layer.trainable_variables[0].numpy()
        keras = tf.keras.initializers.get(name)((fan_in, fan_out)).numpy()
        np.testing.assert_allclose(kernel.std(), keras.std(), rtol=0.05)
        np.testing.assert_allclose(np.abs(kernel).max(), np.abs(keras).max(), rtol=0.05)
        assert not layer.trainable_variables[1].numpy().any()


def test_a_scale_of_zero_gives_zero_weights():
    layer = torsos.linear(3, initial_scale=0.0)
    np.testing.assert_array_equal(layer(tf.ones([2, 4])), np.zeros((2, 3)))


def test_an_unknown_initializer_is_refused():
    with pytest.raises(errors.ConfigError, match="mlp_torso.kernel_initializer = 'zeros': must be"):
        torsos.mlp_torso(BOX, kernel_initializer='zeros')


def test_a_compute_dtype_is_known_or_refused(monkeypatch):
    assert torsos.training_policy('float32') == 'float32'
    assert torsos.training_policy('bfloat16') == 'mixed_bfloat16'
    for native, policy in ((True, 'mixed_bfloat16'), (False, 'float32')):
        monkeypatch.setattr(torsos, '_multiplies_in_bfloat16', lambda native=native: native)
        assert torsos.training_policy('auto') == policy
    with pytest.raises(errors.ConfigError, match="compute_dtype = 'half'"):
        torsos.training_policy('half')
