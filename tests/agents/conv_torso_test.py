import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from agents import conv_torso, errors, frame_stack_network


def picture(shape, dtype=tf.uint8, low=0, high=255, name='observation'):
    return tensor_spec.BoundedTensorSpec(shape, dtype, low, high, name)


def stack_spec(height=84, width=84):
    return picture([4, height, width])


def test_convolutions_over_pixels_by_hand():
    """One 2x2 kernel of ones at stride 2 over two frames: sums of x / 255 over 8 pixels."""
    spec = tensor_spec.BoundedTensorSpec([2, 4, 4], tf.uint8, 0, 255)
    torso = conv_torso.conv_torso(spec, layers=((1, 2, 2),))
    frames = np.arange(32, dtype=np.uint8).reshape(1, 2, 4, 4) * 8
    torso(frames)
    kernel, bias = torso.trainable_variables
    kernel.assign(tf.ones_like(kernel))
    bias.assign([1.0])
    sums = [[frames[0, :, y : y + 2, x : x + 2].sum() / 255 + 1 for x in (0, 2)] for y in (0, 2)]
    np.testing.assert_allclose(torso(frames), np.reshape(sums, [1, 4]), rtol=1e-6)


def test_the_nature_torso_has_its_3136_features():
    features = conv_torso.conv_torso(stack_spec())(np.zeros([2, 4, 84, 84], np.uint8))
    assert features.shape == (2, 3136)


@pytest.mark.parametrize(
    ('spec', 'layers', 'message'),
    [
        (picture([4], tf.float32), None, r'needs a picture, .* is given float32 \[4\]'),
        ({'b': stack_spec(), 'a': stack_spec()}, None, 'is given the parts a, b'),
        (stack_spec(20, 84), conv_torso.NATURE, '20x84 are 1x9 before layer 3, whose'),
        (stack_spec(7, 7), conv_torso.NATURE, '7x7 are 7x7 before layer 1'),
        (stack_spec(2, 9), None, '2x9 are 2x9 before layer 1'),
        (stack_spec(), ((32, 8),), 'conv_torso.layers'),
        (stack_spec(), ((32, 8, 0),), 'conv_torso.layers'),
        (stack_spec(), (32, 8, 4), 'conv_torso.layers'),
        (stack_spec(), (), 'conv_torso.layers'),
    ],
)  # fmt: skip
def test_what_convolutions_cannot_take_is_refused(spec, layers, message):
    with pytest.raises(errors.ConfigError, match=message):
        conv_torso.conv_torso(spec, **({} if layers is None else {'layers': layers}))


def test_an_unknown_initializer_is_refused():
    with pytest.raises(errors.ConfigError, match="conv_torso.kernel_initializer = 'he'"):
        conv_torso.conv_torso(stack_spec(), kernel_initializer='he')


def prepared(spec, values):
    """What the first convolution is given: pictures [B, height, width, channels]."""
    return conv_torso.conv_torso(spec).layers[0](values).numpy()


def test_channels_are_the_smaller_end_of_a_picture():
    numbers = np.arange(12 * 10 * 3, dtype=np.uint8)
    last, first = numbers.reshape(12, 10, 3), numbers.reshape(3, 12, 10)
    np.testing.assert_array_equal(prepared(picture([12, 10, 3]), last[np.newaxis])[0], last)
    np.testing.assert_array_equal(
        prepared(picture([3, 12, 10]), first[np.newaxis])[0], first.transpose(1, 2, 0)
    )
    grey = last[..., 0]
    np.testing.assert_array_equal(prepared(picture([12, 10]), grey[np.newaxis])[0, ..., 0], grey)


def test_stacked_pictures_have_the_channels_of_all():
    frame = picture([12, 10, 3])
    spec = frame_stack_network.stacked_spec(frame, 2)
    frames = np.random.default_rng(0).integers(0, 256, [1, 2, 12, 10, 3]).astype(np.uint8)
    expected = np.concatenate([frames[0, 0], frames[0, 1]], axis=-1)
    np.testing.assert_array_equal(prepared(spec, frames)[0], expected)
    channels_first = frame_stack_network.stacked_spec(picture([3, 12, 10]), 2)
    moved = frames.transpose(0, 1, 4, 2, 3)
    np.testing.assert_array_equal(prepared(channels_first, moved)[0], expected)


@pytest.mark.parametrize(
    ('spec', 'value', 'scaled'),
    [
        (picture([5, 5, 3], tf.uint8, 0, 10), 5, 0.5),  # an index into ten kinds of things
        (picture([5, 5, 3], tf.float32, -1.0, 1.0), 0.5, 0.75),
        (picture([5, 5, 3], tf.float32, 0.0, 255.0), 51.0, 0.2),
        (picture([5, 5, 3], tf.int16, -4, 4), -2, 0.25),
        (picture([5, 5, 3], tf.float32, -np.inf, np.inf), 7.0, 7.0),  # it has no bounds
        (tf.TensorSpec([5, 5, 3], tf.bool), True, 1.0),
    ],
)
def test_numbers_are_scaled_by_their_own_bounds(spec, value, scaled):
    given = np.full([1, 5, 5, 3], value, spec.dtype.as_numpy_dtype)
    np.testing.assert_allclose(prepared(spec, given), np.full([1, 5, 5, 3], scaled), rtol=1e-6)


def test_small_pictures_get_the_network_of_minatar():
    torso = conv_torso.conv_torso(tf.TensorSpec([10, 10, 4], tf.bool))
    assert torso(np.zeros([2, 10, 10, 4], bool)).shape == (2, 128)
    kernels = [w.shape.as_list() for w in torso.trainable_variables if w.shape.rank > 1]
    assert kernels == [[3, 3, 4, 16], [8 * 8 * 16, 128]]
    torso = conv_torso.conv_torso(picture([10, 10, 4]), layers=((8, 2, 2),), units=())
    assert torso(np.zeros([2, 10, 10, 4], np.uint8)).shape == (2, 5 * 5 * 8)


@pytest.mark.parametrize(
    ('spec', 'is_picture'),
    [
        (picture([84, 84]), True),
        (picture([84, 84, 3]), True),
        (picture([4, 84, 84]), True),
        (picture([7, 7, 3]), True),
        (picture([10, 10, 10], tf.float32, 0.0, 1.0), True),
        (picture([4, 7, 7, 3]), True),
        (picture([4]), False),
        (picture([4, 4]), False),
        (picture([30, 40], tf.float32, -1.0, 1.0), False),  # rather a table of numbers
        (picture([2, 2, 3]), False),
        (picture([3, 12, 12], tf.int64, 0, 4, 'categories'), False),
    ],
)
def test_what_counts_as_a_picture(spec, is_picture):
    assert conv_torso.is_picture(spec) == is_picture
