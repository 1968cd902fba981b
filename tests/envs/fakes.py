"""Environments that give what a test says."""

import contextlib

import gymnasium as gym
import numpy as np

UNIT = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)


class Scripted(gym.Env):
    """Gives `observe(t)` and `reward(t)` at step t of an episode, 0 being its reset.

    Where `at` maps a step to a function, that step returns what the function does. `Scripted.last`
    is the newest one.
    """

    metadata = {'render_modes': ['rgb_array']}

    def __init__(
        self, observe=lambda t: np.full(3, t / 10, np.float32), space=UNIT, reward=float, at=None,
        length=5, actions=None, info=None, render_mode=None,
    ):  # fmt: skip
        self.observation_space, self._observe, self._reward = space, observe, reward
        self.action_space = actions or gym.spaces.Discrete(2)
        self._at, self._length, self._info = at or {}, length, info or (lambda t: {})
        self.actions, self.render_mode = [], render_mode
        Scripted.last = self

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._at[0]() if 0 in self._at else (self._observe(0), self._info(0))

    def step(self, action):
        self.t += 1
        self.actions.append(np.array(action))
        if self.t in self._at:
            return self._at[self.t]()
        over = self.t == self._length
        return self._observe(self.t), self._reward(self.t), over, False, self._info(self.t)


@contextlib.contextmanager
def registered(make, **kwargs):
    """Registers `make` under the id that it yields."""
    gym.register('Scripted-v0', make, kwargs=kwargs, max_episode_steps=50)
    try:
        yield 'Scripted-v0'
    finally:
        del gym.registry['Scripted-v0']
