"""A bandit: one constant state, a continuous action, and a reward that peaks at a target."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np


class GaussianBandit(gym.Env):
    """Episodes of one step; the reward is `peak` near the target and falls with the distance.

        reward = peak * width / max(width, |action - target|)

    By default that is 1 / max(0.05, |action - 4|). Observation: the constant 1, float32 [1].
    Action: float32 [1], unbounded.
    """

    metadata = {'render_modes': []}
    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)

    def __init__(self, target: float = 4.0, width: float = 0.05, peak: float = 20.0):
        self._target, self._width, self._peak = target, width, peak

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        distance = abs(float(action[0]) - self._target)
        reward = self._peak * self._width / max(self._width, distance)
        return np.ones(1, np.float32), reward, True, False, {}
