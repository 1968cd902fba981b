import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from agents import errors, torsos

BOX = tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0)


def stack_spec(height=84, width=84):
    return tensor_spec.BoundedTensorSpec([4, height, width], tf.uint8, 0, 255)


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
    with pytest.raises(errors.ConfigError, match="conv_torso.kernel_initializer = 'he'"):
        torsos.conv_torso(stack_spec(), kernel_initializer='he')


def test_convolutions_over_pixels_by_hand():
    """One 2x2 kernel of ones at stride 2 over two frames: sums of x / 255 over 8 pixels."""
    spec = tensor_spec.BoundedTensorSpec([2, 4, 4], tf.uint8, 0, 255)
    torso = torsos.conv_torso(spec, layers=((1, 2, 2),))
    frames = np.arange(32, dtype=np.uint8).reshape(1, 2, 4, 4) * 8
    torso(frames)
    kernel, bias = torso.trainable_variables
    kernel.assign(tf.ones_like(kernel))
    bias.assign([1.0])
    sums = [[frames[0, :, y : y + 2, x : x + 2].sum() / 255 + 1 for x in (0, 2)] for y in (0, 2)]
    np.testing.assert_allclose(torso(frames), np.reshape(sums, [1, 4]), rtol=1e-6)


def test_the_nature_torso_has_its_3136_features():
    assert torsos.conv_torso(stack_spec())(np.zeros([2, 4, 84, 84], np.uint8)).shape == (2, 3136)


@pytest.mark.parametrize(
    ('spec', 'layers', 'message'),
    [
        (BOX, None, r'needs stacked uint8 frames .* float32 \[4\]'),
        (stack_spec(20, 84), None, '20x84 are 1x9 before layer 3, whose kernel is 3x3'),
        (stack_spec(7, 7), None, '7x7 are 7x7 before layer 1'),
        (stack_spec(), ((32, 8),), 'conv_torso.layers'),
        (stack_spec(), ((32, 8, 0),), 'conv_torso.layers'),
        (stack_spec(), (32, 8, 4), 'conv_torso.layers'),
        (stack_spec(), (), 'conv_torso.layers'),
    ],
)  # fmt: skip
def test_what_convolutions_cannot_take_is_refused(spec, layers, message):
    with pytest.raises(errors.ConfigError, match=message):
        torsos.conv_torso(spec, **({} if layers is None else {'layers': layers}))


def test_a_compute_dtype_is_known_or_refused(monkeypatch):
    assert torsos.training_policy('float32') == 'float32'
    assert torsos.training_policy('bfloat16') == 'mixed_bfloat16'
    for native, policy in ((True, 'mixed_bfloat16'), (False, 'float32')):
        monkeypatch.setattr(torsos, '_multiplies_in_bfloat16', lambda native=native: native)
        assert torsos.training_policy('auto') == policy
    with pytest.raises(errors.ConfigError, match="compute_dtype = 'half'"):
        torsos.training_policy('half')
