"""An MDP in which Q-learning's maximum is too large, natively vectorised, with its solution.

           +2            0             0         N(1, noise^2)
    F <---------- E <---------> A <---------> B -------------> C, D
                       left          right

An episode starts in A and ends in C, D or F. From B and E the agent may also go back to A, for
reward 0. Going left is worth gamma * 2. Going right is worth less, because the best that B offers
is to come back and go left (if gamma^2 * 2 > 1). But the larger of two noisy estimates in B looks
better than either is: with noise 4 the larger of two draws has the mean 3.257 instead of 1. After
the example of Sutton and Barto 2018 (http://incompleteideas.net/book/the-book-2nd.html, section
6.7), which has no ways back.

Every state has three actions, so no mask is needed. The surplus actions of A and E repeat a move
without noise (left from A, to F from E): they change no value and give the maximum over A's
actions no second estimate of the noisy side. Which move was made is told by where it led.

    action   0  1  2
    A        E  B  E
    B        A  C  D
    E        A  F  F
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space

A, B, C, D, E, F = range(6)
NEXT_STATE = np.array([[E, B, E], [A, C, D], [C, C, C], [D, D, D], [A, F, F], [F, F, F]])
MEAN_REWARD = np.array([[0, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 0], [0, 2, 2], [0, 0, 0]], float)
IS_NOISY = (NEXT_STATE == C) | (NEXT_STATE == D)
TERMINAL = np.array([False, False, True, True, False, True])
LEFT, RIGHT = 0, 1  # actions of A

# A frozen greedy policy may walk between A and B for ever. With gamma 0.95 a reward after so many
# steps is worth 0.95^100 = 0.006 of itself.
TIME_LIMIT_ENV_STEPS = 100

_ONE_HOT = np.eye(6, dtype=np.float32)
_OBSERVATION_SPACE = gym.spaces.Box(0.0, 1.0, (6,), np.float32)
_ACTION_SPACE: gym.Space = gym.spaces.Discrete(3)


def solve(gamma: float) -> np.ndarray:
    """Q*, float64 [6 states, 3 actions], by value iteration on the mean rewards."""
    q_values = np.zeros(MEAN_REWARD.shape)
    for _ in range(10):  # exact after four: the longest way worth taking is B, A, E, F
        value = np.where(TERMINAL, 0.0, q_values.max(axis=1))
        q_values = np.where(TERMINAL[:, np.newaxis], 0.0, MEAN_REWARD + gamma * value[NEXT_STATE])
    return q_values


def move(
    state: int | np.ndarray, action: int | np.ndarray, noise: float, generator: np.random.Generator
) -> tuple[Any, Any]:
    """One move in each state.

    Args:
      state: an integer, or an integer array.
      action: as `state`, of its shape.
      noise: standard deviation of the rewards for reaching C and D from B.
      generator: draws the rewards.

    Returns:
      The next state and the reward, of the shape of `state`.
    """
    deviation = noise * IS_NOISY[state, action]
    reward = generator.normal(MEAN_REWARD[state, action], deviation)
    return NEXT_STATE[state, action], reward


class MaximisationBias(gym.Env):
    """One environment. Observation: the state, one-hot, float32 [6]. Action: 0, 1 or 2."""

    metadata = {'render_modes': []}
    observation_space = _OBSERVATION_SPACE
    action_space = _ACTION_SPACE

    def __init__(self, noise: float = 4.0):
        self._noise = noise

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._state = A
        return _ONE_HOT[A].copy(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._state, reward = move(self._state, action, self._noise, self.np_random)
        return _ONE_HOT[self._state].copy(), float(reward), bool(TERMINAL[self._state]), False, {}


class MaximisationBiasVector(gym.vector.VectorEnv):
    """`num_envs` copies, stepped by a few array operations, with one generator for all."""

    metadata: dict[str, Any] = {
        'render_modes': [],
        'autoreset_mode': gym.vector.AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = TIME_LIMIT_ENV_STEPS,
        noise: float = 4.0,
    ):
        self.num_envs = num_envs
        self._limit, self._noise = max_episode_steps, noise
        self.single_observation_space, self.single_action_space = _OBSERVATION_SPACE, _ACTION_SPACE
        self.observation_space = batch_space(_OBSERVATION_SPACE, num_envs)
        self.action_space = batch_space(_ACTION_SPACE, num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._state = np.full(self.num_envs, A)
        self._steps = np.zeros(self.num_envs, int)
        self._done = np.zeros(self.num_envs, bool)
        return _ONE_HOT[self._state], {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        starts = self._done
        state, reward = move(self._state, actions, self._noise, self.np_random)
        self._state = np.where(starts, A, state)
        self._steps = np.where(starts, 0, self._steps + 1)
        terminated = TERMINAL[self._state]
        truncated = ~terminated & (self._steps >= self._limit)
        self._done = terminated | truncated
        reward = np.where(starts, 0.0, reward)
        return _ONE_HOT[self._state], reward, terminated, truncated, {}
