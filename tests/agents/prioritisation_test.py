"""Proportional prioritisation by hand (Schaul et al. 2016, section 3)."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from agents import errors, schedules
from agents.prioritisation import Prioritisation


def make(env_steps=0, **kwargs):
    return Prioritisation(tf.Variable(env_steps, dtype=tf.int64), **kwargs)


def test_a_priority_is_the_error_s_size_and_a_little():
    priorities = make(min_priority=0.5).priorities(tf.constant([[-2.0, 0.0], [1.0, 3.0]]))
    np.testing.assert_allclose(priorities, [[2.5, 0.5], [1.5, 3.5]])


def test_weights_by_hand():
    # N P = 1/4, 1, 4; to the power -1/2: 2, 1, 1/2; by the largest: 1, 1/2, 1/4.
    weights = make(beta=0.5).weights(
        tf.constant([[0.025, 0.1, 0.4]], tf.float64), tf.constant([[10, 10, 10]])
    )
    np.testing.assert_allclose(weights, [[1.0, 0.5, 0.25]], rtol=1e-6)


def test_each_minibatch_has_its_own_largest_weight():
    probabilities = tf.constant([[0.1, 0.2], [0.4, 0.8]])
    weights = make(beta=1.0).weights(probabilities, tf.constant([[5, 5], [5, 5]]))
    np.testing.assert_allclose(weights, [[1.0, 0.5], [1.0, 0.5]], rtol=1e-6)


@given(
    st.lists(st.floats(0.01, 10.0), min_size=2, max_size=8),
    st.floats(0.0, 2.0),
    st.floats(0.0, 1.0),
)
def test_weighted_sampling_at_beta_1_is_uniform_in_expectation(priorities, alpha, beta):
    """sum_i P(i) w_i f_i is proportional to sum_i f_i: the correction is whole."""
    law = np.array(priorities) ** alpha
    law /= law.sum()
    count = np.full([1, len(law)], len(law))
    whole = make(beta=1.0).weights(tf.constant([law]), tf.constant(count)).numpy()[0]
    np.testing.assert_allclose(law * whole, (law * whole)[0], rtol=1e-4)
    partial = make(beta=beta).weights(tf.constant([law]), tf.constant(count)).numpy()[0]
    assert partial.max() == pytest.approx(1.0) and (partial >= whole - 1e-5).all()


def test_beta_follows_the_env_steps_and_stays_at_1():
    schedule = schedules.LinearSchedule(0.4, 1.0, 100)
    for env_steps, expected in ((0, 0.4), (50, 0.7), (100, 1.0), (500, 1.0)):
        assert float(make(env_steps, beta=schedule).beta()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (dict(alpha=-0.1), 'Prioritisation.alpha = -0.1'),
        (dict(beta=1.5), 'Prioritisation.beta = 1.5'),
        (dict(min_priority=0.0), 'Prioritisation.min_priority = 0.0'),
        (dict(alpha=float('inf')), 'Prioritisation.alpha = inf'),
        (
            dict(beta=schedules.LinearSchedule(1.0, 0.01, 100)),  # epsilon's
            'Prioritisation.beta = a schedule from 1 to 0.01: must be one that does not fall',
        ),
    ],
)
def test_bad_values_are_named(value, message):
    with pytest.raises(errors.ConfigError, match=message):
        make(**value)
