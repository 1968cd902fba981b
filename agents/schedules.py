"""Quantities that change over training, as functions of a step count.

Every schedule is a Keras `LearningRateSchedule`, so the same class serves epsilon
(per environment step) and the learning rate (per train step).
"""

from __future__ import annotations

from typing import Any

import gin
import tensorflow as tf

from agents import errors

# TensorFlow's lazy `keras` hides its types; the class itself is ordinary.
LearningRateSchedule: Any = tf.keras.optimizers.schedules.LearningRateSchedule


@gin.configurable
class LinearSchedule(LearningRateSchedule):
    """`initial` until `delay_steps`, then a straight line, then `final` for good.

    The line runs from step `delay_steps` to step `delay_steps + decay_steps`: it ends
    exactly at `final`, without the jump of schedules that start late and still divide
    by the whole span.
    """

    def __init__(self, initial: float, final: float, decay_steps: int, delay_steps: int = 0):
        if decay_steps <= 0 or delay_steps < 0:
            raise errors.ConfigError(
                f'LinearSchedule: decay_steps = {decay_steps}, delay_steps = {delay_steps}: '
                'decay_steps must be positive and delay_steps not negative'
            )
        self._initial, self._final = initial, final
        self._decay_steps, self._delay_steps = decay_steps, delay_steps

    def __call__(self, step) -> tf.Tensor:
        """float32 []: the value at integer `step`."""
        done = tf.cast(step - self._delay_steps, tf.float32) / self._decay_steps
        done = tf.clip_by_value(done, 0.0, 1.0)
        return (1.0 - done) * self._initial + done * self._final

    def get_config(self):
        return dict(
            initial=self._initial,
            final=self._final,
            decay_steps=self._decay_steps,
            delay_steps=self._delay_steps,
        )


@gin.configurable
class ExponentialSchedule(LearningRateSchedule):
    """final + (initial - final) * exp(-rate_per_step * step): decays to `final`, smoothly."""

    def __init__(self, initial: float, final: float, rate_per_step: float):
        if rate_per_step <= 0:
            raise errors.ConfigError(
                f'ExponentialSchedule.rate_per_step = {rate_per_step}: must be positive'
            )
        self._initial, self._final, self._rate_per_step = initial, final, rate_per_step

    def __call__(self, step) -> tf.Tensor:
        """float32 []: the value at integer `step`."""
        decay = tf.exp(-self._rate_per_step * tf.cast(step, tf.float32))
        return self._final + (self._initial - self._final) * decay

    def get_config(self):
        return dict(initial=self._initial, final=self._final, rate_per_step=self._rate_per_step)


@gin.configurable
def adam(
    learning_rate: float | LearningRateSchedule = 1e-3, epsilon: float = 1e-7
) -> tf.keras.optimizers.Optimizer:
    """Adam (Kingma and Ba 2015), as one fused kernel per variable.

    Args:
      learning_rate: a number, or a schedule over train steps.
      epsilon: added to the root of the second moment.
    """
    if not callable(learning_rate) and learning_rate <= 0:
        raise errors.ConfigError(f'adam.learning_rate = {learning_rate}: must be positive')
    return tf.keras.optimizers.legacy.Adam(learning_rate, epsilon=epsilon)
