"""An environment that counts the illegal actions it is given, and tempts whoever takes one."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

LENGTH = 10
SEVERAL = (2, 5, 3)  # actions in each dimension


class Guarded(gym.Env):
    """Draws another mask in each state, often one that leaves a single action.

    A step pays the numbers of the actions taken, and 100 for one that is illegal: an agent that may
    take it learns to. Observation: three random numbers. The mask is in `info`.
    """

    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    num_actions = num_illegal = 0  # of all copies, since they were set to 0

    def __init__(self, several: bool = False):
        self._sizes = np.array(SEVERAL if several else (6,))
        self.action_space: Any = gym.spaces.Discrete(6, start=3)  # numbered 3 to 8
        if several:
            self.action_space = gym.spaces.MultiDiscrete(list(SEVERAL), start=[1, 0, -4])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._state()

    def step(self, action):
        index = np.ravel(action - self.action_space.start)
        legal = all(mask[i] for mask, i in zip(self._masks, index, strict=True))
        Guarded.num_actions += 1
        Guarded.num_illegal += not legal
        self._steps += 1
        observation, info = self._state()
        return (
            observation,
            float(index.sum()) if legal else 100.0,
            self._steps == LENGTH,
            False,
            info,
        )

    def _state(self):
        rng = self.np_random
        self._masks = []
        for size in self._sizes:
            mask = rng.random(size) < rng.choice([0.0, 0.5])
            mask[rng.integers(size)] = True
            self._masks.append(mask)
        observation = rng.uniform(-1.0, 1.0, 3).astype(np.float32)
        return observation, {'action_mask': np.concatenate(self._masks).astype(np.int8)}


gym.register('Guarded-v0', 'benchmarks.guarded:Guarded')
gym.register('GuardedSeveral-v0', 'benchmarks.guarded:Guarded', kwargs={'several': True})
