"""The mean of the maximum: drawn and exact agree, with the numbers that are known."""

import numpy as np
import pytest

from pipelines.posts import biased_maximum
from pipelines.posts.biased_maximum import DEVIATION, MEAN


def test_the_exact_means_are_the_known_ones():
    assert round(biased_maximum.with_zero(10).exact, 2) == 3.52
    assert round(biased_maximum.without_zero(10).exact, 3) == 3.257


@pytest.mark.parametrize('maximum', [biased_maximum.with_zero, biased_maximum.without_zero])
def test_the_draws_agree_with_the_exact_mean_and_repeat(maximum):
    found = maximum(1_000_000)
    assert abs(found.drawn - found.exact) < 4 * found.standard_error < 0.02
    assert maximum(1_000_000) == found


def test_the_exact_mean_is_the_integral_over_both_rewards():
    """By another way: a sum over a grid of both densities."""
    x = np.linspace(MEAN - 8 * DEVIATION, MEAN + 8 * DEVIATION, 2_001)
    density = np.exp(-((x - MEAN) ** 2) / (2 * DEVIATION**2))
    density /= density.sum()
    largest = np.maximum(np.maximum(x[:, np.newaxis], x), 0.0)
    assert density @ largest @ density == pytest.approx(
        biased_maximum.with_zero(10).exact, abs=1e-3
    )


def test_the_section_has_the_published_number_beside_the_exact_one():
    text = '\n\n'.join(biased_maximum.section())
    assert '| "around 3" |' in text and '| 3.520 |' in text and '| 3.257 |' in text
