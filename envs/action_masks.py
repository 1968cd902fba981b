"""Masks of legal actions that environments give, brought into one form.

An environment tells in each state which actions are legal, in `info['action_mask']` (Gymnasium's
Taxi does) or in a part 'action_mask' of its observation dict. Either way the time step's
observation has the part 'action_mask', bool [num_envs, A], true where an action is legal. Where
D actions are taken at a time, A is the sum of the dimensions' numbers of actions, one dimension's
mask after the other's; a tuple of D masks, as `gymnasium.spaces.MultiDiscrete.sample` takes, is put
together in this order.

Where nothing is said, everything is legal: in a copy without an entry, and in an episode's last
state if its mask is empty, for no action follows there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from tf_agents.specs import array_spec

from envs import errors

KEY = 'action_mask'
_DISCRETE = gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary
_PRESENT = '_action_mask'  # Gymnasium's: which copies' info had the key


class ActionMasks:
    """The masks of one vector environment; counts steps to name the one that is at fault."""

    def __init__(self, num_envs: int, action_space: gym.Space, env_name: str):
        """Prepares for the masks of `num_envs` copies.

        Args:
          num_envs: number of copies.
          action_space: of one copy.
          env_name: for errors.

        Raises:
          EnvError: the actions are not discrete.
        """
        if not isinstance(action_space, _DISCRETE):
            raise errors.EnvError(
                f"environment '{env_name}' gives an '{KEY}' and has the action space "
                f'{action_space}: only discrete actions have masks; give it another name'
            )
        self._sizes, self._env_name = _sizes(action_space), env_name
        self._starts = np.cumsum([0, *self._sizes[:-1]])
        self._shape = (num_envs, sum(self._sizes))
        self._steps = np.zeros(num_envs, int)

    @property
    def spec(self) -> array_spec.ArraySpec:
        """Of one mask."""
        return array_spec.ArraySpec(self._shape[1:], bool, KEY)

    def from_info(self, info: Mapping[str, Any]) -> np.ndarray:
        """bool or number [num_envs, A]: the masks in a vector environment's `info`, not `checked`.

        Raises:
          EnvError: they have another shape.
        """
        if KEY not in info:
            return np.ones(self._shape, bool)
        masks, present = np.asarray(info[KEY]), info.get(_PRESENT)
        if masks.dtype == object:  # lists or tuples: Gymnasium does not stack them
            return np.stack([self._row(mask) for mask in masks])
        self._check_shape(masks.shape)
        if present is not None and not present.all():
            masks = np.where(present[:, np.newaxis], masks, 1)
        return masks

    def _row(self, mask: Any) -> np.ndarray:
        """[A]: one copy's mask, given in some other form than an array; None gives none."""
        row = np.ones(self._shape[1:]) if mask is None else np.hstack(mask)
        self._check_shape((self._shape[0], *row.shape))
        return row

    def checked(self, masks: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """bool [num_envs, A]: the masks, everything being legal where no action follows.

        Args:
          masks: bool or integer [num_envs, A].
          starts: bool [num_envs], which copies are in the first state of an episode.
          ends: bool [num_envs], which are in the last.

        Raises:
          EnvError: the masks have another shape, or one allows nothing and the episode goes on.
        """
        self._check_shape(masks.shape)
        masks = masks.astype(bool)
        self._steps = np.where(starts, 0, self._steps + 1)
        if len(self._sizes) == 1:
            stuck = ~masks.any(axis=1)  # [num_envs]
        else:
            stuck = ~np.logical_or.reduceat(masks, self._starts, axis=1).all(axis=1)
        if not stuck.any():
            return masks
        if (stuck & ~ends).any():
            i = int(np.flatnonzero(stuck & ~ends)[0])
            raise errors.EnvError(
                f"environment '{self._env_name}': its '{KEY}' allows no action after "
                f'{self._steps[i]:,} steps of an episode (copy {i}): mask at least one as legal, '
                'or end the episode there'
            )
        masks[stuck] = True
        return masks

    def first_legal(self, masks: np.ndarray) -> np.ndarray:
        """int64 [num_envs, D]: the index of each dimension's first legal action."""
        parts = np.split(masks, self._starts[1:], axis=1)
        return np.stack([part.argmax(axis=1) for part in parts], axis=1)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self._shape:
            raise errors.EnvError(
                f"environment '{self._env_name}': its '{KEY}' has the shape {shape[1:]}, and its "
                f'actions need {self._shape[1:]}, a number for each action'
            )


def in_info(vector_env: gym.vector.VectorEnv) -> bool:
    """Whether the environment's `info` has masks, found out by a reset; if actions are discrete.

    One copy is reset where the copies are at hand. A reset that fails tells nothing: the first one
    that a run makes will say what is wrong.
    """
    if not isinstance(vector_env.single_action_space, _DISCRETE):
        return False
    envs = getattr(vector_env.unwrapped, 'envs', None)
    try:
        _, info = envs[0].reset(seed=0) if envs else vector_env.reset(seed=0)
    except Exception:  # whatever an environment raises
        return False
    return KEY in info


def _sizes(space: gym.Space) -> list[int]:
    """The number of actions of each dimension."""
    if isinstance(space, gym.spaces.Discrete):
        n: Any = space.n  # a NumPy integer
        return [int(n)]
    if isinstance(space, gym.spaces.MultiDiscrete):
        return [int(n) for n in space.nvec.flat]
    return [2] * int(np.prod(space.shape or ()))
