"""The one-dimensional linear-quadratic regulator, with its solution.

    x' = a x + b u + w,  w ~ N(0, noise^2)        reward -(q x^2 + r u^2)

For the discounted infinite horizon the best action is u = -K x, and its cost from x is
P x^2 + gamma / (1 - gamma) P noise^2. Put into Bellman's equation, this cost gives (Bertsekas,
Dynamic Programming and Optimal Control, http://www.athenasc.com/dpbook.html)

    P = q + gamma a^2 P - (gamma a b P)^2 / (r + gamma b^2 P)
    K = gamma a b P / (r + gamma b^2 P)

Episodes end by their time limit alone (truncation).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

_A, _B, _Q, _R, _NOISE, _START = 1.0, 1.0, 1.0, 1.0, 0.3, 2.0


class Solution(NamedTuple):
    """The optimum of the discounted infinite-horizon problem."""

    gain: float  # K
    cost_coefficient: float  # P


def solve(gamma: float) -> Solution:
    """The optimum for a discount factor, by iterating the equation of P to its fixed point."""
    p = _Q
    for _ in range(10_000):
        cross = gamma * _A * _B * p
        p = _Q + gamma * _A**2 * p - cross**2 / (_R + gamma * _B**2 * p)
    return Solution(gamma * _A * _B * p / (_R + gamma * _B**2 * p), p)


def expected_cost(gain: float, gamma: float) -> float:
    """Discounted cost of u = -gain x from a random start, without a time limit.

    Raises:
      ValueError: the discounted cost is infinite.
    """
    closed_loop = _A - _B * gain
    if gamma * closed_loop**2 >= 1.0:
        raise ValueError(f'gain {gain} is unstable')
    p = (_Q + _R * gain**2) / (1.0 - gamma * closed_loop**2)
    start = _START**2 / 3.0  # E[x^2] of U(-start, start)
    return p * start + gamma / (1.0 - gamma) * p * _NOISE**2


class LinearQuadratic(gym.Env):
    """Observation x, float32 [1]; action u, float32 [1], unbounded; x starts in [-2, 2]."""

    metadata = {'render_modes': []}
    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._x = self.np_random.uniform(-_START, _START)
        return np.array([self._x], np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        u = float(action[0])
        reward = -(_Q * self._x**2 + _R * u**2)
        self._x = _A * self._x + _B * u + self.np_random.normal(0.0, _NOISE)
        return np.array([self._x], np.float32), reward, False, False, {}
