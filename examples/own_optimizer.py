"""An optimizer of your own: here the one of Mnih et al. 2015 (https://doi.org/10.1038/nature14236).

One line of gin, as --gin_bindings="import examples.own_optimizer" makes it known:

    train_ddqn.optimizer = @centred_rmsprop           or train_reinforce.optimizer
"""

import gin
import tensorflow as tf


@gin.configurable
def centred_rmsprop(learning_rate=2.5e-4, rho=0.95, epsilon=0.01):
    """RMSProp that divides by the standard deviation, not by the root of the mean square."""
    return tf.keras.optimizers.RMSprop(learning_rate, rho=rho, epsilon=epsilon, centered=True)
