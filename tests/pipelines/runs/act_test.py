"""The signature `act` by itself; exports of whole runs are in observations_test."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import frame_stack_network, policies, q_network, torsos
from pipelines.errors import UserError
from pipelines.runs import act

PARTS = {
    'kind': tensor_spec.BoundedTensorSpec([], tf.int64, 1, 3),
    'reward': tensor_spec.BoundedTensorSpec([2], tf.int8, [-1, 5], [1, 9]),
}
ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 1)
STATE = {name: tf.TensorSpec([2, *spec.shape], spec.dtype) for name, spec in PARTS.items()}


@pytest.fixture(scope='module')
def stacking():
    """A policy on stacks of three."""
    spec = frame_stack_network.stacked_spec(PARTS, 3)
    network = q_network.PlainQNetwork(
        spec, ACTION, q_network.NetworkSettings(torsos.mlp_torso, (4,))
    )
    stacking = frame_stack_network.FrameStackNetwork(PARTS, network)
    stacking.create_variables()
    return policies.GreedyQPolicy(ts.time_step_spec(PARTS), ACTION, stacking)


def test_parts_of_observation_and_state_have_names_of_their_own():
    assert act.parts(3) == {'observation': 3} and act.parts({'a': 3}) == {'a': 3}
    assert act.parts(3, 'state') == {'state': 3} and act.parts({'a': 3}, 'state') == {'state_a': 3}
    arrays = {'action': 1, 'state_a': 2, 'state_b': 3}
    assert act.state_from(arrays, {'a': None, 'b': None}) == {'a': 2, 'b': 3}
    assert arrays == {'action': 1}
    assert act.state_from({'state': 4}, tf.TensorSpec([2])) == 4


@pytest.mark.parametrize('name', ['reset', 'state_kind', 'state_reset'])
def test_a_part_that_would_be_two_inputs_is_refused(name):
    spec = {'kind': PARTS['kind'], name: PARTS['kind']}
    act.check_names(spec, ())
    if name == 'state_reset':  # that is no input, unless there is a part 'reset'
        act.check_names(spec, {'kind': STATE['kind']})
        return
    with pytest.raises(UserError, match=f"a part '{name}'.*frame_stack"):
        act.check_names(spec, {'kind': STATE['kind']})


@pytest.mark.parametrize('name', ['self', '_kind'])
def test_what_tensorflow_cannot_name_is_refused(name):
    with pytest.raises(UserError, match=f"a part '{name}'.*rename the part"):
        act.check_names({name: PARTS['kind']}, ())
    act.check_names(PARTS['kind'], ())  # an observation that is one array has no such names


def test_examples_are_of_the_observations_alone(stacking):
    """Random numbers would be outside the parts' bounds: the state has frames that were seen."""
    signature = act.signature(stacking)
    rng = np.random.default_rng(0)
    seen = {
        'kind': rng.integers(1, 4, 12),
        'reward': rng.integers([-1, 5], [2, 10], (12, 2)).astype(np.int8),
    }
    examples = act.examples(stacking, signature, seen)
    assert examples.keys() == {'kind', 'reward', 'state_kind', 'state_reward', 'reset'}
    assert examples['reset'].tolist() == [True, False, False, False] * 3
    for name, frames in seen.items():
        rows = {tuple(np.ravel(row)) for row in frames}
        state = examples[f'state_{name}']
        assert state.shape == (12, 2, *frames.shape[1:]) and state.dtype == frames.dtype
        assert {tuple(np.ravel(row)) for row in state.reshape(24, -1)} <= rows
    assert (examples['state_reward'][:, 0] != examples['state_reward'][:, 1]).any()
    out = act.call(signature, examples)
    np.testing.assert_array_equal(out['state_kind'][:, 1], seen['kind'])
    np.testing.assert_array_equal(out['state_kind'][0], [seen['kind'][0]] * 2)  # it starts there


def test_a_part_of_another_shape_is_named(stacking):
    signature = act.signature(stacking)
    inputs = {
        'kind': tf.ones([2], tf.int64),
        'reward': tf.ones([2, 3], tf.int8),
        'reset': tf.constant([True, False]),
        'state_kind': tf.ones([2, 2], tf.int64),
        'state_reward': tf.ones([2, 2, 2], tf.int8),
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match=r'reward must be int8 \[B, 2\]'):
        signature(**inputs)
    inputs |= {'reward': tf.ones([2, 2], tf.int8), 'state_reward': tf.ones([2, 3, 2], tf.int8)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=r'state_reward must be int8 \[B, 2'):
        signature(**inputs)
