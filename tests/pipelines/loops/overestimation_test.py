"""The overestimation meter, with numbers worked out by hand."""

import math

import numpy as np
import pytest
from tf_agents.trajectories import time_step as ts

from pipelines.loops.overestimation import Meter

FIRST, MID, LAST = 0, 1, 2


def step(step_type, reward, discount):
    return ts.TimeStep(
        np.array(step_type, np.int32),
        np.array(reward, np.float32),
        np.array(discount, np.float32),
        (),
    )


def play(meter, steps, values, target_values=None):
    """steps: (step_type, reward that led there, discount there) for one environment."""
    steps = [step([k], [r], [d]) for k, r, d in steps]
    for t, value in enumerate(values):
        info = {'value': np.array([value], np.float32)}
        if target_values is not None:
            info['target_value'] = np.array([target_values[t]], np.float32)
        meter.add(info, steps[t], steps[t + 1])


def test_values_are_compared_with_the_returns_that_follow():
    meter = Meter(1, gamma=0.5)
    #  state 0 --1--> state 1 --2--> the end; then the reset
    play(
        meter,
        [(FIRST, 0, 1), (MID, 1, 1), (LAST, 2, 0), (FIRST, 0, 1)],
        values=[3.0, 5.0, 100.0],  # the terminal state's is worth nothing
        target_values=[2.0, 2.0, 100.0],
    )
    found = meter.read(np.array([1]))
    # Returns: 1 + 0.5 * 2 = 2 and 2. Differences: 1 and 3; the target's: 0 and 0.
    assert found.value_mean == 4.0 and found.discounted_return_mean == 2.0
    assert found.overestimation == 2.0 and found.target_overestimation == 0.0
    assert found.bootstrapped_share == 0.0
    assert math.isnan(found.overestimation_stderr)  # one episode tells nothing of the spread
    assert 'overestimation_stderr' not in found.known()


def test_an_episode_cut_by_a_time_limit_is_bootstrapped_and_the_share_reported():
    meter = Meter(1, gamma=0.5)
    play(
        meter,
        [(FIRST, 0, 1), (MID, 1, 1), (LAST, 2, 1), (FIRST, 0, 1)],
        values=[3.0, 5.0, 8.0],
    )
    found = meter.read(np.array([1]))
    # Returns: 2 + 0.5 * 8 = 6, and 1 + 0.5 * 6 = 4.
    assert found.discounted_return_mean == 5.0 and found.overestimation == -1.0
    assert found.bootstrapped_share == pytest.approx((0.25 + 0.5) / 2)
    assert math.isnan(found.target_overestimation)


def test_the_standard_error_is_over_episodes():
    meter = Meter(1, gamma=1.0)
    # Two episodes, of one and of three states, no rewards: the differences are the values.
    play(
        meter,
        [(FIRST, 0, 1), (LAST, 0, 0), (FIRST, 0, 1), (MID, 0, 1), (MID, 0, 1), (LAST, 0, 0)]
        + [(FIRST, 0, 1)],
        values=[2.0, 0.0, 4.0, 4.0, 4.0, 0.0],
    )
    found = meter.read(np.array([2]))
    assert found.overestimation == 3.5
    # Residuals of the sums 2 and 12 from 3.5 a state: -1.5 and 1.5.
    assert found.overestimation_stderr == pytest.approx(math.sqrt(2 * (1.5**2 + 1.5**2)) / 4)


def test_episodes_beyond_the_quota_and_whole_environments_without_one_do_not_count():
    meter = Meter(2, gamma=1.0)
    kinds = [[FIRST, FIRST], [LAST, LAST], [FIRST, FIRST], [LAST, LAST], [FIRST, FIRST]]
    steps = [step(kind, [0, 0], [float(k != LAST) for k in kind]) for kind in kinds]
    for t, values in enumerate([[1.0, 50.0], [0.0, 0.0], [70.0, 90.0], [0.0, 0.0]]):
        meter.add({'value': np.array(values, np.float32)}, steps[t], steps[t + 1])
    assert meter.read(np.array([1, 0])).overestimation == 1.0


def test_the_standard_error_covers_the_truth_as_often_as_it_should():
    """With values wrong by exactly 1 and noisy returns, 95 % of the intervals contain 1."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        meter = Meter(20, gamma=1.0)
        length = rng.integers(1, 10)
        for t in range(length):
            before = step([FIRST if t == 0 else MID] * 20, [0] * 20, [1] * 20)
            ends = t == length - 1
            reward = rng.normal(0.0, 3.0, 20)
            after = step([LAST if ends else MID] * 20, reward, [float(not ends)] * 20)
            meter.add({'value': np.ones(20, np.float32)}, before, after)
        last = step([LAST] * 20, [0] * 20, [0] * 20)
        meter.add({'value': np.zeros(20, np.float32)}, last, step([FIRST] * 20, [0] * 20, [1] * 20))
        found = meter.read(np.ones(20, int))
        covered += abs(found.overestimation - 1.0) < 1.96 * found.overestimation_stderr
    assert 175 <= covered <= 198  # of 200; 20 episodes make it a little less than 95 %
