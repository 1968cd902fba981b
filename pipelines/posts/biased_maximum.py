"""The example of a maximum over noisy estimates that is too high, computed.

Three estimates of what a state is worth: 0, and two rewards drawn from N(1, 4), 4 a standard
deviation. No action there is worth more than 1 on average; the mean of the largest of the three
is far above that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import integrate, stats

from pipelines.comparison import html_page

MEAN, DEVIATION = 1.0, 4.0
_NUM_DRAWS = 1_000_000


class Maximum(NamedTuple):
    """The mean of a maximum: by draws, with its standard error, and exactly."""

    drawn: float
    standard_error: float
    exact: float


def with_zero(num_draws: int = _NUM_DRAWS, seed: int = 0) -> Maximum:
    """Of 0 and two rewards."""
    # E[max(0, X, Y)] is the integral of P(max > x) over x > 0.
    exact, _ = integrate.quad(lambda x: 1.0 - stats.norm.cdf(x, MEAN, DEVIATION) ** 2, 0.0, np.inf)
    return _maximum(np.maximum(_largest(num_draws, seed), 0.0), exact)


def without_zero(num_draws: int = _NUM_DRAWS, seed: int = 0) -> Maximum:
    """Of the two rewards alone."""
    return _maximum(_largest(num_draws, seed), MEAN + DEVIATION / np.sqrt(np.pi))


def _largest(num_draws: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(MEAN, DEVIATION, (2, num_draws)).max(axis=0)


def _maximum(largest: np.ndarray, exact: float) -> Maximum:
    error = largest.std(ddof=1) / np.sqrt(len(largest))
    return Maximum(float(largest.mean()), float(error), float(exact))


def section() -> Iterator[str]:
    """The cell of the page."""
    rows = [
        (name, published, f'{found.drawn:.3f} +- {found.standard_error:.3f}', f'{found.exact:.3f}')
        for name, published, found in (
            ('the largest of 0 and two draws from N(1, 4)', '"around 3"', with_zero()),
            ('the larger of the two draws', '', without_zero()),
        )
    ]
    yield "## The post's example of a biased maximum"
    yield (
        'From a state with noisy rewards nothing better than 1 can be had on average, but the mean '
        f'of the largest of three such estimates is well above 3. Here from {_NUM_DRAWS:,} draws, '
        'seeded, with the standard error, and exactly (numerical integration; 1 + 4/sqrt(pi)); 4 '
        'is a standard deviation.'
    )
    yield html_page.table(('mean of', 'published', 'drawn here', 'exactly'), rows)
    yield (
        '```\npython -m benchmarks.maximisation_bias --root_dir=runs/maximisation_bias\n```\n\n'
        'lets Q-learning and double Q-learning play the whole example (4 minutes); its results are '
        'in `docs/results.md#maximisation-bias`.'
    )
