"""Noisy layers: exploration that is learnt.

Source: Fortunato et al. 2018, "Noisy networks for exploration". A weight is a mean plus a
learnt amount of noise, factorised (their equations 10 and 11) so that a layer of p inputs
and q outputs draws p + q numbers and not p q:

    y = (mu_w + sigma_w * f(e_in) f(e_out)') x + mu_b + sigma_b * f(e_out),
    f(e) = sign(e) sqrt(|e|),   e standard normal

One draw serves a whole batch, as in their DQN, and every forward draws anew: the online
network, the target network and the choice of Double DQN's action each have noise of their
own. Noise is on while collecting and training (`training=True`); greedy, evaluated and
exported policies take the means, and are deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf

from agents import errors


@gin.configurable
class NoisyDense(tf.keras.layers.Dense):
    """A dense layer whose `kernel` and `bias` are means, with noise on both."""

    def __init__(self, units: int, activation=None, dtype=None, *, sigma0: float = 0.5):
        """`sigma0`: the noise's initial size; that of a weight is sigma0 / sqrt(inputs).

        Raises:
          ConfigError: sigma0 is negative.
        """
        if sigma0 < 0:
            raise errors.ConfigError(f'NoisyDense.sigma0 = {sigma0}: must be 0 or more')
        super().__init__(units, activation, dtype=dtype)
        self._sigma0 = sigma0

    def build(self, input_shape):
        """Makes the weights; their initial means are uniform within 1 / sqrt(inputs)."""
        num_inputs = int(input_shape[-1])
        limit = num_inputs**-0.5
        # Two initializers: one alone would give the same numbers twice.
        self.kernel_initializer, self.bias_initializer = (
            tf.keras.initializers.RandomUniform(-limit, limit) for _ in range(2)
        )
        super().build(input_shape)
        sigma = tf.keras.initializers.Constant(self._sigma0 * limit)
        self.kernel_sigma = self.add_weight('kernel_sigma', self.kernel.shape, initializer=sigma)
        self.bias_sigma = self.add_weight('bias_sigma', self.bias.shape, initializer=sigma)
        # XLA's own generator heeds no seed and begins anew in each process, so that each layer
        # counts its draws: (what tells it from others, how many). A checkpoint keeps the count,
        # and copies, which take trainable weights alone, keep their own.
        self._draws = self.add_weight(
            'draws', [2], tf.int64, tf.keras.initializers.RandomUniform(0, 2**31), trainable=False
        )

    def call(self, inputs, training=False):
        """[B, inputs] -> [B, units], with noise where `training`."""
        if not training:
            return super().call(inputs)
        num_inputs = self.kernel.shape[0]
        seed = self._draws.assign_add([0, 1], read_value=True)
        noise = tf.random.stateless_normal([num_inputs + self.units], seed)
        noise = tf.cast(tf.sign(noise) * tf.sqrt(tf.abs(noise)), self.compute_dtype)
        noise_in, noise_out = noise[:num_inputs, tf.newaxis], noise[num_inputs:]
        kernel = self.kernel + self.kernel_sigma * (noise_in * noise_out)
        bias = self.bias + self.bias_sigma * noise_out
        return self.activation(tf.matmul(inputs, kernel) + bias)


def noisy_stack(
    hidden_units: Sequence[int], outputs: int, dtype_policy: str
) -> list[tf.keras.layers.Layer]:
    """Noisy ReLU layers and a linear one, which computes in float32 always (see `torsos`)."""
    hidden = [NoisyDense(n, 'relu', dtype_policy) for n in hidden_units]
    return [*hidden, NoisyDense(outputs, dtype='float32')]
