"""Noisy layers: exploration that is learnt.

Source: Fortunato et al. 2018, "Noisy networks for exploration"
(https://arxiv.org/abs/1706.10295). A weight is a mean plus a learnt amount of noise, and the
noise is factorised (their equations 10 and 11): a layer of p inputs and q outputs draws p + q
numbers, not p q:

    y = (mu_w + sigma_w * f(e_in) f(e_out)') x + mu_b + sigma_b * f(e_out),
    f(e) = sign(e) sqrt(|e|),   e standard normal

One draw serves a whole batch, as in their DQN, and every forward pass makes a new one: the
online network, the target network and the choice of Double DQN's action each have noise of
their own. Noise is on while collecting and training (`training=True`). Greedy, evaluated and
exported policies use the means, so they are deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gin
import tensorflow as tf

from agents import errors
from agents.ranges import NotNegative, checked


@gin.configurable
@checked(errors.ConfigError)
class NoisyDense(tf.keras.layers.Dense):
    """A dense layer whose `kernel` and `bias` are means, with noise on both."""

    def __init__(
        self,
        units: int,
        activation: str | Callable[[tf.Tensor], tf.Tensor] | None = None,
        dtype: str | None = None,
        *,
        sigma0: NotNegative = 0.5,
    ):
        """Makes the layer.

        Args:
          units: the number of outputs.
          activation: of the outputs, by Keras's name or as a function; None for linear.
          dtype: a dtype policy, see `torsos`.
          sigma0: the initial size of the noise, >= 0; each weight's sigma is
            sigma0 / sqrt(inputs) (the paper's section 3.2).

        Raises:
          ConfigError: sigma0 is negative.
        """
        super().__init__(units, activation, dtype=dtype)
        self._sigma0 = sigma0

    def build(self, input_shape: tf.TensorShape) -> None:
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
        # XLA's own generator ignores the seed and starts over in each process, so each layer
        # counts its draws: (a key that tells it from other layers, how many). A checkpoint keeps
        # the count. Copies of a network take its trainable weights alone and keep their own.
        self._draws = self.add_weight(
            'draws', [2], tf.int64, tf.keras.initializers.RandomUniform(0, 2**31), trainable=False
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """[B, inputs] -> [B, units], with noise if `training`."""
        if not training:
            return super().call(inputs)
        num_inputs = self.kernel.shape[0]
        seed = self._draws.assign_add([0, 1], read_value=True)
        noise = tf.random.stateless_normal([num_inputs + self.units], seed)
        noise = tf.cast(tf.sign(noise) * tf.sqrt(tf.abs(noise)), self.compute_dtype)
        noise_in, noise_out = noise[:num_inputs, tf.newaxis], noise[num_inputs:]
        kernel = self.kernel + self.kernel_sigma * (noise_in * noise_out)  # [inputs, units]
        bias = self.bias + self.bias_sigma * noise_out  # [units]
        return self.activation(tf.matmul(inputs, kernel) + bias)


def noisy_stack(
    hidden_units: Sequence[int], outputs: int, dtype_policy: str
) -> list[tf.keras.layers.Layer]:
    """Noisy ReLU layers, and a linear noisy layer that is always in float32 (see `torsos`)."""
    hidden = [NoisyDense(n, 'relu', dtype_policy) for n in hidden_units]
    return [*hidden, NoisyDense(outputs, dtype='float32')]
