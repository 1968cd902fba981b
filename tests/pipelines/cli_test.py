"""Every driver's manners: help at once, bad input in one line, exit code 2."""

import errno
import subprocess
import sys
import time

import pytest

from pipelines import evaluate, train_ddqn


@pytest.mark.parametrize('driver', ['train_ddqn', 'evaluate', 'compare'])
def test_help_answers_without_tensorflow(driver):
    code = (
        'import sys, runpy; sys.argv = ["x", "--help"]\n'
        f'try: runpy.run_module("pipelines.{driver}", run_name="__main__")\n'
        'except SystemExit as e: assert e.code == 0, e.code\n'
        'assert "tensorflow" not in sys.modules and "matplotlib" not in sys.modules\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f'pipelines.{driver}' in done.stdout and '--' in done.stdout
    assert done.stderr == ''


def fails(capsys, driver, *arguments):
    began = time.monotonic()
    assert driver.main(['driver', *arguments]) == 2
    assert time.monotonic() - began < 15
    out, err = capsys.readouterr()
    assert err.startswith('error: ') and err.count('\n') == 1, err
    assert 'env steps:' not in out  # before any training
    return err


BAD_TRAINING = {
    'train_ddqn.gama=0.9': "no parameter 'gama': did you mean gamma",
    'train_dqn.gamma=0.9': "No configurable matching 'train_dqn'",
    'train_ddqn.gamma=': "in 'train_ddqn.gamma='",
    'ExponentialSchedule.rate_per_step=0.1': 'is used by nothing',
    'QLearningAgent.tau=0.0': 'QLearningAgent.tau = 0.0',
    'QLearningAgent.epsilon=2.0': 'QLearningAgent.epsilon = 2.0',
    'QLearningAgent.epsilon=@ExponentialSchedule()': 'a value of ExponentialSchedule does not fit',
    "train_ddqn.batch_size='64'": "train_ddqn.batch_size = '64'",
    'train_ddqn.batch_size=6.5': 'must be a whole number',
    'train_ddqn.num_envs=2.5': 'train_ddqn.num_envs = 2.5',
    'train_ddqn.num_env_steps=None': 'train_ddqn.num_env_steps = None',
    'train_ddqn.env_name=5': 'env_name = 5',
    "train_ddqn.train_steps_per_env_step='a'": 'train_steps_per_env_step',
    "adam.learning_rate='a'": "'<=' not supported",
    'mlp_torso.units=64': 'mlp_torso.units = 64',
    'mlp_torso.units=(64.5,)': 'mlp_torso.units = (64.5,)',
    'make_q_network.stream_units=(0,)': 'make_q_network.stream_units = (0,)',
    "make_q_network.compute_dtype='float17'": "compute_dtype = 'float17'",
    'Replay.stall_timeout_seconds=-1': 'stall_timeout_seconds = -1',
    'Replay.capacity_transitions=500': 'more than Replay.capacity_transitions = 500',
    'train_ddqn.gamma=%GAMMA': 'GAMMA',
    'import nosuchmodule': 'nosuchmodule',
    "train_ddqn.env_name='CartPol-v1'": 'did you mean CartPole-v1',
    "train_ddqn.env_name='Pendulum-v1'": 'discrete actions',
    "train_ddqn.target='sotf'": "target = 'sotf'",
    'train_ddqn.batch_size=-64': 'train_ddqn.batch_size = -64',
    'train_ddqn.num_envs=0': 'num_envs = 0',
    'train_ddqn.n_step=0': 'train_ddqn.n_step = 0',
    'train_ddqn.gamma=1.5': 'train_ddqn.gamma = 1.5',
    'train_ddqn.num_env_steps=-1': 'num_env_steps = -1',
    'train_ddqn.num_eval_episodes=0': 'num_eval_episodes = 0',
    'train_ddqn.min_replay_transitions=90000': 'min_replay_transitions = 90000',
    'Prioritisation.alpha=0.5': 'used by nothing',
    'Replay.capacity_transitions=1000000000000': 'GiB are free',
    'adam.learning_rate=-1.0': 'adam.learning_rate = -1.0',
}


@pytest.mark.parametrize(('binding', 'message'), BAD_TRAINING.items())
def test_a_bad_binding_is_one_clear_line(tmp_path, capsys, binding, message):
    error = fails(capsys, train_ddqn, f'--root_dir={tmp_path / "run"}', f'--gin_bindings={binding}')
    assert message in error


def test_bad_flags_are_one_clear_line(tmp_path, capsys):
    assert 'Did you mean: seed' in fails(capsys, train_ddqn, f'--root_dir={tmp_path}', '--sed=1')
    assert 'seed' in fails(capsys, train_ddqn, f'--root_dir={tmp_path}', '--seed=-1')
    assert '--root_dir is missing' in fails(capsys, train_ddqn)
    assert "unexpected argument 'x'" in fails(capsys, train_ddqn, f'--root_dir={tmp_path}', 'x')
    assert 'configs/ has: ' in fails(
        capsys, train_ddqn, f'--root_dir={tmp_path}', '--gin_file=nope.gin'
    )
    assert 'cannot be written' in fails(capsys, train_ddqn, '--root_dir=/proc/nowhere')
    assert 'holds no exported policy' in fails(capsys, evaluate, f'--policy_dir={tmp_path}')
    assert '--policy_dir is missing' in fails(capsys, evaluate)
    assert '--episodes=0' in fails(capsys, evaluate, f'--policy_dir={tmp_path}', '--episodes=0')
    assert '--epsilon=2' in fails(capsys, evaluate, f'--policy_dir={tmp_path}', '--epsilon=2')
    assert 'end in .gif' in fails(capsys, evaluate, f'--policy_dir={tmp_path}', '--video=a.mp4')


@pytest.mark.parametrize(
    'failure',
    [
        OSError(errno.ENOSPC, 'No space left on device', '/runs/a/replay/000000000000.rows'),
        RuntimeError('INTERNAL: /runs/a/policy/saved_model.pb; No space left on device'),
    ],
)
def test_a_full_disk_is_one_clear_line(tmp_path, capsys, monkeypatch, failure):
    from pipelines.runs import session

    def fail(*args):
        raise failure

    monkeypatch.setattr(session.Session, 'start', fail)
    error = fails(capsys, train_ddqn, f'--root_dir={tmp_path}')
    assert 'No space left on device; make room and run the same command' in error


def test_a_bug_is_no_users_error(tmp_path, monkeypatch):
    from pipelines.runs import session

    def fail(*args):
        raise ValueError('a bug')

    monkeypatch.setattr(session.Session, 'start', fail)
    with pytest.raises(ValueError, match='a bug'):
        train_ddqn.main(['driver', f'--root_dir={tmp_path}'])


def test_a_file_may_replace_a_schedule_of_the_file_that_it_includes(tmp_path, capsys):
    """What the included file binds for the schedule is idle then, and not a mistake."""
    mine = tmp_path / 'mine.gin'
    flags = ['driver', f'--root_dir={tmp_path / "run"}', f'--gin_file={mine}', '--check_only']
    mine.write_text("include 'configs/ddqn_cartpole.gin'\nQLearningAgent.epsilon = 0.1\n")
    assert train_ddqn.main(flags) == 0
    capsys.readouterr()
    mine.write_text(mine.read_text() + 'beta/LinearSchedule.initial = 0.4\n')
    assert train_ddqn.main(flags) == 2
    assert "'beta/LinearSchedule.initial = 0.4' is used by nothing" in capsys.readouterr().err
