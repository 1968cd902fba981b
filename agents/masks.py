"""Masks of legal actions: split off what a network sees, and taken into account wherever one acts.

An observation that is a dict may have the part 'action_mask', bool [A], true where the action is
legal in this state; for D actions at a time it is one dimension's after the other's, bool [sum of
A_d]. No network sees it: `split` is the one place that takes it off. What is left is the dict
without it, or where that has the one part 'observation', that array.

Values and logits of illegal actions become the numbers `NEVER` and `UNLIKELY`, which no maximum
over a state's legal actions takes and to which a softmax gives the probability 0. Both are finite,
so no gradient and no product with 0 is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from agents import errors
from agents.action_specs import DiscreteActions

KEY = 'action_mask'
_ALONE = 'observation'
NEVER = float(np.finfo(np.float32).min)  # the value of an illegal action, and of padding
UNLIKELY = -1e9  # its logit: less exactly, for entropies multiply probabilities and logarithms


def seen_spec(observation_spec: Any, action_spec: tf.TensorSpec) -> Any:
    """The spec of what a network sees of an observation.

    Args:
      observation_spec: of one observation, without the batch.
      action_spec: of the environment.

    Raises:
      ConfigError: the mask does not fit the actions.
    """
    if not _has_mask(observation_spec):
        return observation_spec
    spec, needed = observation_spec[KEY], [DiscreteActions(action_spec).num_in_all]
    if spec.shape.as_list() != needed:
        raise errors.ConfigError(
            f"the observation's '{KEY}' has the shape {spec.shape.as_list()}: the actions need "
            f'{needed}, a number for each action of each dimension'
        )
    return without_mask(observation_spec)


def split(observation: Any, actions: DiscreteActions | None) -> tuple[Any, tf.Tensor | None]:
    """What a network sees of an observation, and which actions are legal.

    Args:
      observation: [B, ...], or a dict of such parts; or stacks of them [B, K, ...], of which the
        newest mask counts.
      actions: of the environment; None where they are continuous and have no mask.

    Returns:
      (The observation without its mask, bool [B, A] or [B, D, A] with False for padding). The
      mask is None where the observation has none.
    """
    if not _has_mask(observation):
        return observation, None
    assert actions is not None
    mask = tf.cast(observation[KEY], tf.bool)
    if mask.shape.rank == 3:
        mask = mask[:, -1]
    return without_mask(observation), actions.by_dimension(mask, False)


def legal_values(values: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """`values`, float32, but `NEVER` where `mask`, of their shape, is False."""
    return values if mask is None else tf.where(mask, values, NEVER)


def legal_logits(logits: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """`logits`, float32, but `UNLIKELY` where `mask`, of their shape, is False."""
    return logits if mask is None else tf.where(mask, logits, UNLIKELY)


def checked(mask: tf.Tensor | None) -> tf.Tensor | None:
    """The mask; running it raises an InvalidArgumentError if a row allows no action."""
    if mask is None:
        return None
    possible = tf.debugging.assert_equal(
        tf.reduce_any(mask, axis=-1), True, message=f'{KEY} allows no action'
    )
    with tf.control_dependencies([possible]):
        return tf.identity(mask)


def _has_mask(observation: Any) -> bool:
    return isinstance(observation, Mapping) and KEY in observation


def without_mask(observation: Mapping[str, Any]) -> Any:
    """The parts but the mask; where that is the one part 'observation', that part alone."""
    rest = {name: part for name, part in observation.items() if name != KEY}
    return rest[_ALONE] if list(rest) == [_ALONE] else rest
