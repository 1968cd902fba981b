"""Real SavedModels, loaded in a process that has only TensorFlow and NumPy."""

import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from envs.task import Task
from pipelines.errors import UserError
from pipelines.runs import export
from tests import warm_python
from tests.pipelines.random_policies import NUM_ACTIONS, random_export
from tests.pipelines.whole_runs import read_json


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """(root, exports): policies for CartPole and for Taxi, proven together."""
    root = tmp_path_factory.mktemp('exported')
    exports = {env_name: random_export(env_name) for env_name in NUM_ACTIONS}
    # One card for both: that the second is Taxi's, its specs say.
    with export.proven_exports(root, exports, {'env_name': 'CartPole-v1'}):
        assert not any((root / name).exists() for name in exports)  # until all are proven
    return root, exports


@pytest.mark.slow
@pytest.mark.parametrize('env_name', NUM_ACTIONS)
def test_a_policy_is_proven_in_a_clean_process(exported, env_name):
    root, exports = exported
    report = read_json(root / env_name, 'export_report.json')
    assert report['proven'] and report['observations'] == 50
    assert {'act', 'action'} <= set(report['signatures'])
    assert 'tf_agents' in report['barred_from_import']
    loaded = export.LoadedPolicy(str(root / env_name))
    policy, observations = exports[env_name]
    step = ts.restart(tf.constant(observations), 50)
    np.testing.assert_array_equal(loaded.action(step).action, policy.action(step).action)
    assert loaded.card['action_spec']['maximum'] == NUM_ACTIONS[env_name] - 1


@pytest.mark.slow
def test_the_proof_fails_where_the_policy_is_another_and_the_old_one_stays(
    exported, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, 'executable', warm_python.REAL)
    root, exports = exported
    directory = shutil.copytree(root / 'CartPole-v1', tmp_path / 'policy')
    before = sorted((p.name, p.stat().st_mtime_ns) for p in directory.iterdir())
    with (
        pytest.raises(RuntimeError, match='failed its proof'),
        export.proven_exports(tmp_path, {'policy': exports['CartPole-v1']}, {'env_name': 'a'}),
    ):
        stored = dict(np.load(tmp_path / 'policy.tmp' / 'proof.npz'))
        stored['live_q_values'][7] = stored['live_q_values'][7, ::-1] + 1e-3
        np.savez(tmp_path / 'policy.tmp' / 'proof.npz', **stored)  # while TensorFlow is imported
    assert sorted((p.name, p.stat().st_mtime_ns) for p in directory.iterdir()) == before


@pytest.mark.slow
def test_a_policy_that_does_not_fit_is_refused(exported):
    loaded = export.LoadedPolicy(str(exported[0] / 'CartPole-v1'))
    loaded.check_fits(Task('CartPole-v0').evaluation_envs(1))
    with pytest.raises(UserError, match="'CartPole-v1' and does not fit 'Acrobot-v1'"):
        loaded.check_fits(Task('Acrobot-v1').evaluation_envs(1))


@pytest.mark.slow
def test_more_states_of_the_same_type_do_not_fit(exported):
    loaded = export.LoadedPolicy(str(exported[0] / 'Taxi-v3'))
    loaded.check_fits(Task('Taxi-v3').evaluation_envs(1))
    with pytest.raises(UserError, match="'maximum': 499.*'maximum': 15"):
        loaded.check_fits(Task('FrozenLake-v1').evaluation_envs(1))


def test_a_directory_without_a_policy_is_named(tmp_path):
    with pytest.raises(UserError, match='holds no exported policy: saved_model.pb is missing'):
        export.LoadedPolicy(str(tmp_path))
