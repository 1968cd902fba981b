"""The Blind Cliffwalk: a reward that random play finds once in 2^n episodes.

Schaul, Quan, Antonoglou and Silver 2016, figure 1: n states in a row; in each one of the two
actions leads on (which one alternates from state to state, so that nothing generalises)
and the other ends the episode with nothing; the right action in the last state pays 1 and
ends it too.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np


def right_actions(n: int) -> np.ndarray:
    """int64 [n]: the action that leads on from each state."""
    return np.arange(n) % 2


def solve(n: int, gamma: float) -> np.ndarray:
    """Q* [n, 2]: gamma^(n - 1 - s) for the right action, 0 for the wrong one."""
    q = np.zeros((n, 2))
    q[np.arange(n), right_actions(n)] = gamma ** np.arange(n - 1, -1, -1)
    return q


class BlindCliffwalk(gym.Env):
    """Observation: the state, one-hot, float32 [n]; two actions."""

    metadata = {'render_modes': []}
    action_space = gym.spaces.Discrete(2)

    def __init__(self, n: int = 12):
        self._one_hot, self._right = np.eye(n, dtype=np.float32), right_actions(n)
        self.observation_space = gym.spaces.Box(0.0, 1.0, (n,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._state = 0
        return self._one_hot[0], {}

    def step(self, action):
        last = len(self._right) - 1
        right = action == self._right[self._state]
        ends = not right or self._state == last
        reward = float(right and self._state == last)
        self._state = min(self._state + 1, last)
        return self._one_hot[self._state], reward, ends, False, {}
