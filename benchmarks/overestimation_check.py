"""Compares the overestimation meter with 1 000 rollouts of the same policy, on CartPole-v1.

    python -m benchmarks.overestimation_check --policy_dir=runs/cartpole/policy

The meter reads --episodes episodes, as in an evaluation. The rollouts use only Gymnasium, last up
to 2 000 steps beyond the time limit, and give two numbers:

    the same number   the meter's: returns cut at the time limit and bootstrapped there
    the whole error   the error of states before the limit, with returns that are not cut

Exits with 1 if the meter differs from the first by more than 3 standard errors of the difference.
The second shows what the time limit hides.
"""

from __future__ import annotations

import math
import sys

import gymnasium as gym
import numpy as np
import tensorflow as tf
from absl import app, flags

from envs.task import Task
from pipelines.loops.evaluation import Evaluator
from pipelines.runs import export

_POLICY_DIR = flags.DEFINE_string('policy_dir', None, 'A CartPole-v1 policy.', required=True)
_EPISODES = flags.DEFINE_integer('episodes', 20, 'Episodes for the meter.', lower_bound=2)
_ROLLOUTS = flags.DEFINE_integer('rollouts', 1_000, 'Rollouts to compare it with.')
_SEED = flags.DEFINE_integer('seed', 0, "Seed of the meter's episodes; not of the rollouts.")

_LIMIT, _MORE = 500, 2_000


def _rollouts(act, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Plays `count` episodes; returns (max_a Q, whether the step was taken), both [T, count].

    Rewards are not needed: CartPole's are 1 for every step.
    """
    env = gym.make_vec(
        'CartPole-v1', count, vectorization_mode='vector_entry_point',
        max_episode_steps=_LIMIT + _MORE,
    )  # fmt: skip
    observation, _ = env.reset(seed=12_345)
    values, alive, going = [], [], np.ones(count, bool)
    while going.any():
        out = act(observation=tf.constant(observation))
        values.append(out['q_values'].numpy().max(axis=1))
        alive.append(going)
        observation, _, terminated, truncated, _ = env.step(out['action'].numpy())
        going = going & ~(terminated | truncated)
    return np.stack(values).astype(np.float64), np.stack(alive)


def _errors(values, alive, gamma: float, cut: bool) -> np.ndarray:
    """Sums value - return over each rollout's states before the limit, and counts them.

    Returns:
      float64 [2, count]: the sums, and the numbers of states.
    """
    following = np.zeros(values.shape[1])
    sums, sizes = np.zeros((2, values.shape[1]))
    for t in reversed(range(len(values))):
        if cut and t == _LIMIT:
            following = np.where(alive[t], values[t], 0.0)
        elif t < _LIMIT or not cut:
            following = np.where(alive[t], 1.0 + gamma * following, 0.0)
        if t < _LIMIT:
            sums += np.where(alive[t], values[t] - following, 0.0)
            sizes += alive[t]
    return np.stack([sums, sizes])


def _mean(errors: np.ndarray) -> tuple[float, float]:
    """Returns (mean over states, its standard error by the jackknife over rollouts)."""
    sums, sizes = errors
    each = (sums.sum() - sums) / (sizes.sum() - sizes)
    n = len(sums)
    return sums.sum() / sizes.sum(), math.sqrt((n - 1) * each.var())


def main(_) -> None:
    """Measures, prints and exits with the verdict."""
    policy = export.LoadedPolicy(_POLICY_DIR.value)
    gamma = policy.card['gamma']
    envs = Task('CartPole-v1').evaluation_envs(_EPISODES.value)
    evaluator = Evaluator(envs, policy, gamma=gamma)
    evaluator(_EPISODES.value, _SEED.value)
    meter = evaluator.overestimation
    assert meter is not None
    print(f'meter, {_EPISODES.value} episodes: {meter.in_words()}')
    act = tf.saved_model.load(_POLICY_DIR.value).signatures['act']
    values, alive = _rollouts(act, _ROLLOUTS.value)
    same, stderr = _mean(_errors(values, alive, gamma, cut=True))
    whole, whole_stderr = _mean(_errors(values, alive, gamma, cut=False))
    print(f'{_ROLLOUTS.value:,} rollouts, the same number: {same:.3f} +- {stderr:.2g}')
    print(f'{_ROLLOUTS.value:,} rollouts, the whole error: {whole:.3f} +- {whole_stderr:.2g}')
    apart = (meter.overestimation - same) / math.hypot(meter.overestimation_stderr, stderr)
    print(f'the meter is {apart:+.1f} standard errors from the same number')
    sys.exit(0 if abs(apart) <= 3 else 1)  # 1 for NaN too


if __name__ == '__main__':
    app.run(main)
