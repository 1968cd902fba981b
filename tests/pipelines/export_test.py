"""Real SavedModels, loaded in a process that has TensorFlow and NumPy alone."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import policies, q_network
from envs import suite
from pipelines import export
from pipelines.cli import UserError

SPECS = {
    'CartPole-v1': tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0),
    'Taxi-v3': tensor_spec.BoundedTensorSpec([], tf.int64, 0, 499),
}
NUM_ACTIONS = {'CartPole-v1': 2, 'Taxi-v3': 6}


def export_random_policy(directory, env_name='CartPole-v1'):
    spec = SPECS[env_name]
    action_spec = tensor_spec.BoundedTensorSpec([], tf.int64, 0, NUM_ACTIONS[env_name] - 1)
    network = q_network.DuelingQNetwork(spec, action_spec)
    network.create_variables()
    policy = policies.GreedyQPolicy(ts.time_step_spec(spec), action_spec, network)
    observations = tensor_spec.sample_spec_nest(spec, outer_dims=[50]).numpy()
    exports = {directory.name: export.Export(policy, observations)}
    with export.proven_exports(directory.parent, exports, {'env_name': env_name}):
        assert not directory.exists()  # until it is proven
    return policy, observations


@pytest.mark.parametrize('env_name', SPECS)
def test_a_policy_is_proven_in_a_clean_process(tmp_path, env_name):
    directory = tmp_path / 'policy'
    policy, observations = export_random_policy(directory, env_name)
    report = json.loads((directory / 'export_report.json').read_text())
    assert report['proven'] and report['observations'] == 50
    assert {'act', 'action'} <= set(report['signatures'])
    assert 'tf_agents' in report['barred_from_import']
    loaded = export.LoadedPolicy(str(directory))
    step = ts.restart(tf.constant(observations), 50)
    np.testing.assert_array_equal(loaded.action(step).action, policy.action(step).action)
    assert loaded.card['action_spec']['maximum'] == NUM_ACTIONS[env_name] - 1


def test_the_proof_fails_where_the_policy_is_another_and_the_old_one_stays(tmp_path):
    directory = tmp_path / 'policy'
    policy, observations = export_random_policy(directory)
    before = sorted((p.name, p.stat().st_mtime_ns) for p in directory.iterdir())
    with (
        pytest.raises(RuntimeError, match='failed its proof'),
        export.proven_exports(tmp_path, {'policy': export.Export(policy, observations)}, {}),
    ):
        stored = dict(np.load(tmp_path / 'policy.tmp' / 'proof.npz'))
        stored['live_q_values'][7] = stored['live_q_values'][7, ::-1] + 1e-3
        np.savez(tmp_path / 'policy.tmp' / 'proof.npz', **stored)  # while TensorFlow is imported
    assert sorted((p.name, p.stat().st_mtime_ns) for p in directory.iterdir()) == before


def test_a_policy_that_does_not_fit_is_refused(tmp_path):
    export_random_policy(tmp_path / 'policy')
    loaded = export.LoadedPolicy(str(tmp_path / 'policy'))
    loaded.check_fits(suite.load('CartPole-v0', 1))
    with pytest.raises(UserError, match="'CartPole-v1' and does not fit 'Acrobot-v1'"):
        loaded.check_fits(suite.load('Acrobot-v1', 1))


def test_more_states_of_the_same_type_do_not_fit(tmp_path):
    export_random_policy(tmp_path / 'policy', 'Taxi-v3')
    loaded = export.LoadedPolicy(str(tmp_path / 'policy'))
    loaded.check_fits(suite.load('Taxi-v3', 1))
    with pytest.raises(UserError, match="'maximum': 499.*'maximum': 15"):
        loaded.check_fits(suite.load('FrozenLake-v1', 1))


def test_a_directory_without_a_policy_is_named(tmp_path):
    with pytest.raises(UserError, match='holds no exported policy: saved_model.pb is missing'):
        export.LoadedPolicy(str(tmp_path))
