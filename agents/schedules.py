"""Quantities that change over training, as functions of a step count.

Every schedule is a Keras `LearningRateSchedule`, so the same class serves epsilon
(per environment step) and the learning rate (per train step).
"""

from __future__ import annotations

from typing import Annotated, Any

import gin
import tensorflow as tf

from agents import errors
from agents.ranges import (
    NOT_NEGATIVE,
    POSITIVE,
    Count,
    Counted,
    NotNegative,
    Positive,
    ScheduleValue,
    checked,
    scheduled,
)

# TensorFlow's lazy `keras` hides its types; the class itself is ordinary.
LearningRateSchedule: Any = tf.keras.optimizers.schedules.LearningRateSchedule


@gin.configurable
@checked(errors.ConfigError)
class LinearSchedule(LearningRateSchedule):
    """`initial` until `delay_steps`, then a straight line, then `final` for good.

    The line runs from step `delay_steps` to step `delay_steps + decay_steps` and ends exactly at
    `final`. A schedule that starts late but still divides by the whole span would jump there.
    """

    def __init__(
        self,
        initial: ScheduleValue,
        final: ScheduleValue,
        decay_steps: Count,
        delay_steps: Counted = 0,
    ):
        """Makes the schedule.

        Args:
          initial: the value at first.
          final: the value at last.
          decay_steps: > 0, the length of the line.
          delay_steps: >= 0, how long the value stays `initial`.

        Raises:
          ConfigError: a value out of its range.
        """
        self.ends = self._initial, self._final = initial, final
        self._decay_steps, self._delay_steps = decay_steps, delay_steps

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """float32 []: the value at integer `step`."""
        done = tf.cast(step - self._delay_steps, tf.float32) / self._decay_steps
        done = tf.clip_by_value(done, 0.0, 1.0)
        return (1.0 - done) * self._initial + done * self._final

    def get_config(self) -> dict[str, float]:
        """The constructor's arguments, for Keras."""
        return dict(
            initial=self._initial,
            final=self._final,
            decay_steps=self._decay_steps,
            delay_steps=self._delay_steps,
        )


@gin.configurable
@checked(errors.ConfigError)
class JumpingLinearSchedule(LearningRateSchedule):
    """A line that starts late, divides by the whole span all the same, and so jumps at its end.

    `initial` until `delay_steps`; then initial + (step - delay_steps) / span_steps * (final -
    initial), which is not yet `final` when step `span_steps` sets it to `final`. Only
    configurations that repeat a program with this mistake use it; `LinearSchedule` is right.
    """

    def __init__(
        self,
        initial: ScheduleValue,
        final: ScheduleValue,
        span_steps: Count,
        delay_steps: Counted,
    ):
        """Makes the schedule.

        Args:
          initial: the value at first.
          final: the value from `span_steps` on.
          span_steps: the divisor, and the step of the jump; more than `delay_steps`.
          delay_steps: >= 0, how long the value stays `initial`.

        Raises:
          ConfigError: a value out of its range.
        """
        if delay_steps >= span_steps:
            raise errors.ConfigError(
                f'JumpingLinearSchedule: delay_steps = {delay_steps}, span_steps = {span_steps}: '
                'delay_steps must be less than span_steps'
            )
        self.ends = self._initial, self._final = initial, final
        self._span_steps, self._delay_steps = span_steps, delay_steps

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """float32 []: the value at integer `step`."""
        late = tf.cast(tf.maximum(step - self._delay_steps, 0), tf.float32)
        line = self._initial + late / self._span_steps * (self._final - self._initial)
        return tf.where(step < self._span_steps, line, self._final)

    def get_config(self) -> dict[str, float]:
        """The constructor's arguments, for Keras."""
        return dict(
            initial=self._initial,
            final=self._final,
            span_steps=self._span_steps,
            delay_steps=self._delay_steps,
        )


@gin.configurable
@checked(errors.ConfigError)
class ExponentialSchedule(LearningRateSchedule):
    """final + (initial - final) * exp(-rate_per_step * step), a smooth decay to `final`."""

    def __init__(self, initial: ScheduleValue, final: ScheduleValue, rate_per_step: Positive):
        """Makes the schedule.

        Args:
          initial: the value at step 0.
          final: the limit.
          rate_per_step: > 0; after 1 / rate_per_step steps 37 % of the difference are left.

        Raises:
          ConfigError: a value out of its range.
        """
        self.ends = self._initial, self._final = initial, final
        self._rate_per_step = rate_per_step

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """float32 []: the value at integer `step`."""
        decay = tf.exp(-self._rate_per_step * tf.cast(step, tf.float32))
        return self._final + (self._initial - self._final) * decay

    def get_config(self) -> dict[str, float]:
        """The constructor's arguments, for Keras."""
        return dict(initial=self._initial, final=self._final, rate_per_step=self._rate_per_step)


@gin.configurable
@checked(errors.ConfigError)
def adam(
    learning_rate: Annotated[Any, scheduled(POSITIVE, of_schedule=NOT_NEGATIVE)] = 1e-3,
    epsilon: NotNegative = 1e-7,
) -> tf.keras.optimizers.Optimizer:
    """Adam (Kingma and Ba 2015, algorithm 1, https://arxiv.org/abs/1412.6980).

    It is Keras's legacy one: a single fused kernel per variable, and it compiles under XLA.

    Args:
      learning_rate: > 0, a number, or a schedule over train steps, which may end at 0.
      epsilon: >= 0, added to the root of the second moment.

    Raises:
      ConfigError: a value out of its range.
    """
    return tf.keras.optimizers.legacy.Adam(learning_rate, epsilon=epsilon)
