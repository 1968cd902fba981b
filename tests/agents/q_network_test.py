import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_agents.specs import tensor_spec

from agents import errors, q_network

BOX = tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0)
ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2)
CLASSES = (
    q_network.PlainQNetwork,
    q_network.DuelingQNetwork,
    functools.partial(q_network.C51Network, dueling=True),
    functools.partial(q_network.DuelingQNetwork, noisy=True),
)


def make(cls, observation_spec=BOX, **kwargs):
    network = cls(observation_spec, ACTION, **kwargs)
    network.create_variables()
    return network


def test_dueling_aggregation_by_hand():
    value = tf.constant([[10.0], [-1.0]])
    advantage = tf.constant([[1.0, 2.0, 3.0], [0.0, 0.0, 6.0]])
    np.testing.assert_allclose(
        q_network.dueling_aggregation(value, advantage), [[9, 10, 11], [-3, -3, 3]]
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_museum_2_a_row_does_not_depend_on_the_batch_it_is_in(batch_size, seed):
    network = make(q_network.DuelingQNetwork)
    observations = tf.random.stateless_normal([batch_size, 4], [seed, 0])
    together, _ = network(observations)
    for i in range(batch_size):
        alone, _ = network(observations[i : i + 1])
        np.testing.assert_allclose(together[i : i + 1], alone, rtol=1e-5, atol=1e-6)


def test_the_mean_of_dueling_q_values_is_the_value():
    network = make(q_network.DuelingQNetwork)
    observations = tf.random.normal([5, 4])
    outputs = network.outputs(observations)
    np.testing.assert_array_equal(outputs['q_values'], network(observations)[0])
    np.testing.assert_allclose(
        tf.reduce_mean(outputs['q_values'], axis=1, keepdims=True),
        outputs['value'],
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize('cls', CLASSES)
def test_a_single_integer_is_one_hot(cls):
    """With a linear torso, a one-hot input reads off single rows of the first kernel."""
    spec = tensor_spec.BoundedTensorSpec([], tf.int64, 2, 6)
    network = make(cls, spec)
    first_kernel = network.trainable_variables[0]
    assert first_kernel.shape[0] == 5
    observations = tf.constant([2, 3, 4, 5, 6], tf.int64)
    q_values, _ = network(observations)
    assert q_values.shape == (5, 3)
    assert len(np.unique(q_values.numpy().round(6), axis=0)) == 5


@pytest.mark.parametrize('cls', CLASSES)
def test_bfloat16_computes_with_float32_weights_and_outputs(cls):
    network = make(cls, dtype_policy='mixed_bfloat16')
    assert {v.dtype for v in network.trainable_variables} == {tf.float32}
    twin = network.copy(dtype_policy='float32')
    twin.create_variables()
    for a, b in zip(twin.variables, network.variables, strict=True):
        a.assign(b)
    observations = tf.random.normal([64, 4])
    low, _ = network(observations)
    full, _ = twin(observations)
    assert low.dtype == tf.float32
    difference = np.abs(low - full).max()
    assert 0.0 < difference < 0.1  # rounded, and only that


@pytest.mark.parametrize('cls', CLASSES)
@pytest.mark.parametrize('dtype_policy', ['float32', 'mixed_bfloat16'])
def test_a_copy_for_use_gives_the_very_same_values(cls, dtype_policy):
    network = make(cls, dtype_policy=dtype_policy)
    copy = network.copy_for_use('Copy')
    for a, b in zip(copy.variables, network.variables, strict=True):
        a.assign(tf.cast(b, a.dtype))
    assert copy.variables[0].dtype == (tf.float32 if dtype_policy == 'float32' else tf.bfloat16)
    assert copy.trainable_variables[-1].dtype == tf.float32  # a head
    observations = tf.random.normal([64, 4])
    np.testing.assert_array_equal(copy(observations)[0], network(observations)[0])


@pytest.mark.parametrize('cls', CLASSES)
def test_a_copy_has_the_same_form_and_weights_of_its_own(cls):
    network = make(cls)
    twin = network.copy(name='Twin')
    twin.create_variables()
    assert [v.shape for v in twin.variables] == [v.shape for v in network.variables]
    assert not {id(v) for v in twin.variables} & {id(v) for v in network.variables}


def with_logits(dueling, value_logits, advantage_logits):
    """A network of 3 actions and the atoms 0, 1, 2 with these logits, whatever it sees."""
    network = make(q_network.C51Network, dueling=dueling, v_min=0.0, v_max=2.0, num_atoms=3)
    for weight in network.variables:
        weight.assign(tf.zeros_like(weight))
    network._advantage_stream.layers[-1].bias.assign(np.ravel(advantage_logits))
    if dueling:
        network._value_stream.layers[-1].bias.assign(value_logits)
    return network


def test_categorical_q_values_are_the_means_of_distributions():
    """Half, a quarter, a quarter on the atoms 0, 1, 2 is 0.75 in the mean."""
    probabilities = [[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3], [0.1, 0.1, 0.8]]
    network = with_logits(False, None, np.log(probabilities))
    q_values, _ = network(tf.zeros([2, 4]))
    np.testing.assert_allclose(q_values, [[0.75, 1.0, 1.7]] * 2, rtol=1e-5)
    np.testing.assert_allclose(
        tf.nn.softmax(network.outputs(tf.zeros([1, 4]))['logits'])[0], probabilities, rtol=1e-5
    )


def test_dueling_logits_are_aggregated_atom_by_atom():
    network = with_logits(True, [10, 20, 30], [[1, 0, 0], [2, 0, 3], [3, 0, 0]])
    np.testing.assert_allclose(
        network.outputs(tf.zeros([1, 4]))['logits'], [[[9, 20, 29], [10, 20, 32], [11, 20, 29]]]
    )


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(v_min=1.0, v_max=1.0), 'v_max = 1.0'),
        (dict(v_max=float('inf')), 'v_max = inf'),
        (dict(num_atoms=1), 'num_atoms = 1'),
        (dict(num_atoms=51.0), 'num_atoms = 51.0'),
    ],
)
def test_atoms_that_are_no_support_are_refused(kwargs, message):
    with pytest.raises(errors.ConfigError, match=message):
        make(q_network.C51Network, **kwargs)


def test_continuous_actions_are_refused():
    spec = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)
    with pytest.raises(errors.ConfigError, match='discrete actions'):
        q_network.PlainQNetwork(BOX, spec)
