import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from agents import errors, schedules


def test_linear_by_hand():
    schedule = schedules.LinearSchedule(1.0, 0.2, decay_steps=100, delay_steps=50)
    values = [float(schedule(step)) for step in (0, 50, 75, 100, 150, 1000)]
    np.testing.assert_allclose(values, [1.0, 1.0, 0.8, 0.6, 0.2, 0.2], rtol=1e-6)


@given(st.floats(0.1, 1.0), st.floats(0.0, 0.1), st.integers(1, 2000), st.integers(0, 2000))
def test_a_linear_schedule_never_jumps(initial, final, decay_steps, delay_steps):
    """Whatever the delay, one step changes it by no more than the line's slope."""
    schedule = schedules.LinearSchedule(initial, final, decay_steps, delay_steps)
    slope = (initial - final) / decay_steps
    end = delay_steps + decay_steps
    for step in {0, max(0, delay_steps - 1), delay_steps, end - 1, end, end + 1}:
        change = float(schedule(step)) - float(schedule(step + 1))
        assert -1e-6 <= change <= slope + 1e-6
    np.testing.assert_allclose(float(schedule(end)), final, atol=1e-7)


def test_a_jumping_line_by_hand():
    """Numbers of a program that has it: epsilon is 0.069 at step 4,999, and 0.01 at step 5,000."""
    schedule = schedules.JumpingLinearSchedule(1.0, 0.01, span_steps=5_000, delay_steps=300)
    values = [float(schedule(step)) for step in (0, 300, 2_800, 4_999, 5_000, 10**6)]
    before_the_jump = 1.0 - 4_699 / 5_000 * 0.99
    np.testing.assert_allclose(values, [1.0, 1.0, 0.505, before_the_jump, 0.01, 0.01], rtol=1e-5)
    assert 0.069 < before_the_jump < 0.07
    beta = schedules.JumpingLinearSchedule(0.4, 1.0, span_steps=500_000, delay_steps=50_000)
    np.testing.assert_allclose(
        [float(beta(tf.constant(step, tf.int64))) for step in (0, 300_000, 499_999, 500_000)],
        [0.4, 0.7, 0.94, 1.0],
        rtol=1e-5,
    )


def test_exponential_by_hand():
    schedule = schedules.ExponentialSchedule(1.0, 0.01, rate_per_step=5e-4)
    np.testing.assert_allclose(
        [float(schedule(step)) for step in (0, 2000, 10**6)],
        [1.0, 0.01 + 0.99 * np.exp(-1.0), 0.01],
        rtol=1e-5,
    )


def test_impossible_schedules_are_refused():
    with pytest.raises(errors.ConfigError, match='decay_steps = 0'):
        schedules.LinearSchedule(1.0, 0.0, decay_steps=0)
    with pytest.raises(errors.ConfigError, match='delay_steps = 5, span_steps = 5'):
        schedules.JumpingLinearSchedule(1.0, 0.0, span_steps=5, delay_steps=5)
    with pytest.raises(errors.ConfigError, match='rate_per_step = -1'):
        schedules.ExponentialSchedule(1.0, 0.0, rate_per_step=-1)
    with pytest.raises(errors.ConfigError, match='learning_rate = 0'):
        schedules.adam(0.0)
