"""What few seeds can show: IQM, intervals, probability of improvement.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
https://arxiv.org/abs/2108.13264, through its authors' package rliable: 95 % intervals are
percentiles of a bootstrap that draws seeds with replacement within each environment
(stratified), independently for each agent. Scores are float arrays [seeds, environments].
Not implemented: resampling of the environments themselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from rliable import library, metrics

MIN_SEEDS = 5  # for a claim: with fewer, a bootstrap interval is far too narrow
_REPS, _CURVE_REPS = 2_000, 500

Statistic = Callable[..., float]  # of one or more arrays [seeds, environments]

mean: Statistic = metrics.aggregate_mean
median: Statistic = metrics.aggregate_median  # over environments, of the mean over seeds


def iqm(scores: np.ndarray) -> float:
    """The interquartile mean: the mean of the middle half of all scores, as rliable defines it.

    Computed here because rliable's version goes through SciPy, which is much slower.
    """
    return float(_middle_half(scores.ravel()).mean())


def _middle_half(scores: np.ndarray) -> np.ndarray:
    """`scores` [N, ...] without the int(N / 4) lowest and highest along the first axis."""
    cut = len(scores) // 4
    return np.sort(scores, axis=0)[cut : len(scores) - cut]


def median_of_seeds(scores: np.ndarray) -> float:
    """The median of all scores; meaningful for a single environment."""
    return float(np.median(scores))


class Estimate(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of 0."""
        return self.low > 0.0 or self.high < 0.0

    def __str__(self) -> str:
        return f'{short(self.value)} [{short(self.low)}, {short(self.high)}]'


def short(number: float) -> str:
    """A score as people read it: one decimal from 10 on, three below."""
    return f'{number:,.1f}' if abs(number) >= 10 else f'{number:.3f}'


def estimate(function: Statistic, *scores: np.ndarray) -> Estimate:
    """`function` of the scores of one or more agents, with its interval."""
    value, interval = _bootstrap(lambda *s: np.array([function(*s)]), scores, _REPS)
    return Estimate(float(value[0]), float(interval[0, 0]), float(interval[1, 0]))


def improvement(scores_x: np.ndarray, scores_y: np.ndarray) -> float:
    """P(X > Y) for a random seed of each, draws counting half, averaged over environments.

    Equals rliable's probability of improvement, which goes through SciPy's Mann-Whitney test
    and is fifty times slower.
    """
    x, y = scores_x[:, np.newaxis], scores_y[np.newaxis]  # [X, 1, E], [1, Y, E]
    return float(np.mean((x > y) + 0.5 * (x == y)))


class Band(NamedTuple):
    """Numbers along an axis, float64 [P], with their 95 % intervals."""

    values: np.ndarray
    low: np.ndarray
    high: np.ndarray


def iqm_curve(returns: np.ndarray) -> Band:
    """The IQM over seeds at each point: `returns` is [seeds, points]."""
    return _band(lambda r: _middle_half(r[:, 0]).mean(axis=0), returns[:, np.newaxis])


def mean_curve(returns: np.ndarray) -> Band:
    """The mean over seeds at each point: `returns` is [seeds, points]."""
    return _band(lambda r: r[:, 0].mean(axis=0), returns[:, np.newaxis])


def profile(scores: np.ndarray, thresholds: np.ndarray) -> Band:
    """The performance profile: the share of runs whose score is above each threshold [T]."""
    return _band(lambda s: np.mean(s[..., np.newaxis] > thresholds, axis=(0, 1)), scores)


def _band(function: Callable[[np.ndarray], np.ndarray], scores: np.ndarray) -> Band:
    values, interval = _bootstrap(function, (scores,), _CURVE_REPS)
    return Band(values, interval[0], interval[1])


def _bootstrap(
    function: Callable[..., np.ndarray], scores: Sequence[np.ndarray], reps: int
) -> tuple[np.ndarray, np.ndarray]:
    """`function` of the scores, [P], and its 95 % interval, [2, P]."""
    with _repeatable():
        values, intervals = library.get_interval_estimates(
            {'': [np.asarray(s, np.float64) for s in scores]}, function, reps=reps
        )
    return values[''], intervals['']


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """Seeds NumPy's global generator: rliable draws from it, whatever it is given."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)
