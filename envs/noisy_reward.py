"""Reward replaced by noise around 1 (system S2: what a max over noisy estimates does)."""

from __future__ import annotations

import gin
import gymnasium as gym
import numpy as np

from envs import errors


@gin.configurable
class NoisyReward(gym.vector.VectorWrapper):
    """Replaces each reward by a draw from N(1, sigma); the original is `info['raw_reward']`.

    `sigma` is a standard deviation. The reset rows of NEXT_STEP autoreset keep reward 0:
    they are no transitions. Seeded together with the environment.
    """

    def __init__(self, env: gym.vector.VectorEnv, sigma: float):
        super().__init__(env)
        if sigma < 0:
            raise errors.EnvError(f'NoisyReward.sigma = {sigma}: a standard deviation is >= 0')
        self._sigma = sigma
        self._rng = np.random.default_rng()
        self._done = np.zeros(env.num_envs, bool)

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._done[:] = False
        return self.env.reset(seed=seed, options=options)

    def step(self, actions):
        observation, reward, terminated, truncated, info = self.env.step(actions)
        noisy = np.where(self._done, 0.0, self._rng.normal(1.0, self._sigma, reward.shape))
        self._done = terminated | truncated
        return observation, noisy, terminated, truncated, {'raw_reward': reward, **info}
