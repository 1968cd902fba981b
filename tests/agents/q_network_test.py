import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_agents.specs import tensor_spec

from agents import categorical_q, errors, q_network, torsos

BOX = tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0)
ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2)
CLASSES = {
    'plain': q_network.PlainQNetwork,
    'dueling': q_network.DuelingQNetwork,
    'c51': functools.partial(categorical_q.C51Network, dueling=True),
    'noisy': q_network.DuelingQNetwork,
}


@functools.cache
def make(kind, observation_spec=BOX, dtype_policy='float32'):
    """A network with variables; shared by the tests, none of which assigns to it."""
    settings_ = q_network.NetworkSettings(
        hidden_units=() if kind == 'plain' else (64,),
        dtype_policy=dtype_policy,
        noisy=kind == 'noisy',
    )
    network = CLASSES[kind](observation_spec, ACTION, settings_)
    network.create_variables()
    return network


def test_dueling_aggregation_by_hand():
    value = tf.constant([[10.0], [-1.0]])
    advantage = tf.constant([[1.0, 2.0, 3.0], [0.0, 0.0, 6.0]])
    np.testing.assert_allclose(
        q_network.dueling_aggregation(value, advantage), [[9, 10, 11], [-3, -3, 3]]
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_a_row_does_not_depend_on_the_batch_it_is_in(batch_size, seed):
    network = make('dueling')
    observations = tf.random.stateless_normal([batch_size, 4], [seed, 0])
    together, _ = network(observations)
    alone = [network(observations[i : i + 1])[0][0] for i in range(batch_size)]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_the_mean_of_dueling_q_values_is_the_value():
    network = make('dueling')
    observations = tf.random.normal([5, 4])
    outputs, state = network.outputs(observations)
    assert state == ()
    np.testing.assert_array_equal(outputs['q_values'], network(observations)[0])
    np.testing.assert_allclose(
        tf.reduce_mean(outputs['q_values'], axis=1, keepdims=True),
        outputs['value'],
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize('kind', CLASSES)
def test_a_single_integer_is_one_hot(kind):
    """With a linear torso, a one-hot input reads off single rows of the first kernel."""
    spec = tensor_spec.BoundedTensorSpec([], tf.int64, 2, 6)
    network = make(kind, spec)
    first_kernel = network.trainable_variables[0]
    assert first_kernel.shape[0] == 5
    observations = tf.constant([2, 3, 4, 5, 6], tf.int64)
    q_values, _ = network(observations)
    assert q_values.shape == (5, 3)
    assert len(np.unique(q_values.numpy().round(6), axis=0)) == 5


@pytest.mark.parametrize('kind', CLASSES)
def test_bfloat16_computes_with_float32_weights_and_outputs(kind):
    tf.keras.utils.set_random_seed(0)
    network = make(kind, dtype_policy='mixed_bfloat16')
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


@pytest.mark.parametrize('kind', CLASSES)
@pytest.mark.parametrize('dtype_policy', ['float32', 'mixed_bfloat16'])
def test_a_copy_for_use_gives_the_very_same_values(kind, dtype_policy):
    network = make(kind, dtype_policy=dtype_policy)
    copy = network.copy_for_use('Copy')
    for a, b in zip(copy.variables, network.variables, strict=True):
        a.assign(tf.cast(b, a.dtype))
    assert copy.variables[0].dtype == (tf.float32 if dtype_policy == 'float32' else tf.bfloat16)
    assert copy.trainable_variables[-1].dtype == tf.float32  # a head
    observations = tf.random.normal([64, 4])
    np.testing.assert_array_equal(copy(observations)[0], network(observations)[0])


@pytest.mark.parametrize('kind', CLASSES)
def test_a_copy_has_the_same_form_and_weights_of_its_own(kind):
    network = make(kind)
    twin = network.copy(name='Twin')
    twin.create_variables()
    assert [v.shape for v in twin.variables] == [v.shape for v in network.variables]
    assert not {id(v) for v in twin.variables} & {id(v) for v in network.variables}
    assert twin.name == 'Twin' and twin.dtype_policy_name == network.dtype_policy_name


def test_continuous_actions_are_refused():
    spec = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)
    with pytest.raises(errors.ConfigError, match='discrete actions'):
        q_network.PlainQNetwork(BOX, spec)


@pytest.mark.parametrize('dueling', [False, True])
def test_the_outputs_start_as_the_output_initializer_says(dueling):
    """Glorot-uniform weights have a bound, which He-normal ones of 256 inputs often exceed."""
    for initializer, within in (('glorot_uniform', True), ('he_normal', False)):
        network = q_network.make_q_network(
            BOX, ACTION, dueling=dueling, stream_units=(256,), output_initializer=initializer
        )
        network.create_variables()
        outputs = [v for v in network.trainable_variables if v.shape[0] == 256 > v.shape[-1]]
        outputs = [v.numpy() for v in outputs if v.shape.rank == 2]
        assert len(outputs) == (2 if dueling else 1)
        for kernel in outputs:
            assert (np.abs(kernel).max() < np.sqrt(6 / sum(kernel.shape))) == within
    with pytest.raises(errors.ConfigError, match="make_q_network.output_initializer = 'ones'"):
        q_network.make_q_network(BOX, ACTION, dueling=dueling, output_initializer='ones')


@pytest.mark.parametrize(('dueling', 'units'), [(False, [(3,)]), (True, [(5, 1), (5, 3)])])
def test_the_units_are_those_of_the_streams_or_of_the_single_head(dueling, units):
    """The kernels behind a torso without layers, whose features are the four observations."""
    network = q_network.make_q_network(
        BOX,
        ACTION,
        dueling=dueling,
        torso=functools.partial(torsos.mlp_torso, units=()),
        stream_units=(5,),
    )
    network.create_variables()
    kernels = [v.shape.as_list() for v in network.variables if v.shape.rank == 2]
    expected = [[before, after] for widths in units for before, after in zip((4, *widths), widths)]
    assert kernels == expected
