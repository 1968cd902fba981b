import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rliable import metrics

from pipelines.comparison import statistics


def column(*scores):
    return np.array(scores, float)[:, np.newaxis]


def test_the_iqm_is_the_mean_of_the_middle_half():
    # 8 seeds: two are cut at each end, (3 + 4 + 5 + 6) / 4
    scores = column(1, 2, 3, 4, 5, 6, 7, 800)
    assert statistics.iqm(scores) == 4.5
    assert statistics.mean(scores) == 103.5
    assert statistics.median_of_seeds(scores) == 4.5
    # 10 seeds: int(2.5) = 2 are cut at each end
    assert statistics.iqm(column(0, 0, 1, 2, 3, 4, 5, 9, 100, 200)) == (1 + 2 + 3 + 4 + 5 + 9) / 6


def test_the_median_over_environments_is_of_means_over_seeds():
    scores = np.array([[0.0, 1.0, 5.0], [2.0, 3.0, 7.0]])  # means 1, 2, 6
    assert statistics.median(scores) == 2.0


def test_the_probability_of_improvement_counts_pairs_and_half_the_draws():
    x, y = column(1, 3), column(2, 3, 0)
    # 1 > 0; 3 > 2, 3 = 3, 3 > 0: 3.5 of 6
    assert statistics.improvement(x, y) == 3.5 / 6
    assert metrics.probability_of_improvement(x, y) == pytest.approx(3.5 / 6)


scores = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.integers(-3, 3)
)


@hypothesis.given(scores)
def test_the_iqm_is_rliables(x):
    assert statistics.iqm(x) == pytest.approx(metrics.aggregate_iqm(x))


@hypothesis.given(scores, st.data())
@hypothesis.settings(deadline=None)
def test_the_probabilities_of_improvement_of_a_pair_sum_to_one_and_are_rliables(x, data):
    shape = (data.draw(st.integers(1, 5)), x.shape[1])
    y = data.draw(hnp.arrays(np.float64, shape, elements=st.integers(-3, 3)))
    forth, back = statistics.improvement(x, y), statistics.improvement(y, x)
    assert forth + back == pytest.approx(1.0)
    assert forth == pytest.approx(metrics.probability_of_improvement(x, y))


def test_an_interval_repeats_and_leaves_numpys_generator_alone():
    scores = column(*np.random.default_rng(3).normal(100, 10, 10))
    np.random.seed(5)
    expected = np.random.uniform()
    np.random.seed(5)
    first, second = (statistics.estimate(statistics.iqm, scores) for _ in range(2))
    assert first == second
    assert np.random.uniform() == expected
    assert scores.min() < first.low < first.value < first.high < scores.max()


def test_an_interval_of_the_mean_is_as_wide_as_theory_says():
    # 1.96 standard errors to each side, for 200 seeds of N(0, 10)
    scores = column(*np.random.default_rng(0).normal(0, 10, 200))
    estimate = statistics.estimate(statistics.mean, scores)
    width = 2 * 1.96 * scores.std() / np.sqrt(200)
    assert estimate.high - estimate.low == pytest.approx(width, rel=0.1)


def test_seeds_are_drawn_within_their_environment():
    """Constant in each environment, however different these are: nothing is uncertain."""
    scores = np.array([[0.0, 100.0]] * 4)
    assert statistics.estimate(statistics.mean, scores) == (50.0, 50.0, 50.0)


def test_an_estimate_says_whether_zero_is_excluded():
    assert statistics.Estimate(1.0, 0.1, 2.0).excludes_zero
    assert statistics.Estimate(-1.0, -2.0, -0.1).excludes_zero
    assert not statistics.Estimate(1.0, -0.1, 2.0).excludes_zero
    assert not statistics.Estimate(0.0, 0.0, 0.0).excludes_zero
    assert str(statistics.Estimate(123.456, -9.87654, 1234.5)) == '123.5 [-9.877, 1,234.5]'


def test_curves_and_profiles_are_pointwise():
    returns = np.array([[0.0, 10.0], [1.0, 20.0], [2.0, 30.0], [9.0, 99.0]])
    band = statistics.iqm_curve(returns)  # one cut at each end
    assert band.values.tolist() == [1.5, 25.0]
    assert (band.low <= band.values).all() and (band.values <= band.high).all()
    band = statistics.mean_curve(returns)
    assert band.values.tolist() == [3.0, 39.75]
    assert (band.low < band.values).all() and (band.values < band.high).all()
    band = statistics.profile(column(1, 2, 3, 4), np.array([0.0, 2.0, 3.5, 4.0]))
    assert band.values.tolist() == [1.0, 0.5, 0.25, 0.0]
    assert band.low[0] == band.high[0] == 1.0
