"""What a spec says about discrete actions, and how agents number them.

An environment's actions keep their own numbers everywhere outside an agent: in time steps, in the
replay, in exported policies. Inside, they are indices from 0 in each dimension, and what is known
about each action (values, logits, a mask) is an array of one of these shapes:

    Discrete                       one action at a time          index [B]       values [B, A]
    MultiDiscrete, MultiBinary     D actions at a time           index [B, D]    values [B, D, A]

Where the D dimensions have different numbers of actions, A is the largest of them, and the places
after a dimension's last action are padding. `DiscreteActions` converts, here and nowhere else.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tf_agents.specs import array_spec, tensor_spec

from agents import errors

_MAX_ACTIONS = 100_000  # per dimension; a network has an output for each of them


class DiscreteActions:
    """The actions of one spec, and their indices."""

    def __init__(self, action_spec: tensor_spec.TensorSpec | array_spec.ArraySpec):
        """Reads the spec.

        Args:
          action_spec: a tensor spec or an array spec of one action, without the batch: integers
            of any shape between bounds of any kind.

        Raises:
          ConfigError: the actions are continuous, or too many.
        """
        spec = tensor_spec.from_spec(action_spec)
        if not tensor_spec.is_bounded(spec) or not spec.dtype.is_integer:
            raise errors.ConfigError(
                'the agent needs discrete actions, and this environment has continuous ones of '
                f'shape {tuple(spec.shape)}: choose an environment with a Discrete, MultiDiscrete '
                'or MultiBinary action space'
            )
        first, last = (
            np.broadcast_to(bound, spec.shape.as_list()) for bound in (spec.minimum, spec.maximum)
        )
        self.sizes = tuple(int(b) - int(a) + 1 for a, b in zip(first.flat, last.flat, strict=True))
        if not self.sizes or max(self.sizes) > _MAX_ACTIONS:
            raise errors.ConfigError(
                f'the agent needs 1 to {_MAX_ACTIONS:,} actions in each dimension, and this '
                f'environment has {max(self.sizes, default=0):,} in actions of shape '
                f'{tuple(spec.shape)}'
            )
        self.are_several = spec.shape.rank > 0  # at a time, be it several of one
        self._first, self._dtype, self._shape = first, spec.dtype, spec.shape.as_list()
        # What `tf.argmax` and `tf.random.uniform` give.
        self.index_dtype = spec.dtype if spec.dtype in (tf.int32, tf.int64) else tf.int32

    @property
    def num_in_all(self) -> int:
        """The sum of all dimensions' numbers of actions."""
        return sum(self.sizes)

    @property
    def is_real(self) -> np.ndarray:
        """bool [A], or bool [D, A]: False where there is padding."""
        real = np.arange(max(self.sizes)) < np.array(self.sizes)[:, np.newaxis]
        return real if self.are_several else real[0]

    def index(self, action: tf.Tensor) -> tf.Tensor:
        """The indices [B] or [B, D] of the environment's actions [B, *shape]."""
        if len(self._shape) > 1:
            action = tf.reshape(action, [-1, len(self.sizes)])
        action = tf.cast(action, self.index_dtype)  # nothing where it fits
        if not self._first.any():
            return action
        return action - tf.constant(self._flat_first(), self.index_dtype)

    def action(self, index: tf.Tensor) -> tf.Tensor:
        """The environment's actions [B, *shape] of the indices [B] or [B, D]."""
        if self._first.any():
            index += tf.constant(self._flat_first(), self.index_dtype)
        if len(self._shape) > 1:
            index = tf.reshape(index, [-1, *self._shape])
        return tf.cast(index, self._dtype)

    def _flat_first(self) -> np.ndarray:
        return self._first.reshape(-1) if self.are_several else self._first

    def by_dimension(self, row: tf.Tensor, padding: float | bool) -> tf.Tensor:
        """What is known about each action, one dimension's after the other's, in its shape.

        Args:
          row: [B, sum of all dimensions' numbers of actions].
          padding: what stands where there is no action.

        Returns:
          [B, A], or [B, D, A].
        """
        if not self.are_several:
            return row
        most = max(self.sizes)
        if min(self.sizes) == most:
            return tf.reshape(row, [-1, len(self.sizes), most])
        starts = np.cumsum((0, *self.sizes[:-1]))
        place = np.where(self.is_real, starts[:, np.newaxis] + np.arange(most), 0)  # [D, A]
        return tf.where(self.is_real, tf.gather(row, place, axis=1), tf.cast(padding, row.dtype))


def taken(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """What is known about the chosen actions: [B, ...] of [B, A, ...], or [B, D] of [B, D, A]."""
    return tf.gather(values, index, axis=index.shape.rank, batch_dims=index.shape.rank)
