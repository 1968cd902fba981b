import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tf_agents.specs import tensor_spec

from agents import action_distribution, errors

DISCRETE = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2)
BOUNDED = tensor_spec.BoundedTensorSpec([2], tf.float32, [-2.0, 0.0], [2.0, 1.0])
UNBOUNDED = tensor_spec.BoundedTensorSpec([1], tf.float32, -np.inf, np.inf)


def gaussian_outputs(mu, sigma, size):
    return {
        'mu': tf.fill([size, len(mu)], 0.0) + mu,
        'sigma': tf.fill([size, len(mu)], 0.0) + sigma,
    }


def test_categorical_by_hand():
    distribution = action_distribution.make('auto', DISCRETE)
    outputs = {'logits': tf.math.log([[0.2, 0.5, 0.3]])}
    np.testing.assert_allclose(
        distribution.log_prob(outputs, tf.constant([2], tf.int64)), [np.log(0.3)], rtol=1e-6
    )
    np.testing.assert_allclose(
        distribution.entropy(outputs), [-sum(p * np.log(p) for p in (0.2, 0.5, 0.3))], rtol=1e-6
    )
    assert distribution.mode(outputs).numpy() == [1]
    np.testing.assert_allclose(distribution.explain(outputs)['probabilities'], [[0.2, 0.5, 0.3]])
    many = {'logits': tf.repeat(outputs['logits'], 20_000, axis=0)}
    shares = np.bincount(distribution.sample(many).numpy(), minlength=3) / 20_000
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.3], atol=4 * np.sqrt(0.25 / 20_000))


def test_several_actions_are_independent():
    """Log-probabilities and entropies are sums; padding after the smaller one is never drawn."""
    spec = tensor_spec.BoundedTensorSpec([2], tf.int64, [1, 0], [2, 2])
    distribution = action_distribution.make('auto', spec)
    first, second = [0.25, 0.75], [0.2, 0.5, 0.3]
    logits = distribution.actions.by_dimension(tf.math.log([first + second]), -1e9)
    outputs = {'logits': logits}
    sample = tf.constant([[1, 2]], tf.int64)
    np.testing.assert_allclose(
        distribution.log_prob(outputs, sample), [np.log(0.75 * 0.3)], rtol=1e-6
    )
    entropy = -sum(p * np.log(p) for p in first + second)
    np.testing.assert_allclose(distribution.entropy(outputs), [entropy], rtol=1e-6)
    np.testing.assert_array_equal(distribution.action(distribution.mode(outputs)), [[2, 1]])
    many = distribution.sample({'logits': tf.repeat(logits, 20_000, axis=0)}).numpy()
    assert many.shape == (20_000, 2)
    for column, expected in zip(many.T, ([0.25, 0.75, 0.0], [0.2, 0.5, 0.3])):
        shares = np.bincount(column, minlength=3) / 20_000
        np.testing.assert_allclose(shares, expected, atol=4 * np.sqrt(0.25 / 20_000))
    shown = distribution.explain(outputs)['probabilities']
    np.testing.assert_allclose(shown, [[[0.25, 0.75, 0.0], second]], atol=1e-7)


def test_gaussian_by_hand():
    distribution = action_distribution.make('auto', UNBOUNDED)
    assert type(distribution) is action_distribution.Gaussian
    outputs = gaussian_outputs([1.0], [2.0], 1)
    np.testing.assert_allclose(
        distribution.log_prob(outputs, tf.constant([[2.5]])), [stats.norm(1, 2).logpdf(2.5)]
    )
    np.testing.assert_allclose(distribution.entropy(outputs), [stats.norm(1, 2).entropy()])
    draws = distribution.sample(gaussian_outputs([1.0], [2.0], 20_000)).numpy()
    assert draws.shape == (20_000, 1)
    assert stats.kstest(draws[:, 0], stats.norm(1, 2).cdf).pvalue > 1e-4


def test_a_squashed_density_integrates_to_one_and_stays_within_its_bounds():
    """The density over a fine grid of actions."""
    spec = tensor_spec.BoundedTensorSpec([1], tf.float32, -3.0, 1.0)
    distribution = action_distribution.make('squashed_gaussian', spec)
    actions = np.linspace(-3, 1, 200_001)[1:-1]
    samples = np.arctanh((actions + 1) / 2)[:, None].astype(np.float32)
    outputs = gaussian_outputs([0.4], [0.7], len(samples))
    density = np.exp(distribution.log_prob(outputs, tf.constant(samples)))
    np.testing.assert_allclose(density.sum() * (actions[1] - actions[0]), 1.0, atol=1e-3)
    np.testing.assert_allclose(distribution.action(samples)[:, 0], actions, atol=1e-4)
    extreme = distribution.action(tf.constant([[-1e6], [1e6]]))
    np.testing.assert_allclose(extreme, [[-3], [1]])
    far = tf.constant([[-30.0], [30.0]])
    assert np.isfinite(distribution.log_prob(gaussian_outputs([0.4], [0.7], 2), far)).all()


def test_the_entropy_of_a_squashed_gaussian_is_right_on_average():
    distribution = action_distribution.make('auto', BOUNDED)
    assert type(distribution) is action_distribution.SquashedGaussian
    outputs = gaussian_outputs([0.3, -0.5], [0.5, 0.8], 50_000)
    by_estimate = distribution.entropy(outputs).numpy()
    by_density = -distribution.log_prob(outputs, distribution.sample(outputs)).numpy()
    error = np.sqrt(by_estimate.var() / 50_000 + by_density.var() / 50_000)
    assert abs(by_estimate.mean() - by_density.mean()) < 4 * error


@pytest.mark.parametrize(
    ('kind', 'spec', 'message'),
    [
        ('softmax', DISCRETE, 'must be one of'),
        ('gaussian', DISCRETE, 'actions are discrete'),
        ('squashed_gaussian', DISCRETE, 'actions are discrete'),
        ('categorical', BOUNDED, 'actions are continuous'),
        ('squashed_gaussian', UNBOUNDED, 'no bounds'),
    ],
)
def test_what_does_not_fit_is_refused(kind, spec, message):
    with pytest.raises(errors.ConfigError, match=message):
        action_distribution.make(kind, spec)
