"""A bandit with one state and a continuous action, whose reward peaks at a target (system S7)."""

from __future__ import annotations

import gymnasium as gym
import numpy as np


class GaussianBandit(gym.Env):
    """Episodes of one step; reward 1 / max(0.05, |action - target|), at most 20.

    Observation: the constant 1, float32 [1]. Action: float32 [1], unbounded.
    """

    metadata = {'render_modes': []}
    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)

    def __init__(self, target: float = 4.0):
        self._target = target

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action):
        reward = 1.0 / max(0.05, abs(float(action[0]) - self._target))
        return np.ones(1, np.float32), reward, True, False, {}
