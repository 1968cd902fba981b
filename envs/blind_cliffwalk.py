"""The Blind Cliffwalk: a reward that random play finds once in 2^n episodes.

Schaul et al. 2016 (https://arxiv.org/abs/1511.05952, figure 1): n states in a row. In each state
one of the two actions leads to the next state and the other ends the episode without a reward;
which is which alternates from state to state, so nothing generalises. The right action in the
last state pays 1 and also ends the episode.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np


def right_actions(n: int) -> np.ndarray:
    """int64 [n]: each state's action that leads to the next one."""
    return np.arange(n) % 2


def solve(n: int, gamma: float) -> np.ndarray:
    """Q*, float64 [n, 2]: gamma^(n - 1 - s) for the right action in s, 0 for the wrong one."""
    q = np.zeros((n, 2))
    q[np.arange(n), right_actions(n)] = gamma ** np.arange(n - 1, -1, -1)
    return q


class BlindCliffwalk(gym.Env):
    """Observation: the state, one-hot, float32 [n]. Action: 0 or 1."""

    metadata = {'render_modes': []}
    action_space = gym.spaces.Discrete(2)

    def __init__(self, n: int = 12):
        self._one_hot, self._right = np.eye(n, dtype=np.float32), right_actions(n)
        self.observation_space = gym.spaces.Box(0.0, 1.0, (n,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._state = 0
        return self._one_hot[0], {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        last = len(self._right) - 1
        right = action == self._right[self._state]
        ends = not right or self._state == last
        reward = float(right and self._state == last)
        self._state = min(self._state + 1, last)
        return self._one_hot[self._state], reward, ends, False, {}
