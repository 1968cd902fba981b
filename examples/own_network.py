"""A whole Q-network of your own: any Keras layer from observations to a number for each action.

One line of gin, as --gin_bindings="import examples.own_network" makes it known:

    train_ddqn.network = @normalised_network
"""

import gin
import tensorflow as tf


@gin.configurable
def normalised_network(observation_spec, action_spec, *, units=(64, 64)):
    """Dense layers with layer normalisation (Ba et al. 2016, https://arxiv.org/abs/1607.06450).

    It is called for each copy of the network, and must make a new one at each call.
    """
    num_actions = int(action_spec.maximum - action_spec.minimum) + 1
    layers = tf.keras.layers
    network = tf.keras.Sequential([layers.Flatten()])
    for width in units:
        network.add(layers.Dense(width))
        network.add(layers.LayerNormalization())
        network.add(layers.ReLU())
    network.add(layers.Dense(num_actions))
    return network
