"""Small environments for tests, named as users name theirs: 'tests.envs.small_envs:Counter'.

Environment processes import this module, so it imports neither TensorFlow nor what does.
"""

import os
import signal
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np

SPACE = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


class TwoArguments(Exception):
    """Cannot be unpickled: it is made from more than it keeps."""

    def __init__(self, what, why):
        super().__init__(what)
        self.why = why


def _raise(error):
    raise error


FAULTS = {
    'raise': lambda: _raise(ValueError('no fuel')),
    'raise what cannot be sent': lambda: _raise(TwoArguments('no fuel', 'spent')),
    'raise an end of file': lambda: _raise(EOFError('no more')),
    'exit': lambda: sys.exit(3),
    'die': lambda: os._exit(7),
    'be killed': lambda: os.kill(os.getpid(), signal.SIGKILL),
    'hang': lambda: time.sleep(600),
}


class Counter(gym.Env):
    """Counts its steps; pays the action; `length` steps to an episode.

    At the first step whose number is `fault_at` it does what `FAULTS` says of `fault`, and at a
    reset or in the constructor where `fault_at` is 'reset' or 'init'. A step and a reset take
    `step_seconds` and `reset_seconds`.
    """

    metadata = {'render_modes': ['rgb_array']}
    observation_space, action_space = SPACE, gym.spaces.Discrete(2)

    def __init__(
        self, length=20, fault=None, fault_at=None, step_seconds=0.0, reset_seconds=0.0,
        render_mode=None,
    ):  # fmt: skip
        self.length, self.fault, self.fault_at = length, fault, fault_at
        self.step_seconds, self.reset_seconds = step_seconds, reset_seconds
        self.render_mode = render_mode
        self._maybe_fail('init')

    def _maybe_fail(self, moment):
        if self.fault is not None and moment == self.fault_at:
            FAULTS[self.fault]()

    def _observation(self):
        drawn = self.np_random.uniform(-1.0, 1.0)
        return np.array([self.count / self.length, drawn], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._maybe_fail('reset')
        time.sleep(self.reset_seconds)
        self.count = 0
        return self._observation(), {'pid': os.getpid()}

    def step(self, action):
        self.count += 1
        self._maybe_fail(self.count)
        if self.step_seconds:
            time.sleep(self.step_seconds)
        over = self.count == self.length
        return self._observation(), float(action), over, False, {'self': lambda: self, 'n': 1}

    def render(self):
        return np.full((16, 24, 3), self.count, np.uint8)


class Doubled(gym.ObservationWrapper):
    """Observations times `factor`."""

    def __init__(self, env, factor=2.0):
        super().__init__(env)
        self.factor = factor
        low, high = env.observation_space.low, env.observation_space.high
        self.observation_space = gym.spaces.Box(low * factor, high * factor, dtype=np.float32)

    def observation(self, observation):
        return observation * np.float32(self.factor)


class RunningMean(gym.ObservationWrapper):
    """As CleanRL and Stable-Baselines3 call what they normalise by."""

    def __init__(self, env):
        super().__init__(env)
        self.obs_rms = 0.0

    def observation(self, observation):
        return observation


def normalised(**kwargs):
    """An environment that a function has wrapped in running statistics."""
    return gym.wrappers.NormalizeObservation(Counter(**kwargs))


def not_an_env():
    """What gym.make refuses."""
    return 3


def not_a_wrapper(env):
    """What `task.wrappers` refuses."""
    return 3


A_NUMBER = 3


class Masked(Counter):
    """Only action 1 is ever legal; any other is an error."""

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, 'action_mask': np.array([0, 1], np.int8)}

    def step(self, action):
        assert action == 1, 'an illegal action'
        observation, reward, terminated, truncated, _ = super().step(action)
        return observation, reward, terminated, truncated, {'action_mask': np.array([0, 1])}


class WithProgram(Counter):
    """Runs a program beside it, as simulators do."""

    def reset(self, *, seed=None, options=None):
        self.program = subprocess.Popen(['sleep', '60'])
        return super().reset(seed=seed, options=options)

    def end_the_program(self):
        self.program.terminate()
        return self.program.wait(timeout=10)


gym.register('SmallCounter-v0', Counter, max_episode_steps=7, kwargs={'length': 5})
