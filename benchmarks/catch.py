"""Catch: a game of 10x10 pixels whose best return is known.

python -m pipelines.train_ddqn --root_dir=runs/catch --gin_file=benchmarks/catch.gin
python -m pipelines.evaluate --policy_dir=runs/catch/policy --episodes=500
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np

SIZE, NUM_BALLS = 10, 5


class Catch(gym.Env):
    """A ball falls, a pixel at a time, and the paddle below moves left, not at all, or right.

    Observation: uint8 [10, 10, 2], 255 where the ball is (channel 0) and the paddle (channel 1).
    A ball appears in the top row when the one before has reached the bottom row, and pays 1 if it
    lands on the paddle. An episode is cut after `NUM_BALLS` balls. A ball falls for nine steps, and
    the paddle, wherever it is, reaches every column in nine: the best return is `NUM_BALLS`.
    Standing still pays a tenth of that.
    """

    observation_space = gym.spaces.Box(0, 255, (SIZE, SIZE, 2), np.uint8)
    action_space = gym.spaces.Discrete(3)
    metadata = {'render_modes': ['rgb_array'], 'render_fps': 10}

    def __init__(self, render_mode: str | None = None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._paddle, self._landed = int(self.np_random.integers(SIZE)), 0
        self._drop()
        return self._picture(), {}

    def step(self, action):
        self._paddle = int(np.clip(self._paddle + action - 1, 0, SIZE - 1))
        self._row += 1
        if self._row < SIZE - 1:
            return self._picture(), 0.0, False, False, {}
        reward = float(self._column == self._paddle)
        self._landed += 1
        self._drop()
        return self._picture(), reward, False, self._landed == NUM_BALLS, {}

    def _drop(self):
        self._row, self._column = 0, int(self.np_random.integers(SIZE))

    def _picture(self):
        picture = np.zeros((SIZE, SIZE, 2), np.uint8)
        picture[self._row, self._column, 0] = 255
        picture[SIZE - 1, self._paddle, 1] = 255
        return picture

    def render(self):
        picture = np.pad(self._picture(), [(0, 0), (0, 0), (0, 1)])
        return np.kron(picture, np.ones((16, 16, 1), np.uint8))
