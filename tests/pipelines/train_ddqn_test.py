"""The driver from flags to proven policy, at tiny size, with everything real."""

import functools
import os
import pathlib
import shutil
import signal
import subprocess
import time
import types

import numpy as np
import pytest
import tensorflow as tf

from pipelines import evaluate, train_ddqn
from tests.pipelines.whole_runs import (
    RunsOfOneProof,
    command,
    is_proven,
    newest_state,
    printed,
    progress,
    read_json,
    stopped_after,
)  # fmt: skip

SMALL = {
    'train_ddqn.num_env_steps': 2_000,
    'train_ddqn.num_envs': 4,
    'train_ddqn.min_replay_transitions': 200,
    'train_ddqn.num_eval_episodes': 5,
    'train_ddqn.num_selection_episodes': 3,
    'train_ddqn.eval_interval_env_steps': 500,
    'train_ddqn.checkpoint_interval_env_steps': 500,
    'train_ddqn.log_interval_env_steps': 250,
    'train_ddqn.train_steps_per_env_step': 0.25,
    'mlp_torso.units': '(16,)',
    'make_q_network.stream_units': '(8,)',
}
SHORTER = {
    'num_env_steps': 750,
    'num_eval_episodes': 2,
    'num_selection_episodes': 2,
    'eval_interval_env_steps': 750,
    'checkpoint_interval_env_steps': 750,
}
LONGER = {'num_env_steps': 3_000}


def arguments(root_dir, seed=7, **bindings):
    """Flags; a binding without a dot is one of `train_ddqn`."""
    ours = {n if '.' in n else f'train_ddqn.{n}': value for n, value in bindings.items()}
    return [
        'driver',
        f'--root_dir={root_dir}',
        f'--seed={seed}',
        *(f'--gin_bindings={name}={value}' for name, value in (SMALL | ours).items()),
    ]


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A finished run that nothing may change: `root` and what it printed, `out` and `err`."""
    root = tmp_path_factory.mktemp('finished')
    with printed() as said:
        assert train_ddqn.main(arguments(root)) == 0
    return types.SimpleNamespace(root=root, out=said.out, err=said.err)


@pytest.fixture
def copy(finished, tmp_path):
    """The same run for a test that changes it."""
    return shutil.copytree(finished.root, tmp_path / 'copy')


@pytest.fixture(scope='module')
def longer(finished, tmp_path_factory):
    """The same run made longer, after two starts that were stopped before their first turn."""
    root = tmp_path_factory.mktemp('longer') / 'copy'
    shutil.copytree(finished.root, root)
    with stopped_after(0):
        for _ in range(2):
            assert train_ddqn.main(arguments(root, **LONGER)) == 0
    with printed() as said:
        assert train_ddqn.main(arguments(root, **LONGER)) == 0
    return types.SimpleNamespace(root=root, out=said.out)


def summary(root_dir):
    return read_json(root_dir, 'summary.json')


def test_a_run_leaves_everything_it_promises(finished):
    root = finished.root
    assert finished.err == ''  # no TensorFlow, XLA, Gym or Reverb noise
    assert 'Next:' in finished.out and 'reloaded and proven' in finished.out

    result = summary(root)
    assert result['env_name'] == 'CartPole-v1' and result['agent'] == 'dueling_ddqn'
    assert result['seed'] == 7 and len(result['eval_returns']) == 5
    assert result['eval_mean'] == sum(result['eval_returns']) / 5
    assert 2_000 - 4 < result['env_steps'] <= 2_000  # never more than asked for
    assert result['wall_seconds'] > 0 and result['env_steps_per_second'] > 0

    rows = progress(root)
    assert [int(r['env_steps']) for r in rows] == sorted({int(r['env_steps']) for r in rows})
    assert int(rows[-1]['train_steps']) == result['train_steps']
    read = result['training_overestimation']  # the last evaluation's, of both networks
    assert {'target_overestimation', 'target_overestimation_stderr'} <= read.keys()
    assert read == pytest.approx({name: float(rows[-1][name]) for name in read}, rel=1e-4)
    assert result['overestimation']['value_mean'] != 0.0
    assert (root / 'curve.png').read_bytes()[:4] == b'\x89PNG'
    assert "train_ddqn.env_name = 'CartPole-v1'" in (root / 'config.gin').read_text()
    assert is_proven(root / 'policy')
    assert len(list((root / 'checkpoints').glob('0*'))) == 2
    assert not [p for p in root.rglob('*') if p.suffix in ('.tmp', '.old')]

    tags = set()
    for path in (root / 'tensorboard').glob('*'):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            tags |= {value.tag for value in event.summary.value}
    assert {
        'reward',
        'avg loss',
        'mean_q',
        'epsilon',
        'evaluation reward',
        'overestimation',
    } <= tags


def test_the_ratio_is_held_exactly(finished):
    state = newest_state(finished.root)
    learning_env_steps = state['env_steps'] - state['collect_and_train']
    assert state['session']['train_steps'] == learning_env_steps // 4 > 0


def test_a_finished_run_says_so(finished, copy, capsys):
    assert train_ddqn.main(arguments(copy)) == 0
    assert 'is finished' in capsys.readouterr().out
    assert summary(copy) == summary(finished.root)


@pytest.mark.slow
def test_a_longer_run_resumes_where_the_finished_one_ended(finished, longer):
    first, first_rows = summary(finished.root), progress(finished.root)
    assert f'resuming from {first["env_steps"]:,} env steps' in longer.out
    result, rows = summary(longer.root), progress(longer.root)
    assert rows[: len(first_rows)] == first_rows
    assert result['env_steps'] > 2_990 and result['train_steps'] > first['train_steps']
    assert result['episodes'] > first['episodes']
    assert result['wall_seconds'] > first['wall_seconds']


@pytest.mark.slow
def test_a_stop_before_the_first_turn_ends_loses_nothing(finished, longer):
    """Stopped and started again without a turn in between: the optimizer's count stays."""
    first_rows = progress(finished.root)
    assert progress(longer.root)[: len(first_rows)] == first_rows
    newest = sorted((longer.root / 'checkpoints').glob('0*'))[-1]
    reader = tf.train.load_checkpoint(str(newest / 'variables'))
    count = reader.get_tensor('agent/_optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE')
    assert count == summary(longer.root)['train_steps'] > 0


def test_another_experiment_is_refused(copy, capsys):
    for change, message in (
        (dict(gamma=0.5), 'train_ddqn.gamma was 0.98 and is now 0.5'),
        (dict(env_name="'Acrobot-v1'"), "train_ddqn.env_name was 'CartPole-v1'"),
        (dict(seed=1), '--seed was 7 and is now 1'),
    ):
        capsys.readouterr()
        assert train_ddqn.main(arguments(copy, **change)) == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('env_name', ['Acrobot-v1', 'Taxi-v3', 'FrozenLake-v1', 'MountainCar-v0'])
def test_any_discrete_environment_trains_exports_and_evaluates(tmp_path, env_name, capsys):
    few = SHORTER | {'env_name': f"'{env_name}'", 'fuse_train_steps': False}
    assert train_ddqn.main(arguments(tmp_path, **few)) == 0
    policy_dir = tmp_path / 'policy'
    flags = ['driver', f'--policy_dir={policy_dir}', '--episodes=4', '--seed=3']
    assert evaluate.main(flags) == 0
    assert env_name in capsys.readouterr().out
    assert len(read_json(policy_dir, 'evaluation.json')['returns']) == 4


SWITCHES = {
    'train_ddqn.double=False': 'dueling_dqn',
    'train_ddqn.dueling=False': 'ddqn',
    "train_ddqn.target='none'": 'dueling_ddqn',
    "train_ddqn.target='soft'": 'dueling_ddqn',
    "train_ddqn.distribution='categorical'": 'c51_dueling_ddqn',
    'train_ddqn.noisy=True': 'noisy_dueling_ddqn',
    'train_ddqn.n_step=1': 'dueling_ddqn',
    'train_ddqn.prioritised=True': 'prioritised_dueling_ddqn',
    "QLearningAgent.loss='mse'": 'dueling_ddqn',
    'QLearningAgent.epsilon=0.1': 'dueling_ddqn',
    'adam.learning_rate=5e-4': 'dueling_ddqn',
    'Replay.transitions_per_item=1': 'dueling_ddqn',
}
BFLOAT16 = "make_q_network.compute_dtype='bfloat16'"


def with_binding(binding, root):
    """Flags of a short run of the shipped config with one binding on top."""
    # XLA compiles the train loop of one of the runs: two seconds each.
    flags = arguments(root, **SHORTER, fuse_train_steps='double' in binding)
    flags = [f for f in flags if '.units=' not in f and 'stream_units' not in f]
    return [*flags, f'--gin_bindings={binding}']


@pytest.fixture(scope='module')
def switched(tmp_path_factory):
    """A short run for each binding."""
    programs = {
        binding: (train_ddqn, functools.partial(with_binding, binding))
        for binding in [*SWITCHES, BFLOAT16]
    }
    return RunsOfOneProof(tmp_path_factory.mktemp('switched'), programs)


@pytest.mark.slow
@pytest.mark.parametrize(('binding', 'name'), SWITCHES.items())
def test_each_switch_is_one_binding_on_top_of_the_shipped_config(switched, binding, name):
    assert summary(switched.run(binding))['agent'] == name


@pytest.mark.slow
def test_the_policy_of_each_switch_is_proven(switched):
    assert all(is_proven(switched.policy(binding)) for binding in [*SWITCHES, BFLOAT16])


def nodes_of(act):
    """The operations of all functions of a signature."""
    functions = act.graph.as_graph_def().library.function
    return [node for function in functions for node in function.node_def]


@pytest.mark.slow
def test_an_exported_noisy_policy_is_deterministic(switched):
    policy_dir = switched.policy('train_ddqn.noisy=True')
    act = tf.saved_model.load(str(policy_dir)).signatures['act']
    once, twice = (act(observation=tf.ones([3, 4]))['q_values'] for _ in range(2))
    np.testing.assert_array_equal(once, twice)
    ops = {node.op for node in nodes_of(act)}
    assert 'MatMul' in ops and not {op for op in ops if 'Random' in op}


@pytest.mark.slow
def test_a_policy_trained_in_bfloat16_is_exported_in_float32(switched):
    policy_dir = switched.policy(BFLOAT16)
    assert is_proven(policy_dir)
    act = tf.saved_model.load(str(policy_dir)).signatures['act']
    types_of = {node.attr['T'].type for node in nodes_of(act) if node.op == 'MatMul'}
    assert types_of == {tf.float32.as_datatype_enum}


MUNCHAUSEN = {'munchausen': True, 'double': False, 'n_step': 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('switches', 'name'),
    [
        (
            {
                'distribution': "'categorical'",
                'noisy': True,
                'overlap': True,
                'fuse_train_steps': False,
                'C51Network.v_min': 0.0,
                'C51Network.v_max': 50.0,
                'QLearningAgent.epsilon': 0.0,
                'make_q_network.compute_dtype': "'bfloat16'",
            },
            'noisy_c51_dueling_ddqn',
        ),
        (
            {
                **MUNCHAUSEN,
                'noisy': True,
                'dueling': False,
                'frame_stack': 2,
                'NoisyDense.sigma0': 0.3,
                'MunchausenQLearningAgent.alpha': 0.8,
            },
            'noisy_munchausen_dqn',
        ),
        (
            {
                'distribution': "'categorical'",
                'dueling': False,
                'double': False,
                'fuse_train_steps': False,
            },
            'c51_dqn',
        ),
    ],
)
def test_heads_train_stop_resume_and_export_together(tmp_path, switches, name, capfd):
    flags = [f for f in arguments(tmp_path, **switches) if 'stream_units' not in f]
    with stopped_after(5):
        assert train_ddqn.main(flags) == 0
    first = newest_state(tmp_path)
    assert first['session']['train_steps'] > 0
    assert train_ddqn.main(flags) == 0
    assert summary(tmp_path)['agent'] == name
    out, err = capfd.readouterr()
    assert err == ''
    assert f'resuming from {first["env_steps"]:,} env steps' in out
    assert ('returns count as within [' in out) == ('c51' in name)
    assert is_proven(tmp_path / 'policy')
    result = summary(tmp_path)
    assert result['train_steps'] > first['session']['train_steps']
    assert np.isfinite(result['eval_mean'])
    assert all(float(row['loss'] or 0.0) >= 0.0 for row in progress(tmp_path))


@pytest.mark.parametrize(
    ('bindings', 'message'),
    [
        ({**MUNCHAUSEN, 'double': True}, 'set double = False'),
        ({**MUNCHAUSEN, 'n_step': 3}, 'set n_step = 1'),
        ({**MUNCHAUSEN, 'distribution': "'categorical'"}, 'choose one of them'),
    ],
)
def test_switches_that_contradict_each_other_are_refused(tmp_path, bindings, message, capsys):
    assert train_ddqn.main(arguments(tmp_path, **bindings)) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


def test_a_run_that_never_trains_is_an_error(tmp_path, capsys):
    few = dict(num_env_steps=300, min_replay_transitions=290)
    assert train_ddqn.main(arguments(tmp_path, **few)) == 2
    assert 'training never started within 29' in capsys.readouterr().err


def start(root_dir, **bindings):
    return subprocess.Popen(
        command('train_ddqn', *arguments(root_dir, **bindings)[1:]),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_checkpoint(root_dir, process, after=-1):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        paths = pathlib.Path(root_dir).glob('checkpoints/0*')
        done = [int(path.name) for path in paths if path.name.isdigit()]
        if done and max(done) > after:
            return max(done)
        time.sleep(0.02)
    raise AssertionError(process.communicate())


@pytest.mark.slow
def test_a_killed_run_resumes_and_ends_as_if_nothing_had_happened(tmp_path):
    """SIGKILL right after a checkpoint, then SIGTERM, then to the end."""
    steps = dict(num_env_steps=12_000, eval_interval_env_steps=3_000)
    process = start(tmp_path, **steps)
    wait_for_checkpoint(tmp_path, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    at_kill = newest_state(tmp_path)

    process = start(tmp_path, **steps)
    wait_for_checkpoint(tmp_path, process, after=at_kill['env_steps'])
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert f'resuming from {at_kill["env_steps"]:,} env steps' in out
    assert 'stopped at' in out and not (tmp_path / 'summary.json').exists()
    at_stop = newest_state(tmp_path)
    assert at_stop['env_steps'] > at_kill['env_steps']

    # A half-written newest checkpoint costs one interval, and no error.
    newest = sorted((tmp_path / 'checkpoints').glob('0*'))[-1]
    os.truncate(newest / 'variables.index', 10)
    assert train_ddqn.main(arguments(tmp_path, **steps)) == 0
    result = summary(tmp_path)
    assert result['env_steps'] > 11_990
    assert is_proven(tmp_path / 'policy')
    rows = progress(tmp_path)
    for column in ('env_steps', 'train_steps', 'episodes', 'wall_seconds'):
        values = [float(r[column]) for r in rows]
        assert values == sorted(values), column
    learning = result['env_steps'] - newest_state(tmp_path)['collect_and_train']
    assert result['train_steps'] == learning // 4
