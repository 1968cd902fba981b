"""A torso of your own, for pictures whose numbers are codes, not shades: MiniGrid's, for example.

One line of gin, as --gin_bindings="import examples.own_torso" makes it known:

    dict_torso.torsos_of = {'image': @codes_torso}    for a part of the observation
    make_q_network.torso = @codes_torso               for a picture that is all there is
"""

import gin
import tensorflow as tf


@gin.configurable
def codes_torso(observation_spec, dtype_policy='float32', *, num_codes=11, filters=16):
    """Codes [B, height, width, channels] as one-hot vectors, then 3x3 convolutions: [B, F]."""
    height, width, channels = observation_spec.shape
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Lambda(lambda codes: tf.one_hot(tf.cast(codes, tf.int32), num_codes)),
            layers.Reshape((height, width, channels * num_codes)),
            layers.Conv2D(filters, 3, activation='relu', dtype=dtype_policy),
            layers.Flatten(dtype=dtype_policy),
        ]
    )
