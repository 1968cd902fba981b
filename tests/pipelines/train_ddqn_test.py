"""The driver from flags to proven policy, at tiny size, with everything real."""

import contextlib
import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from pipelines import evaluate, train_ddqn

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


def arguments(root_dir, seed=0, **bindings):
    merged = SMALL | {f'train_ddqn.{name}': value for name, value in bindings.items()}
    return [
        'driver',
        f'--root_dir={root_dir}',
        f'--seed={seed}',
        *(f'--gin_bindings={name}={value}' for name, value in merged.items()),
    ]


def summary(root_dir):
    return json.loads((pathlib.Path(root_dir) / 'summary.json').read_text())


def progress(root_dir):
    with open(pathlib.Path(root_dir) / 'progress.csv', newline='') as f:
        return list(csv.DictReader(f))


def test_a_run_leaves_everything_it_promises(tmp_path, capfd):
    assert train_ddqn.main(arguments(tmp_path, seed=7)) == 0
    out, err = capfd.readouterr()
    assert err == ''  # no TensorFlow, XLA, Gym or Reverb noise
    assert 'Next:' in out and 'reloaded and proven' in out

    result = summary(tmp_path)
    assert result['env_name'] == 'CartPole-v1' and result['agent'] == 'dueling_ddqn'
    assert result['seed'] == 7 and len(result['eval_returns']) == 5
    assert result['eval_mean'] == sum(result['eval_returns']) / 5
    assert 2_000 - 4 < result['env_steps'] <= 2_000  # never more than asked for
    assert result['wall_seconds'] > 0 and result['env_steps_per_second'] > 0

    rows = progress(tmp_path)
    assert [int(r['env_steps']) for r in rows] == sorted({int(r['env_steps']) for r in rows})
    assert int(rows[-1]['train_steps']) == result['train_steps']
    read = result['training_overestimation']  # the last evaluation's, of both networks
    assert {'target_overestimation', 'target_overestimation_stderr'} <= read.keys()
    assert read == pytest.approx({name: float(rows[-1][name]) for name in read}, rel=1e-4)
    assert result['overestimation']['value_mean'] != 0.0
    assert (tmp_path / 'curve.png').read_bytes()[:4] == b'\x89PNG'
    assert "train_ddqn.env_name = 'CartPole-v1'" in (tmp_path / 'config.gin').read_text()
    assert json.loads((tmp_path / 'policy' / 'export_report.json').read_text())['proven']
    assert len(list((tmp_path / 'checkpoints').glob('0*'))) == 2
    assert not [p for p in tmp_path.rglob('*') if p.suffix in ('.tmp', '.old')]

    tags = set()
    for path in (tmp_path / 'tensorboard').glob('*'):
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


@pytest.mark.slow
def test_the_ratio_is_held_exactly(tmp_path):
    assert train_ddqn.main(arguments(tmp_path)) == 0
    state = newest_state(tmp_path)
    learning_env_steps = state['env_steps'] - state['notes']['learning_start_env_steps']
    assert state['train_steps'] == learning_env_steps // 4


def newest_state(root_dir):
    newest = sorted((pathlib.Path(root_dir) / 'checkpoints').glob('0*'))[-1]
    return json.loads((newest / 'state.json').read_text())


@pytest.mark.slow
def test_a_finished_run_says_so_and_a_longer_one_goes_on(tmp_path, capsys):
    assert train_ddqn.main(arguments(tmp_path)) == 0
    first, first_rows = summary(tmp_path), progress(tmp_path)
    assert train_ddqn.main(arguments(tmp_path)) == 0
    assert 'is finished' in capsys.readouterr().out
    assert summary(tmp_path) == first

    assert train_ddqn.main(arguments(tmp_path, num_env_steps=3_000)) == 0
    out = capsys.readouterr().out
    assert f'going on from {first["env_steps"]:,} env steps' in out
    longer, rows = summary(tmp_path), progress(tmp_path)
    assert rows[: len(first_rows)] == first_rows
    assert longer['env_steps'] > 2_990 and longer['train_steps'] > first['train_steps']
    assert longer['episodes'] > first['episodes']
    assert longer['wall_seconds'] > first['wall_seconds']


@pytest.mark.slow
def test_another_experiment_is_refused(tmp_path, capsys):
    assert train_ddqn.main(arguments(tmp_path)) == 0
    for change, message in (
        (dict(gamma=0.5), 'train_ddqn.gamma was 0.98 and is now 0.5'),
        (dict(env_name="'Acrobot-v1'"), "train_ddqn.env_name was 'CartPole-v1'"),
        (dict(seed=1), '--seed was 0 and is now 1'),
    ):
        capsys.readouterr()
        assert train_ddqn.main(arguments(tmp_path, **change)) == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('env_name', ['Acrobot-v1', 'Taxi-v3', 'FrozenLake-v1', 'MountainCar-v0'])
def test_any_discrete_environment_trains_exports_and_evaluates(tmp_path, env_name, capsys):
    assert train_ddqn.main(arguments(tmp_path, env_name=f"'{env_name}'")) == 0
    policy_dir = tmp_path / 'policy'
    flags = ['driver', f'--policy_dir={policy_dir}', '--episodes=4', '--seed=3']
    assert evaluate.main(flags) == 0
    assert env_name in capsys.readouterr().out
    assert len(json.loads((policy_dir / 'evaluation.json').read_text())['returns']) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ('binding', 'name'),
    [
        ('train_ddqn.double=False', 'dueling_dqn'),
        ('train_ddqn.dueling=False', 'ddqn'),
        ("train_ddqn.target='none'", 'dueling_ddqn'),
        ("train_ddqn.target='soft'", 'dueling_ddqn'),
        ('train_ddqn.categorical=True', 'c51_dueling_ddqn'),
        ('train_ddqn.noisy=True', 'noisy_dueling_ddqn'),
        ('train_ddqn.n_step=1', 'dueling_ddqn'),
        ('train_ddqn.prioritised=True', 'prioritised_dueling_ddqn'),
        ("QLearningAgent.loss='mse'", 'dueling_ddqn'),
        ('QLearningAgent.epsilon=0.1', 'dueling_ddqn'),
        ('adam.learning_rate=5e-4', 'dueling_ddqn'),
        ('Replay.transitions_per_item=1', 'dueling_ddqn'),
    ],
)
def test_each_switch_is_one_binding_on_top_of_the_shipped_config(tmp_path, binding, name):
    small = [f for f in arguments(tmp_path) if '.units=' not in f and 'stream_units' not in f]
    assert train_ddqn.main([*small, f'--gin_bindings={binding}']) == 0
    assert summary(tmp_path)['agent'] == name


MUNCHAUSEN = {'munchausen': True, 'double': False, 'n_step': 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('switches', 'name', 'extra'),
    [
        (
            {'categorical': True, 'noisy': True, 'overlap': True},
            'noisy_c51_dueling_ddqn',
            {
                'C51Network.v_min': 0.0,
                'C51Network.v_max': 50.0,
                'QLearningAgent.epsilon': 0.0,
                'make_q_network.compute_dtype': "'bfloat16'",
            },
        ),
        (
            {**MUNCHAUSEN, 'noisy': True, 'dueling': False, 'frame_stack': 2},
            'noisy_munchausen_dqn',
            {'NoisyDense.sigma0': 0.3, 'MunchausenQLearningAgent.alpha': 0.8},
        ),
        (
            {'categorical': True, 'dueling': False, 'double': False, 'fuse_train_steps': False},
            'c51_dqn',
            {},
        ),
    ],
)
def test_heads_train_stop_go_on_and_export_together(tmp_path, switches, name, extra, capfd):
    small = [f for f in arguments(tmp_path, **switches) if 'stream_units' not in f]
    flags = [*small, *(f'--gin_bindings={key}={value}' for key, value in extra.items())]
    assert train_ddqn.main(flags) == 0
    assert summary(tmp_path)['agent'] == name
    first = newest_state(tmp_path)
    assert train_ddqn.main([*flags, '--gin_bindings=train_ddqn.num_env_steps=3_000']) == 0
    out, err = capfd.readouterr()
    assert err == ''
    assert f'going on from {first["env_steps"]:,} env steps' in out
    assert ('returns count as within [' in out) == ('c51' in name)
    assert json.loads((tmp_path / 'policy' / 'export_report.json').read_text())['proven']
    result = summary(tmp_path)
    assert result['train_steps'] > first['train_steps'] and np.isfinite(result['eval_mean'])
    assert all(float(row['loss'] or 0.0) >= 0.0 for row in progress(tmp_path))


@pytest.mark.slow
def test_an_exported_noisy_policy_is_deterministic(tmp_path):
    assert train_ddqn.main(arguments(tmp_path, noisy=True)) == 0
    act = tf.saved_model.load(str(tmp_path / 'policy')).signatures['act']
    once, twice = (act(observation=tf.ones([3, 4]))['q_values'] for _ in range(2))
    np.testing.assert_array_equal(once, twice)
    ops = {
        node.op
        for function in act.graph.as_graph_def().library.function
        for node in function.node_def
    }
    assert 'MatMul' in ops and not {op for op in ops if 'Random' in op}


@pytest.mark.parametrize(
    ('bindings', 'message'),
    [
        ({**MUNCHAUSEN, 'double': True}, 'set train_ddqn.double = False'),
        ({**MUNCHAUSEN, 'n_step': 3}, 'set train_ddqn.n_step = 1'),
        ({**MUNCHAUSEN, 'categorical': True}, 'choose one of them'),
    ],
)
def test_switches_that_contradict_each_other_are_refused(tmp_path, bindings, message, capsys):
    assert train_ddqn.main(arguments(tmp_path, **bindings)) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


@pytest.mark.slow
def test_a_policy_trained_in_bfloat16_is_exported_in_float32(tmp_path):
    flags = [*arguments(tmp_path), "--gin_bindings=make_q_network.compute_dtype='bfloat16'"]
    assert train_ddqn.main(flags) == 0
    assert json.loads((tmp_path / 'policy' / 'export_report.json').read_text())['proven']
    model = tf.saved_model.load(str(tmp_path / 'policy'))
    graph = model.signatures['act'].graph.as_graph_def()
    nodes = [node for function in graph.library.function for node in function.node_def]
    types = {node.attr['T'].type for node in nodes if node.op == 'MatMul'}
    assert types == {tf.float32.as_datatype_enum}


@pytest.mark.slow
def test_a_stop_before_the_first_turn_ends_loses_nothing(tmp_path, monkeypatch):
    """Stopped and started again without a turn in between: the optimizer's count stays."""
    from pipelines import run_dir

    assert train_ddqn.main(arguments(tmp_path)) == 0
    first_rows = progress(tmp_path)

    @contextlib.contextmanager
    def stopped_at_once():
        yield lambda: True

    with monkeypatch.context() as patch:
        patch.setattr(run_dir, 'stop_on_signal', stopped_at_once)
        for _ in range(2):
            assert train_ddqn.main(arguments(tmp_path, num_env_steps=3_000)) == 0
    assert train_ddqn.main(arguments(tmp_path, num_env_steps=3_000)) == 0
    assert progress(tmp_path)[: len(first_rows)] == first_rows
    newest = sorted((tmp_path / 'checkpoints').glob('0*'))[-1]
    reader = tf.train.load_checkpoint(str(newest / 'variables'))
    count = reader.get_tensor('agent/_optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE')
    assert count == summary(tmp_path)['train_steps'] > 0


@pytest.mark.slow
def test_a_run_that_never_trains_is_an_error(tmp_path, capsys):
    few = dict(num_env_steps=300, min_replay_transitions=290)
    assert train_ddqn.main(arguments(tmp_path, **few)) == 2
    assert 'training never started within 29' in capsys.readouterr().err


def start(root_dir, **bindings):
    return subprocess.Popen(
        [sys.executable, '-m', 'pipelines.train_ddqn', *arguments(root_dir, **bindings)[1:]],
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
def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(tmp_path):
    """SIGKILL right after a checkpoint, then SIGTERM, then to the end."""
    steps = dict(num_env_steps=12_000)
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
    assert f'going on from {at_kill["env_steps"]:,} env steps' in out
    assert 'stopped at' in out and not (tmp_path / 'summary.json').exists()
    at_stop = newest_state(tmp_path)
    assert at_stop['env_steps'] > at_kill['env_steps']

    # A half-written newest checkpoint costs one interval, and no error.
    newest = sorted((tmp_path / 'checkpoints').glob('0*'))[-1]
    os.truncate(newest / 'variables.index', 10)
    assert train_ddqn.main(arguments(tmp_path, **steps)) == 0
    result = summary(tmp_path)
    assert result['env_steps'] > 11_990
    assert json.loads((tmp_path / 'policy' / 'export_report.json').read_text())['proven']
    rows = progress(tmp_path)
    for column in ('env_steps', 'train_steps', 'episodes', 'wall_seconds'):
        values = [float(r[column]) for r in rows]
        assert values == sorted(values), column
    learning = result['env_steps'] - newest_state(tmp_path)['notes']['learning_start_env_steps']
    assert result['train_steps'] == learning // 4
