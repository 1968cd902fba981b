import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from agents import actor_critic_network, errors, layers, q_network

BOX = tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0)
ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2)


def flat(observation_spec, dtype_policy):
    return tf.keras.layers.Flatten()


def square(observation_spec, dtype_policy):
    return tf.keras.layers.Reshape((2, 2))


def convolution(observation_spec, dtype_policy):
    return tf.keras.layers.Conv2D(3, 3)


def nothing(observation_spec, dtype_policy):
    return None


def q_net(torso):
    return q_network.PlainQNetwork(BOX, ACTION, q_network.NetworkSettings(torso))


def actor(torso):
    network, _ = actor_critic_network.make_actor_critic_network(BOX, ACTION, True, torso=torso)
    return network


@pytest.mark.parametrize('make', [q_net, actor])
def test_a_layer_need_not_know_that_it_is_trained(make):
    network = make(flat)
    network.create_variables()
    outputs, _ = network(tf.zeros([2, 4]), training=True)
    outputs = outputs if tf.is_tensor(outputs) else outputs['logits']
    assert outputs.shape == (2, 3)


@pytest.mark.parametrize('make', [q_net, actor])
@pytest.mark.parametrize(
    ('torso', 'message'),
    [
        (nothing, r'^@nothing returns None: it must return a Keras layer'),
        (square, r'^@square on .* float32 \[4\]: it gives \[B, 2, 2\], and must give features'),
        (convolution, r'^@convolution on .* float32 \[4\]: Input 0 of layer .* is incompatible'),
    ],
)
def test_what_is_wrong_with_a_torso_is_one_line_that_names_it(make, torso, message):
    with pytest.raises(errors.ConfigError, match=message) as raised:
        make(torso).create_variables()
    assert '\n' not in str(raised.value).partition('\n  In call to configurable')[0]  # gin's


def test_a_torso_that_gives_its_layer_twice_is_refused():
    """The target network would be the network itself."""
    only = tf.keras.layers.Dense(2)
    network = q_net(lambda observation_spec, dtype_policy: only)
    network.create_variables()
    with pytest.raises(errors.ConfigError, match='returns the same layer again'):
        network.copy_for_use('Target')


def test_a_dict_is_named_by_its_parts():
    assert layers.in_words({'a': BOX, 'b': ACTION}) == 'a dict of a: float32 [4], b: int64 []'
