"""Names of weights: the same in every process, whatever was built before."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import frame_stack_network, noisy_dense, policies, q_network, raw_screen_policy, torsos
from agents.q_network import NetworkSettings
from pipelines.runs import weights
from tests.pipelines.runs.fakes import exported_weights

OBSERVATION = tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0)
ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 1)
DUELING = [
    'advantage_stream/0/bias', 'advantage_stream/0/kernel',
    'advantage_stream/1/bias', 'advantage_stream/1/kernel',
    'torso/0/bias', 'torso/0/kernel',
    'value_stream/0/bias', 'value_stream/0/kernel',
    'value_stream/1/bias', 'value_stream/1/kernel',
]  # fmt: skip


def one_layer(observation_spec, dtype_policy):
    return torsos.mlp_torso(observation_spec, dtype_policy, units=(16,))


def policy(network_class=q_network.DuelingQNetwork, observation_spec=OBSERVATION, **settings):
    settings = {'torso': one_layer, 'hidden_units': (8,)} | settings
    network = network_class(observation_spec, ACTION, NetworkSettings(**settings))
    network.create_variables()
    return policies.GreedyQPolicy(ts.time_step_spec(observation_spec), ACTION, network)


def test_a_name_is_the_way_through_the_networks_parts():
    acting = policy()
    assert sorted(weights.names(acting)) == DUELING
    by_name = dict(zip(weights.names(acting), acting.variables()))
    assert by_name['torso/0/kernel'].shape == [4, 16]
    assert by_name['value_stream/1/kernel'].shape == [8, 1]
    assert by_name['advantage_stream/1/kernel'].shape == [8, 2]
    assert weights.described(acting)[weights.names(acting).index('torso/0/kernel')] == {
        'name': 'torso/0/kernel',
        'shape': [4, 16],
    }


def test_names_do_not_depend_on_what_was_built_before():
    before = weights.names(policy())
    for _ in range(3):
        policy(noisy=True)
    assert weights.names(policy()) == before
    other = subprocess.run(  # a process that has built nothing else
        [sys.executable, '-c', f'import {__name__} as t; t.print_names()'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(other.stdout.splitlines()[-1]) == before


def print_names():
    print(json.dumps(weights.names(policy())))


def test_means_have_the_names_of_layers_without_noise_and_draws_are_counters():
    noisy = policy(noisy=True)
    more = [name for name in weights.names(noisy) if name not in DUELING]
    assert {name.rpartition('/')[2] for name in more} == {'kernel_sigma', 'bias_sigma', 'draws'}
    for name, variable in zip(weights.names(noisy), noisy.variables()):
        assert weights.is_counter(variable) == name.endswith('/draws')


def test_a_stack_of_frames_changes_no_name():
    stacked = tensor_spec.BoundedTensorSpec([3, 4], tf.float32, -1.0, 1.0)
    inner = policy(observation_spec=stacked)
    outer = frame_stack_network.FrameStackNetwork(OBSERVATION, inner.q_network)
    acting = policies.GreedyQPolicy(ts.time_step_spec(OBSERVATION), ACTION, outer)
    assert sorted(weights.names(acting)) == DUELING


def test_a_policy_on_raw_screens_has_the_names_of_the_one_on_frames():
    frames = tensor_spec.BoundedTensorSpec([4, 20, 20], tf.uint8, 0, 255)
    inner = policy(observation_spec=frames)
    to_frame = raw_screen_policy.ScreensToFrame((40, 40), (20, 20), max_pool=True)
    raw = raw_screen_policy.RawScreenPolicy(inner, to_frame)
    assert weights.names(raw) == weights.names(inner) and set(weights.names(raw)) == set(DUELING)


class TwoParts(tf.keras.layers.Layer):
    """A torso of a user's with layers in a dict and in a list."""

    def __init__(self):
        super().__init__()
        self._parts = {'left': tf.keras.layers.Dense(3), 'right': tf.keras.layers.Dense(3)}
        self.last = [noisy_dense.NoisyDense(2)]

    def call(self, inputs, training=False):
        return self.last[0](self._parts['left'](inputs) + self._parts['right'](inputs))


def test_parts_of_a_users_torso_have_names():
    acting = policy(q_network.PlainQNetwork, torso=lambda *_: TwoParts(), hidden_units=())
    names = weights.names(acting)
    assert len(set(names)) == len(names) == len(acting.variables())
    assert {'torso/parts/left/kernel', 'torso/parts/right/bias', 'torso/last/0/kernel',
            'q_values/0/kernel'} <= set(names)  # fmt: skip


ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7.0], np.float32)]
LISTED = [{'name': 'torso/0/kernel', 'shape': [2, 3]}, {'name': 'torso/0/bias', 'shape': [1]}]


def test_what_was_exported_is_read_with_its_names(tmp_path):
    read = weights.read(exported_weights(tmp_path, ARRAYS, {'weights': LISTED, 'agent': 'dqn'}))
    assert read.names == ['torso/0/kernel', 'torso/0/bias'] and read.card['agent'] == 'dqn'
    for array, wanted in zip(read.arrays, ARRAYS, strict=True):
        np.testing.assert_array_equal(array, wanted)


def test_an_export_of_an_earlier_version_has_no_names(tmp_path):
    read = weights.read(exported_weights(tmp_path, ARRAYS, {'agent': 'dqn'}))
    assert read.names is None and len(read.arrays) == 2


@pytest.mark.parametrize('listed', [LISTED[:1], LISTED[::-1]])
def test_a_card_of_other_weights_is_an_error(tmp_path, listed):
    with pytest.raises(ValueError, match='lists other weights'):
        weights.read(exported_weights(tmp_path, ARRAYS, {'weights': listed}))
