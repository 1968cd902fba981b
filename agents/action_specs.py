"""What an action spec says about the actions."""

from __future__ import annotations

import numpy as np
from tf_agents.specs import array_spec, tensor_spec

from agents import errors


def num_actions(action_spec: tensor_spec.TensorSpec | array_spec.ArraySpec) -> int:
    """The number of actions of a discrete, scalar action spec that counts from 0.

    Args:
      action_spec: a tensor spec or an array spec of one action, without the batch.

    Raises:
      ConfigError: the actions are continuous, more than one at a time, or count from elsewhere.
    """
    spec = tensor_spec.from_spec(action_spec)
    if not tensor_spec.is_bounded(spec) or not spec.dtype.is_integer:
        raise errors.ConfigError(
            'the agent needs discrete actions, and this environment has continuous ones of shape '
            f'{tuple(spec.shape)}: choose an environment with a Discrete action space'
        )
    if spec.shape.rank != 0 or np.min(spec.minimum) != 0:
        raise errors.ConfigError(
            f'the agent needs one integer action that counts from 0; the spec is {spec}'
        )
    return int(np.max(spec.maximum)) + 1
