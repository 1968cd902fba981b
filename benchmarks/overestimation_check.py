"""The overestimation meter against 1 000 rollouts of the same policy, on CartPole-v1.

    python -m benchmarks.overestimation_check --policy_dir=runs/cartpole/policy

The meter reads --episodes episodes as an evaluation does. The rollouts are played with
Gymnasium alone, for 2 000 steps beyond the time limit, and their returns summed here:

    the same number   returns cut at the limit and bootstrapped there, as the meter does
    the whole error   nothing cut, of the states before the limit

Exits 1 where the meter is more than 3 standard errors of the difference from the first.
The second shows what the time limit hides.
"""

from __future__ import annotations

import math
import sys

import gymnasium as gym
import numpy as np
import tensorflow as tf
from absl import app, flags

from envs import suite
from pipelines import export, rollout

_POLICY_DIR = flags.DEFINE_string('policy_dir', None, 'Of a CartPole-v1 policy.', required=True)
_EPISODES = flags.DEFINE_integer('episodes', 20, 'That the meter reads.', lower_bound=2)
_ROLLOUTS = flags.DEFINE_integer('rollouts', 1_000, 'That it is held against.')
_SEED = flags.DEFINE_integer('seed', 0, 'Of the meter; the rollouts have one of their own.')

_LIMIT, _MORE = 500, 2_000


def _rollouts(act, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(max_a Q [T, count], alive [T, count]: the step was taken), of the first episodes.

    CartPole pays 1 for every step.
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
    """Of each rollout: the sum over its states before the limit of value - return, and their
    number; [2, count]."""
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
    """(mean over states, its standard error by the jackknife over rollouts)."""
    sums, sizes = errors
    each = (sums.sum() - sums) / (sizes.sum() - sizes)
    n = len(sums)
    return sums.sum() / sizes.sum(), math.sqrt((n - 1) * each.var())


def main(_) -> None:
    """Measures, prints and judges."""
    policy = export.LoadedPolicy(_POLICY_DIR.value)
    gamma = policy.card['gamma']
    env = suite.load('CartPole-v1', _EPISODES.value)
    evaluator = rollout.Evaluator(env, policy.action, (), gamma=gamma)
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
    sys.exit(0 if abs(apart) <= 3 else 1)  # 1 where it is not a number


if __name__ == '__main__':
    app.run(main)
