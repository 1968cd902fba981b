import gin
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from agents import auto_torso, conv_torso, errors, q_network, torsos

PARTS = {
    'image': tensor_spec.BoundedTensorSpec([7, 7, 3], tf.uint8, 0, 255),
    'place': tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0),
    'direction': tensor_spec.BoundedTensorSpec([], tf.int64, 0, 3),
}
ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2)


def drawn(specs, count=2):
    return tensor_spec.sample_spec_nest(specs, outer_dims=[count])


def test_each_kind_of_observation_gets_its_torso():
    gin.parse_config('mlp_torso.units = (5,)')
    expected = {'image': 128, 'place': 5, 'direction': 5}
    for name, units in expected.items():
        assert auto_torso.auto_torso(PARTS[name])(drawn(PARTS[name])).shape == (2, units)
    assert auto_torso.auto_torso(PARTS)(drawn(PARTS)).shape == (2, 128 + 5)
    without_image = {name: PARTS[name] for name in ('place', 'direction')}
    assert auto_torso.auto_torso(without_image)(drawn(without_image)).shape == (2, 5)
    only_image = {'image': PARTS['image']}
    assert auto_torso.auto_torso(only_image)(drawn(only_image)).shape == (2, 128)


def test_every_part_reaches_the_features():
    torso = auto_torso.auto_torso(PARTS)
    one = drawn(PARTS, 1)
    features = torso(one).numpy()
    other = {
        'image': 255 - one['image'],
        'place': -one['place'],
        'direction': 3 - one['direction'],
    }
    for name in PARTS:
        changed = torso({**one, name: other[name]}).numpy()
        assert (changed != features).any(), name


def test_a_part_may_have_a_torso_of_the_users():
    def halves(spec, dtype_policy):
        return tf.keras.layers.Lambda(lambda x: x / 2)

    torso = auto_torso.dict_torso(PARTS, torsos_of={'place': halves})
    given = drawn(PARTS)
    features = torso(given)
    np.testing.assert_allclose(features[:, 128:130], given['place'] / 2)  # image, then place
    dense = auto_torso.dict_torso(PARTS, torsos_of={'place': halves}, units=(6,))
    assert dense(given).shape == (2, 6)


def test_bfloat16_convolutions_are_joined_with_the_rest():
    torso = auto_torso.auto_torso(PARTS, 'mixed_bfloat16')
    assert np.isfinite(tf.cast(torso(drawn(PARTS)), tf.float32)).all()


@pytest.mark.parametrize(
    ('spec', 'options', 'message'),
    [
        (PARTS, {'torsos_of': {'imagee': conv_torso.conv_torso}}, "no part 'imagee'; it has dir"),
        (PARTS, {'units': (0,)}, 'dict_torso.units'),
        (PARTS['place'], {}, 'needs an observation that is a dict'),
    ],
)
def test_what_does_not_fit_is_refused(spec, options, message):
    with pytest.raises(errors.ConfigError, match=message):
        auto_torso.dict_torso(spec, **options)


@pytest.mark.parametrize('torso', [auto_torso.auto_torso, torsos.mlp_torso])
def test_a_network_of_parts_can_be_trained_and_copied(torso):
    network = q_network.DuelingQNetwork(PARTS, ACTION, q_network.NetworkSettings(torso, (8,)))
    network.create_variables()
    given = drawn(PARTS)
    with tf.GradientTape() as tape:
        values, _ = network(given, training=True)
        loss = tf.reduce_sum(values)
    gradients = tape.gradient(loss, network.trainable_variables)
    assert values.shape == (2, 3) and all(gradient is not None for gradient in gradients)
    copy = network.copy(name='Copy')
    copy.create_variables()
    shapes = [[w.shape for w in each.trainable_variables] for each in (network, copy)]
    assert shapes[0] == shapes[1] and len(shapes[0]) == len(gradients)
