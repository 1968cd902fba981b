"""Nim against a random player: take one to three stones; who takes the last one wins."""

import gymnasium as gym
import numpy as np


class Nim(gym.Env):
    """Actions are numbers of stones, from 1; no more may be taken than are left."""

    observation_space = gym.spaces.Discrete(22)  # stones left
    action_space = gym.spaces.Discrete(3, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.stones = int(self.np_random.integers(4, 22))
        return self.stones, self._info()

    def step(self, action):
        self.stones -= int(action)
        won = self.stones == 0
        if not won:  # the other player's turn
            self.stones -= int(self.np_random.integers(1, min(3, self.stones) + 1))
        over = self.stones == 0
        return self.stones, 1.0 if won else -1.0 if over else 0.0, over, False, self._info()

    def _info(self):
        return {'action_mask': np.arange(1, 4) <= self.stones}  # all False only at the end
