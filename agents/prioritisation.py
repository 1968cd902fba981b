"""Proportional prioritisation: Schaul, Quan, Antonoglou and Silver 2016, section 3.

    priority     p_i = |delta_i| + min_priority
    sampling     P(i) = p_i^alpha / sum_k p_k^alpha
    correction   w_i = (N P(i))^-beta, divided by the largest of the minibatch

The sampling is the replay's. Not here: rank-based priorities.
"""

from __future__ import annotations

import math

import gin
import tensorflow as tf

from agents import errors
from agents.schedules import LearningRateSchedule


@gin.configurable
class Prioritisation:
    """What turns TD errors into priorities, and sampling probabilities into weights."""

    def __init__(
        self,
        env_steps: tf.Variable,
        *,
        alpha: float = 0.6,
        beta: float | LearningRateSchedule = 0.4,
        min_priority: float = 0.01,
    ):
        """Refuses what cannot be.

        Args:
          env_steps: int64 [], the environment steps so far; beta follows it.
          alpha: >= 0, how much priorities matter; 0 is uniform sampling.
          beta: in [0, 1], how much of the bias is corrected, a number or a schedule over
            environment steps that does not fall; 1 is all of it.
          min_priority: > 0, added to |delta|, so that nothing is never sampled again.

        Raises:
          ConfigError: a value out of its range.
        """
        _check('alpha', alpha, 0 <= alpha < math.inf, '>= 0')
        _check('min_priority', min_priority, 0 < min_priority < math.inf, 'positive')
        if callable(beta):
            first, last = (float(beta(tf.constant(step, tf.int64))) for step in (0, 10**12))
            _check(
                'beta', f'a schedule from {first:g} to {last:g}', 0 <= first <= last,
                'one that does not fall, in a scope of its own, such as @beta/LinearSchedule()',
            )  # fmt: skip
        else:
            _check('beta', beta, 0 <= beta <= 1, 'between 0 and 1, or a schedule')
        self.alpha, self._min_priority = alpha, min_priority
        self._beta, self._env_steps = beta, env_steps

    def beta(self) -> tf.Tensor:
        """float32 []: at the present environment step, never above 1."""
        if callable(self._beta):
            return tf.minimum(self._beta(self._env_steps), 1.0)
        return tf.constant(self._beta, tf.float32)

    def priorities(self, td_errors: tf.Tensor) -> tf.Tensor:
        """float32, of the TD errors' shape."""
        return tf.abs(td_errors) + self._min_priority

    def weights(self, probabilities: tf.Tensor, num_items: tf.Tensor) -> tf.Tensor:
        """Importance weights float32 [U, B], the largest of each minibatch 1.

        Args:
          probabilities: float [U, B], with which each transition was sampled.
          num_items: integer [U, B], in the table at that time.
        """
        probabilities = tf.cast(probabilities, tf.float32)
        weights = (tf.cast(num_items, tf.float32) * probabilities) ** -self.beta()
        return weights / tf.reduce_max(weights, axis=1, keepdims=True)


def _check(name, value, fits, cure):
    if not fits:
        raise errors.ConfigError(f'Prioritisation.{name} = {value}: must be {cure}')
