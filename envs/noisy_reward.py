"""Rewards replaced by noise around 1, in which a maximum over estimates is too large.

It shows the overestimation of Q-learning on CartPole, whose rewards are all 1, and what double
Q-learning does about it (van Hasselt et al. 2016, https://arxiv.org/abs/1509.06461).
"""

from __future__ import annotations

from typing import Any

import gin
import gymnasium as gym
import numpy as np

from agents.ranges import NotNegative, checked
from envs import errors, infos


@gin.configurable
@checked(errors.EnvError)
class NoisyReward(gym.vector.VectorWrapper):
    """Replaces each reward by a draw from N(1, sigma); the original is `info[infos.RAW_REWARD]`.

    Steps that only start an episode keep the reward 0. A seeded `reset` seeds the noise too.

    Raises:
      EnvError: sigma is negative.
    """

    def __init__(self, env: gym.vector.VectorEnv, sigma: NotNegative):
        """Wraps `env`, which uses NEXT_STEP autoreset; `sigma` is a standard deviation, >= 0."""
        super().__init__(env)
        self._sigma = sigma
        self._rng = np.random.default_rng()
        self._done = np.zeros(env.num_envs, bool)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._done[:] = False
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(actions)
        noisy = np.where(self._done, 0.0, self._rng.normal(1.0, self._sigma, reward.shape))
        self._done = terminated | truncated
        return observation, noisy, terminated, truncated, {infos.RAW_REWARD: reward, **info}
