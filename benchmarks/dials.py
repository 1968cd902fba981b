"""Six dials, each turned by one of seven actions: 117,649 joint actions, and a known optimum.

    python -m pipelines.train_ddqn --root_dir=runs/dials --gin_file=benchmarks/dials.gin
    python -m benchmarks.dials --policy_dir=runs/dials/policy

The second command plays 500 episodes and compares what they pay with what they could. Exits with
1 if the share is less than 0.98.
"""

from __future__ import annotations

import sys

import gymnasium as gym
import numpy as np
from absl import app, flags

_NUM_DIALS, _NUM_PLACES, _FURTHEST_TURN, LENGTH = 6, 7, 3, 8
_NUM_EPISODES = 500


class Dials(gym.Env):
    """Dials with 7 places, each of which is to be turned to a place of its own.

    Observation: how many places each has to go, -6 to 6, as a row of 13 numbers of which one is 1.
    Action: a number from 0 to 6 for each, which turns it by -3 to 3 places. A step pays the mean
    of 1 / (1 + places left to go), so 1 if all dials are right; episodes are cut after `LENGTH`
    steps.
    """

    observation_space = gym.spaces.Box(0.0, 1.0, (_NUM_DIALS, 2 * _NUM_PLACES - 1))
    action_space = gym.spaces.MultiDiscrete([2 * _FURTHEST_TURN + 1] * _NUM_DIALS)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._places, self._goals = self.np_random.integers(_NUM_PLACES, size=(2, _NUM_DIALS))
        return self._observation(), {}

    def step(self, action):
        self._places = np.clip(self._places + action - _FURTHEST_TURN, 0, _NUM_PLACES - 1)
        reward = float(np.mean(1.0 / (1.0 + np.abs(self._goals - self._places))))
        return self._observation(), reward, False, False, {}

    def _observation(self):
        left = self._goals - self._places
        return np.eye(2 * _NUM_PLACES - 1, dtype=np.float32)[left + _NUM_PLACES - 1]


gym.register('Dials-v0', 'benchmarks.dials:Dials', max_episode_steps=LENGTH)


def optimum(first: np.ndarray) -> np.ndarray:
    """The largest returns [N] of episodes that begin with the observations float [N, 6, 13].

    A dial that has k places to go has max(0, k - 3 t) to go after t steps.
    """
    places = np.abs(np.argmax(first, axis=-1) - (_NUM_PLACES - 1))  # [N, 6]
    gone = _FURTHEST_TURN * np.arange(1, LENGTH + 1)
    left = np.maximum(places[..., np.newaxis] - gone, 0)  # [N, 6, LENGTH]
    return np.sum(np.mean(1.0 / (1.0 + left), axis=1), axis=1)


def main(argv: list[str]) -> None:
    """Prints the share of the optimum that a policy reaches."""
    del argv
    from envs.task import Task
    from pipelines.loops.evaluation import Evaluator
    from pipelines.runs.export import LoadedPolicy

    envs = Task('Dials-v0').evaluation_envs(_NUM_EPISODES)
    best = optimum(envs.reset(seed=_SEED.value).observation)
    returns = Evaluator(envs, LoadedPolicy(_POLICY_DIR.value))(_NUM_EPISODES, _SEED.value)
    share = returns.mean() / best.mean()
    print(f'mean return {returns.mean():.4f} of {best.mean():.4f}: {share:.4f} of the optimum')
    sys.exit(int(share < 0.98))


if __name__ == '__main__':
    _POLICY_DIR = flags.DEFINE_string('policy_dir', 'runs/dials/policy', 'An exported policy.')
    _SEED = flags.DEFINE_integer('seed', 1_000, 'Of the first episode.')
    app.run(main)
