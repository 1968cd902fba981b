"""The overestimation meter compares the returns that a Q-agent expects with those that follow.

It computes the mean of max_a Q(s_t, a) over the states of evaluation episodes and the mean
discounted return that followed each of them under the evaluated policy, random actions included
(van Hasselt, Guez and Silver 2016, figure 3, https://arxiv.org/abs/1509.06461). The rewards are
the environment's, clipped if training clips them, but without
`load_environment.training_wrappers`: the two cannot be compared if a wrapper changes the
expected reward. Nor can they for Munchausen DQN, whose Q includes a bonus.

The return of an episode cut by a time limit is bootstrapped with the policy's own max_a Q at
the cut. This hides the share gamma^k of the error of a state k steps before it; the mean share
is reported as `bootstrapped_share`. (All episodes of a solved CartPole are cut, so they cannot
be left out.) The target network's estimate is compared with the same returns.

States within an episode are correlated, so the standard error is that of a ratio of sums over
episodes (Cochran, Sampling Techniques, section 6.4), not over states.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from tf_agents.trajectories import time_step as ts

COLUMNS = (
    'value_mean',
    'discounted_return_mean',
    'overestimation',
    'overestimation_stderr',
    'target_overestimation',
    'target_overestimation_stderr',
    'bootstrapped_share',
)


class Overestimation(NamedTuple):
    """A reading of the meter; `COLUMNS` are its fields, in order.

    Standard errors are NaN for a single episode; the target's fields are NaN without a target
    network.
    """

    value_mean: float  # of max_a Q(s, a; theta)
    discounted_return_mean: float
    overestimation: float  # value_mean - discounted_return_mean
    overestimation_stderr: float
    target_overestimation: float  # the same for max_a Q(s, a; theta-)
    target_overestimation_stderr: float
    bootstrapped_share: float  # mean of gamma^k; 0 if every episode terminated

    def known(self) -> dict[str, float]:
        """Returns the fields that are not NaN, by name."""
        return {name: x for name, x in self._asdict().items() if not math.isnan(x)}

    def in_words(self) -> str:
        """Returns one line that continues a label such as 'expected'."""
        words = (
            f'{self.value_mean:.2f} per state, received {self.discounted_return_mean:.2f}: '
            f'overestimated by {self.overestimation:.2f}'
        )
        if not math.isnan(self.overestimation_stderr):
            words += f' +- {self.overestimation_stderr:.2g}'
        if self.bootstrapped_share > 0.0005:
            words += (
                f'; bootstrapping at time limits hides {self.bootstrapped_share:.1%} of the error'
            )
        return words


class Meter:
    """Records a rollout in `num_envs` environments, and reads the overestimation from it."""

    def __init__(self, num_envs: int, gamma: float):
        self._gamma = gamma
        self._rows: list[tuple[np.ndarray, ...]] = []
        self._num_envs = num_envs

    def add(self, info: dict[str, np.ndarray], before: ts.TimeStep, after: ts.TimeStep) -> None:
        """Records one vector step.

        Args:
          info: the policy's info at `before`: `value`, float32 [num_envs], max_a Q, and
            optionally `target_value`, the same of the target network.
          before: time step acted on; at LAST, its values bootstrap.
          after: time step that followed, with reward and discount.
        """
        value = info['value']
        target_value = info.get('target_value', np.full_like(value, np.nan))
        self._rows.append((before.step_type, value, target_value, after.reward, after.discount))

    def read(self, num_episodes: np.ndarray) -> Overestimation:
        """Reads the first `num_episodes` (int [num_envs]) whole episodes of each environment."""
        columns = zip(*self._rows, strict=True)
        step_type, value, target_value, reward, discount = map(np.stack, columns)
        value, target_value = value.astype(np.float64), target_value.astype(np.float64)
        is_last = step_type == ts.StepType.LAST  # [T, num_envs]
        returns, shares = np.empty_like(value), np.empty_like(value)
        following, share = value[-1], np.ones(self._num_envs)
        for t in reversed(range(len(value))):
            kept = self._gamma * discount[t]
            following = np.where(is_last[t], value[t], reward[t] + kept * following)
            share = np.where(is_last[t], 1.0, kept * share)
            returns[t], shares[t] = following, share
        episode = np.cumsum(is_last, axis=0) - is_last  # a LAST row is its own episode's
        counts = ~is_last & (episode < num_episodes)
        # One number for each episode of each environment.
        names = (episode * self._num_envs + np.arange(self._num_envs))[counts]
        mean, stderr = _mean_by_episode((value - returns)[counts], names)
        target_mean, target_stderr = _mean_by_episode((target_value - returns)[counts], names)
        return Overestimation(
            value_mean=float(value[counts].mean()),
            discounted_return_mean=float(returns[counts].mean()),
            overestimation=mean,
            overestimation_stderr=stderr,
            target_overestimation=target_mean,
            target_overestimation_stderr=target_stderr,
            bootstrapped_share=float(shares[counts].mean()),
        )


def _mean_by_episode(differences: np.ndarray, episodes: np.ndarray) -> tuple[float, float]:
    """Returns (mean over states, its standard error over episodes)."""
    _, index = np.unique(episodes, return_inverse=True)
    sums, sizes = np.bincount(index, differences), np.bincount(index)
    mean, k = sums.sum() / sizes.sum(), len(sizes)
    if k < 2:
        return float(mean), math.nan
    residuals = sums - mean * sizes
    return float(mean), float(np.sqrt(k / (k - 1) * (residuals**2).sum()) / sizes.sum())
