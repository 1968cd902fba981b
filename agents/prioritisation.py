"""Proportional prioritisation: which transitions to learn from, and how to correct for it.

Source: Schaul, Quan, Antonoglou and Silver 2016, "Prioritized experience replay", sections 3.3
and 3.4 (https://arxiv.org/abs/1511.05952):

    priority     p_i = |delta_i| + min_priority
    sampling     P(i) = p_i^alpha / sum_k p_k^alpha                          (equation 1)
    correction   w_i = (N P(i))^-beta, divided by the largest of the minibatch

The replay does the sampling. Not here: rank-based priorities.
"""

from __future__ import annotations

from typing import Annotated, Any

import gin
import tensorflow as tf

from agents import errors
from agents.ranges import NOT_NEGATIVE, SHARE, NotNegative, Positive, checked, scheduled


@gin.configurable
@checked(errors.ConfigError)
class Prioritisation:
    """Turns TD errors into priorities, and sampling probabilities into weights."""

    def __init__(
        self,
        env_steps: tf.Variable,
        *,
        alpha: NotNegative = 0.6,
        beta: Annotated[Any, scheduled(SHARE, of_schedule=NOT_NEGATIVE)] = 0.4,
        min_priority: Positive = 0.01,
    ):
        """Checks and keeps the settings.

        Args:
          env_steps: int64 [], the environment steps so far; beta follows it.
          alpha: >= 0, how much priorities matter; 0 is uniform sampling.
          beta: in [0, 1], how much of the bias is corrected: a number, or a schedule over
            environment steps that does not fall; 1 corrects all of it.
          min_priority: > 0, added to |delta|; without it a transition whose error is 0 would
            never be sampled again.

        Raises:
          ConfigError: a value out of its range.
        """
        if callable(beta):
            first, last = (float(beta(tf.constant(step, tf.int64))) for step in (0, 10**12))
            if not 0 <= first <= last:
                raise errors.ConfigError(
                    f'Prioritisation.beta = a schedule from {first:g} to {last:g}: must be one '
                    'that does not fall, in its own scope, such as @beta/LinearSchedule()'
                )
        self.alpha, self._min_priority = alpha, min_priority
        self._beta, self._env_steps = beta, env_steps

    def beta(self) -> tf.Tensor:
        """float32 []: beta at the present environment step, at most 1."""
        if callable(self._beta):
            return tf.minimum(self._beta(self._env_steps), 1.0)
        return tf.constant(self._beta, tf.float32)

    def priorities(self, td_errors: tf.Tensor) -> tf.Tensor:
        """The priorities p_i, float32, of the TD errors' shape."""
        return tf.abs(td_errors) + self._min_priority

    def weights(self, probabilities: tf.Tensor, num_items: tf.Tensor) -> tf.Tensor:
        """Importance weights float32 [U, B] of U minibatches, the largest of each being 1.

        Args:
          probabilities: float [U, B], with which each transition was sampled.
          num_items: integer [U, B], how many items the table held at that time.
        """
        probabilities = tf.cast(probabilities, tf.float32)
        weights = (tf.cast(num_items, tf.float32) * probabilities) ** -self.beta()  # [U, B]
        return weights / tf.reduce_max(weights, axis=1, keepdims=True)
