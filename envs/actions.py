"""Actions on their way to an environment: a copy, in its space's own numbers and dtype."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from tf_agents.specs import array_spec

from envs import faults, spaces
from envs.errors import EnvError


class Actions:
    """The actions of environments that are stepped together.

    Attributes:
      spec: of one action, in the environment's own numbers; those of a `Box` of floats are
        float32.
    """

    def __init__(self, space: gym.Space, env_name: str):
        """Raises an EnvError if `space`, that of one environment, is not supported."""
        self._space, self._env_name = space, env_name
        self.spec = _spec(space, env_name)

    def copied(self, action: np.ndarray) -> np.ndarray:
        """What the environment gets of actions [num_envs, ...].

        What is outside a `Box` is clipped to it, which a note says once.
        """
        space = self._space
        given = np.array(action, space.dtype)
        if not isinstance(space, Box):
            return given
        clipped = np.minimum(np.maximum(given, space.low), space.high)
        if np.count_nonzero(clipped != given):
            faults.say_once(
                f"environment '{self._env_name}': actions outside {spaces.in_short(space)} are "
                'clipped to it before the environment gets them; training and an exported policy '
                'keep them as they were drawn'
            )
        return clipped


def _spec(space: gym.Space, env_name: str) -> array_spec.BoundedArraySpec:
    if not isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary):
        raise EnvError(
            f"environment '{env_name}' has the action space {spaces.in_short(space)}: Discrete, "
            'MultiDiscrete, MultiBinary and Box are supported'
        )
    low, high = (np.asarray(bound) for bound in spaces.bounds(space))
    dtype = np.dtype(space.dtype)
    if dtype.kind == 'f':
        dtype = np.dtype(np.float32)
    with np.errstate(over='ignore'):  # float64's bounds become float32 infinities
        low, high = low.astype(dtype), high.astype(dtype)
    return array_spec.BoundedArraySpec(space.shape, dtype, low, high, name='action')
