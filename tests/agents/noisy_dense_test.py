"""Noise of the right size when training, and none otherwise."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import ddqn, errors, noisy_dense, q_network, schedules
from tests.agents.fakes import transition

BOX = tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0)
ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2)
OBSERVATIONS = tf.constant([[0.5, -0.1, 0.3, 0.9], [-0.4, 0.2, 0.8, -0.7]])


def make_layer(units=3, **kwargs):
    layer = noisy_dense.NoisyDense(units, **kwargs)
    layer.build([None, 4])
    return layer


def test_a_new_layer_is_as_the_paper_has_it():
    layer = make_layer(units=1_000, sigma0=0.4)
    for mean, sigma in ((layer.kernel, layer.kernel_sigma), (layer.bias, layer.bias_sigma)):
        np.testing.assert_allclose(sigma, np.full(mean.shape, 0.4 / 2))  # four inputs
        assert np.abs(mean).max() <= 0.5
        np.testing.assert_allclose(np.std(mean), 0.5 / math.sqrt(3), rtol=0.1)
    assert not np.allclose(layer.kernel[0], layer.bias)


def test_mean_and_variance_of_the_outputs():
    """y - mean = f(e_out) * (sum_i sigma_i x_i f(e_in_i) + sigma_b), and f(e)^2 = |e|, whose
    mean is m = sqrt(2 / pi): the variance is m * (m * sum_i (sigma_i x_i)^2 + sigma_b^2)."""
    layer = make_layer()
    inputs = OBSERVATIONS[:1]

    @tf.function(autograph=False, jit_compile=True)
    def draw():
        return tf.map_fn(
            lambda _: layer(inputs, training=True)[0],
            tf.range(20_000),
            fn_output_signature=tf.float32,
        )

    outputs = draw().numpy()
    m, sigma = math.sqrt(2 / math.pi), 0.5 / 2
    variance = m * (m * np.sum((sigma * inputs[0]) ** 2) + sigma**2)
    np.testing.assert_allclose(
        outputs.mean(axis=0), layer(inputs)[0], atol=4 * math.sqrt(variance / 20_000)
    )
    np.testing.assert_allclose(outputs.var(axis=0), variance, rtol=0.1)


def test_without_sigma_it_is_a_dense_layer():
    layer = make_layer(sigma0=0.0, activation='relu')
    dense = tf.keras.layers.Dense(3, 'relu')
    dense.build([None, 4])
    dense.kernel.assign(layer.kernel)
    dense.bias.assign(layer.bias)
    for training in (False, True):
        np.testing.assert_allclose(
            layer(OBSERVATIONS, training=training), dense(OBSERVATIONS), rtol=1e-6
        )


def test_every_draw_is_another_and_serves_the_whole_batch():
    layer = make_layer()
    draws = [layer(OBSERVATIONS, training=True) - layer(OBSERVATIONS) for _ in range(3)]
    assert not np.allclose(draws[0], draws[1]) and not np.allclose(draws[1], draws[2])
    twice = layer(tf.concat([OBSERVATIONS, OBSERVATIONS], axis=0), training=True)
    np.testing.assert_allclose(twice[:2], twice[2:], rtol=1e-6)


@pytest.mark.parametrize('jit_compile', [False, True])
def test_noise_follows_the_seed_and_continues_where_it_was(jit_compile):
    """Compiled by XLA too, whose own generator would do neither."""

    def draws(seed, skip, count):
        tf.keras.utils.set_random_seed(seed)
        layer = make_layer()
        layer._draws.assign_add([0, skip])  # what a checkpoint restores
        call = tf.function(
            lambda: layer(OBSERVATIONS, training=True), autograph=False, jit_compile=jit_compile
        )
        return np.array([call() for _ in range(count)])

    whole = draws(seed=1, skip=0, count=4)
    assert len(np.unique(whole.round(6))) == whole.size
    np.testing.assert_allclose(draws(seed=1, skip=2, count=2), whole[2:], rtol=1e-5)
    assert not np.allclose(draws(seed=2, skip=0, count=4), whole)


def test_a_negative_size_of_noise_is_refused():
    with pytest.raises(errors.ConfigError, match='sigma0 = -1.0'):
        make_layer(sigma0=-1.0)


def make_agent(cls=q_network.DuelingQNetwork, **kwargs):
    tf.keras.utils.set_random_seed(0)
    network = cls(BOX, ACTION, q_network.NetworkSettings(hidden_units=(8,), noisy=True))
    agent = ddqn.QLearningAgent(
        ts.time_step_spec(BOX), ACTION, network, schedules.adam(), tf.Variable(0, dtype=tf.int64),
        double=True, epsilon=0.0, **kwargs,
    )  # fmt: skip
    agent.initialize()
    return agent


@pytest.mark.parametrize('target', ['hard', 'soft'])
def test_the_target_network_has_the_weights_but_noise_of_its_own(target):
    agent = make_agent(target=target)
    online, copy = agent.q_network, agent.target_q_network
    np.testing.assert_array_equal(online(OBSERVATIONS)[0], copy(OBSERVATIONS)[0])
    drawn, other = (network(OBSERVATIONS, training=True)[0] for network in (online, copy))
    assert not np.allclose(drawn, other)
    before = copy._value_stream.layers[-1]._draws.numpy()
    agent._copy_to_target()
    np.testing.assert_array_equal(copy._value_stream.layers[-1]._draws, before)


@pytest.mark.parametrize('cls', [q_network.PlainQNetwork, q_network.DuelingQNetwork])
def test_collecting_explores_and_the_greedy_policy_is_deterministic(cls):
    agent = make_agent(cls, target='hard', acts_on_a_copy=True)
    step = ts.restart(tf.tile(OBSERVATIONS, [50, 1]), 100)
    q_values = [agent.collect_policy.q_values(step)[0] for _ in range(2)]
    assert not np.allclose(*q_values)
    greedy = [agent.policy.q_values(step)[0] for _ in range(2)]
    np.testing.assert_array_equal(*greedy)
    np.testing.assert_allclose(agent.policy.outputs(step)[0]['q_values'], greedy[0], rtol=1e-6)


def test_the_size_of_the_noise_is_learnt():
    agent = make_agent(target='hard')
    layer = agent.q_network._advantage_stream.layers[-1]
    before = layer.kernel_sigma.numpy()
    agent.train(transition((0, 2), (1.0, 1.0), (1.0, 1.0), OBSERVATIONS))
    assert not np.allclose(layer.kernel_sigma, before)
