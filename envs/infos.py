"""What wrappers tell `GymnasiumEnv` by a step's `info`, under names that no environment has.

    RAW_REWARD   the reward that reports count, where a wrapper changed what is learned from
    DISCOUNT     0 where the learner's future ends, else 1, where that is not 1 - terminated

Each is an array [num_envs]. Where the info holds Gymnasium's mask of a name, '_' + name, only the
copies that it marks are told of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

RAW_REWARD = 'tf_agents_pipelines.raw_reward'
DISCOUNT = 'tf_agents_pipelines.discount'


def told(info: Mapping[str, Any], name: str, otherwise: Any) -> Any:
    """What `info` tells under `name`, an array [num_envs].

    Args:
      info: of a vector step.
      name: `RAW_REWARD` or `DISCOUNT`.
      otherwise: for copies that nothing is told of, [num_envs].
    """
    if name not in info:
        return otherwise
    mask = info.get(f'_{name}')
    return info[name] if mask is None else np.where(mask, info[name], otherwise)


class RewardBelow(gym.vector.VectorWrapper):
    """Remembers the rewards as they are below the wrappers that are put around it."""

    def __init__(self, env: gym.vector.VectorEnv):
        super().__init__(env)
        self.reward = np.zeros(env.num_envs, np.float32)  # of the last step

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        result = self.env.step(actions)
        # A copy, because a wrapper may change the array in place.
        self.reward = np.array(told(result[4], RAW_REWARD, result[1]), np.float32)
        return result


def reward_below(env: gym.vector.VectorEnv) -> RewardBelow | None:
    """The `RewardBelow` among the wrappers of `env`; None if there is none."""
    while isinstance(env, gym.vector.VectorWrapper):
        if isinstance(env, RewardBelow):
            return env
        env = env.env
    return None
