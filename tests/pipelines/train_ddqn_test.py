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
    episodes,
    is_proven,
    newest_state,
    printed,
    progress,
    read_json,
    scalars,
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
            assert train_ddqn.main(arguments(root, **LONGER)) == 75
    with printed() as said:
        assert train_ddqn.main(arguments(root, **LONGER)) == 0
    return types.SimpleNamespace(root=root, out=said.out)


def summary(root_dir):
    return read_json(root_dir, 'summary.json')


@pytest.mark.slow
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

    shown = scalars(root)
    assert {
        'reward',
        'avg loss',
        'mean_q',
        'epsilon',
        'evaluation reward',
        'overestimation',
    } <= shown.keys()
    assert shown['avg loss'] == [
        (int(r['env_steps']), pytest.approx(float(r['loss']), rel=1e-5)) for r in rows if r['loss']
    ]


def test_every_training_episode_is_kept(finished):
    each, result = episodes(finished.root), summary(finished.root)
    assert [int(row['episode']) for row in each] == list(range(1, result['episodes'] + 1))
    last = [float(row['return']) for row in each][-100:]
    assert np.mean(last) == pytest.approx(result['return_mean_100'])
    assert all(float(row['return']) == int(row['length']) for row in each)
    ends = [int(row['env_steps']) for row in each]
    assert ends == sorted(ends) and ends[-1] <= result['env_steps']
    assert sum(int(row['length']) for row in each) <= result['env_steps']
    # Four environments: what the episodes under way have is missing.
    assert result['env_steps'] - sum(int(row['length']) for row in each) < 4 * 500
    start = newest_state(finished.root)['collect_and_train']
    trained = [row['avg_loss'] != '' for row in each]
    assert not any(has for has, end in zip(trained, ends) if end <= start)
    assert all(has for has, end in zip(trained, ends) if end > start + 4 * 100)
    shown = scalars(finished.root)
    assert shown['by episode/reward'] == [
        (int(row['episode']), float(row['return'])) for row in each
    ]
    assert shown['by episode/avg loss'] == [
        (int(row['episode']), pytest.approx(float(row['avg_loss']), rel=1e-5))
        for row in each
        if row['avg_loss']
    ]


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
    each = episodes(longer.root)
    assert [int(row['episode']) for row in each] == list(range(1, result['episodes'] + 1))
    assert each[: first['episodes']] == episodes(finished.root)
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


@pytest.mark.slow
def test_another_experiment_is_refused(copy, capsys):
    for change, message in (
        (dict(gamma=0.5), 'train_ddqn.gamma was 0.98 and is now 0.5'),
        (dict(env_name="'Acrobot-v1'"), "train_ddqn.env_name was 'CartPole-v1'"),
        (dict(seed=1), '--seed was 7 and is now 1'),
    ):
        capsys.readouterr()
        assert train_ddqn.main(arguments(copy, **change)) == 2
        assert message in capsys.readouterr().err


WORLDS = ('Acrobot-v1', 'Taxi-v3', 'FrozenLake-v1', 'MountainCar-v0')


@pytest.fixture(scope='module')
def worlds(tmp_path_factory):
    """A short run in each environment."""

    def of(env_name, root):
        return arguments(root, **SHORTER, env_name=f"'{env_name}'", fuse_train_steps=False)

    programs = {name: (train_ddqn, functools.partial(of, name)) for name in WORLDS}
    return RunsOfOneProof(tmp_path_factory.mktemp('worlds'), programs)


@pytest.mark.slow
@pytest.mark.parametrize('env_name', WORLDS)
def test_any_discrete_environment_trains_exports_and_evaluates(worlds, env_name, tmp_path, capsys):
    policy_dir, report = worlds.policy(env_name), tmp_path / 'report.json'
    assert is_proven(policy_dir)
    flags = ['driver', f'--policy_dir={policy_dir}', '--episodes=4', '--seed=3']
    assert evaluate.main([*flags, f'--json={report}']) == 0
    assert env_name in capsys.readouterr().out
    assert len(read_json(tmp_path, report.name)['returns']) == 4


def test_a_run_that_never_trains_is_an_error(tmp_path, capsys):
    assert train_ddqn.main(arguments(tmp_path, num_episodes=2)) == 2
    assert 'training never started within' in capsys.readouterr().err


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
    """SIGKILL right after a checkpoint, then SIGHUP, then to the end."""
    steps = dict(num_env_steps=12_000, eval_interval_env_steps=3_000)
    process = start(tmp_path, **steps)
    wait_for_checkpoint(tmp_path, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    at_kill = newest_state(tmp_path)

    process = start(tmp_path, **steps)
    wait_for_checkpoint(tmp_path, process, after=at_kill['env_steps'])
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate()
    assert process.returncode == 75, err
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
    each = episodes(tmp_path)
    assert [int(row['episode']) for row in each] == list(range(1, result['episodes'] + 1))


BY_EPISODES = {
    'num_envs': 1,
    'num_episodes': 30,
    'train_steps_per_env_step': 1.0,
    'fuse_train_steps': False,
    'eval_interval_env_steps': 2_000,
    'num_selection_episodes': 1,
    'num_eval_episodes': 1,
    'log_every_episode': True,
    'x_axis': "'episodes'",
}


@pytest.fixture(scope='module')
def by_episodes(tmp_path_factory):
    """A run of one environment that ends with its 30th episode; its turns are 128 steps long."""
    return RunsOfOneProof(
        tmp_path_factory.mktemp('by_episodes'),
        {'run': (train_ddqn, lambda root: arguments(root, **BY_EPISODES))},
    )


@pytest.mark.slow
def test_a_run_ends_with_its_last_episode(by_episodes):
    root, out = by_episodes.run('run'), by_episodes.output('run')
    each, result = episodes(root), summary(root)
    assert len(each) == result['episodes'] == result['episode_limit'] == 30
    assert result['env_steps'] == int(each[-1]['env_steps']) < 2_000
    assert result['env_steps'] == sum(int(row['length']) for row in each)
    returns = [float(row['return']) for row in each]
    assert result['return_mean_100'] == pytest.approx(np.mean(returns))
    start = newest_state(root)['collect_and_train']
    assert result['train_steps'] == result['env_steps'] - start > 0
    assert int(progress(root)[-1]['episodes']) == 30
    lines = [line for line in out.splitlines() if line.startswith('episode ')]
    assert len(lines) == 30
    words = f'episode 30: return {each[-1]["return"]}, length {each[-1]["length"]}, avg loss '
    assert lines[-1].startswith(words) and ', epsilon 0.' in lines[-1]
    assert ' 30 episodes: ' in out and 'env steps: ' not in out


@pytest.mark.slow
def test_a_run_with_enough_episodes_ends_at_once_and_one_with_fewer_goes_on(
    by_episodes, tmp_path, capsys
):
    root = shutil.copytree(by_episodes.run('run'), tmp_path / 'copy')
    assert train_ddqn.main(arguments(root, **BY_EPISODES)) == 0
    assert 'is finished' in capsys.readouterr().out
    with stopped_after(1):
        assert train_ddqn.main(arguments(root, **BY_EPISODES | {'num_episodes': 60})) == 75
    assert 'stopped at' in capsys.readouterr().out
    so_far = [int(row['episode']) for row in episodes(root)]
    assert 30 < so_far[-1] < 60 and so_far == list(range(1, so_far[-1] + 1))

    # It has more than 30 already, and its summary is of a run that was shorter.
    (root / 'summary.json').unlink()
    assert train_ddqn.main(arguments(root, **BY_EPISODES)) == 0
    assert summary(root)['episodes'] == so_far[-1]
    assert [int(row['episode']) for row in episodes(root)] == so_far
