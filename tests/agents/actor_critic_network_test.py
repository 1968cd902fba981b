import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import actor_critic_network, errors, policies

BOX = tensor_spec.BoundedTensorSpec([3], tf.float32, -1.0, 1.0)
DISCRETE = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 3)
BOUNDED = tensor_spec.BoundedTensorSpec([2], tf.float32, [-2.0, 0.0], [2.0, 1.0])


def make(action_spec, value_head=True, **kwargs):
    network, distribution = actor_critic_network.make_actor_critic_network(
        BOX, action_spec, value_head, **kwargs
    )
    network.create_variables()
    return network, distribution


def test_two_heads_share_a_torso():
    network, _ = make(DISCRETE, policy_units=(7,), value_units=(5,))
    outputs, state = network(tf.zeros([6, 3]))
    assert outputs['logits'].shape == (6, 4) and outputs['value'].shape == (6,) and state == ()
    shapes = [tuple(v.shape) for v in network.trainable_variables if v.shape.rank == 2]
    assert sorted(shapes) == sorted([(3, 256), (256, 256), (256, 7), (7, 4), (256, 5), (5, 1)])
    assert 'value' not in make(DISCRETE, value_head=False)[0](tf.zeros([6, 3]))[0]


@pytest.mark.parametrize('free_sigma', [False, True])
def test_sigma_starts_at_its_initial_value_and_has_a_floor(free_sigma):
    network, _ = make(BOUNDED, free_sigma=free_sigma, initial_sigma=0.5, min_sigma=0.1)
    outputs, _ = network(tf.zeros([4, 3]))  # zero features: biases alone
    np.testing.assert_allclose(outputs['sigma'], np.full((4, 2), 0.5), rtol=1e-5)
    for variable in network.trainable_variables:
        variable.assign(tf.fill(variable.shape, -30.0))
    sigma = network(tf.ones([4, 3]))[0]['sigma'].numpy()
    np.testing.assert_allclose(sigma, 0.1, rtol=1e-5)
    if free_sigma:  # whatever the state
        assert np.ptp(network(tf.random.normal([50, 3]))[0]['sigma'].numpy(), axis=0).max() == 0


def test_without_weights_and_floor_a_gaussian_starts_as_its_biases_say():
    """Sigma is softplus(0.55) in every state, as in a program whose sigma has that bias."""
    network, _ = make(
        BOUNDED, initial_policy_scale=0.0, initial_sigma=float(np.log1p(np.exp(0.55))), min_sigma=0
    )
    outputs, _ = network(tf.random.normal([50, 3]))
    np.testing.assert_array_equal(outputs['mu'], np.zeros((50, 2)))
    np.testing.assert_allclose(outputs['sigma'], np.full((50, 2), 1.0055), rtol=1e-4)


def test_the_heads_start_as_the_output_initializer_says():
    """Glorot-uniform weights have a bound, which He-normal ones of 256 inputs often exceed."""
    bound = np.sqrt(6 / (256 + 4))
    for initializer, within in (('glorot_uniform', True), ('he_normal', False)):
        network, _ = make(DISCRETE, output_initializer=initializer)
        logits, value = (
            next(v for v in network.trainable_variables if v.shape == [256, width]).numpy()
            for width in (4, 1)
        )
        assert (np.abs(logits).max() < bound) == within
        assert (np.abs(value).max() < np.sqrt(6 / 257)) == within


def test_a_policy_keeps_what_it_drew_before_squashing():
    network, distribution = make(BOUNDED)
    policy = policies.ActorPolicy(
        ts.time_step_spec(BOX), BOUNDED, network, distribution, stochastic=True, keep_sample=True
    )
    step = policy.action(ts.restart(tf.random.normal([5, 3]), 5))
    np.testing.assert_allclose(distribution.action(step.info), step.action)
    assert np.all(np.abs(step.action[:, 0]) <= 2) and np.all(step.action[:, 1] >= 0)
    again = policy.action(ts.restart(tf.random.normal([5, 3]), 5))
    assert not np.allclose(step.action, again.action)


def test_the_greedy_policy_takes_the_mode_and_shows_why():
    network, distribution = make(DISCRETE)
    policy = policies.ActorPolicy(
        ts.time_step_spec(BOX), DISCRETE, network, distribution, stochastic=False
    )
    step = ts.restart(tf.random.normal([5, 3]), 5)
    outputs, _ = policy.outputs(step)
    np.testing.assert_array_equal(policy.action(step).action, outputs['action'])
    np.testing.assert_array_equal(np.argmax(outputs['probabilities'], axis=1), outputs['action'])
    np.testing.assert_allclose(
        tf.reduce_sum(outputs['probabilities'], axis=1), np.ones(5), rtol=1e-5
    )
    assert outputs['value'].shape == (5, 1)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(min_sigma=-0.1), 'min_sigma = -0.1: must be a number, 0 or more'),
        (
            dict(initial_policy_scale=-1.0),
            'initial_policy_scale = -1.0: must be a number, 0 or more',
        ),
        (dict(output_initializer='ones'), "output_initializer = 'ones': must be one of"),
        (dict(min_sigma=2.0), 'less than initial_sigma = 1.0'),
        (dict(policy_units=(0,)), 'policy_units'),
        (dict(value_units=3), 'value_units'),
    ],
)
def test_impossible_networks_are_refused(kwargs, message):
    with pytest.raises(errors.ConfigError, match=message):
        make(BOUNDED, **kwargs)
