"""Every driver's manners: help at once, bad input in one line, exit code 2."""

import errno
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

from pipelines import evaluate, train_ddqn, train_reinforce


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
    "adam.learning_rate='a'": "adam.learning_rate = 'a': must be a positive number, or a schedule",
    'learning_rate/LinearSchedule.initial=-1.0': 'because adam.learning_rate takes it',
    'train_ddqn.gamma=1e999': 'train_ddqn.gamma = inf: must be a number between 0 and 1',
    'train_ddqn.frame_stack=100_000': 'at most 64',
    'mlp_torso.units=(1_000_000_000,)': 'at most 16_384',
    'Replay.stall_timeout_seconds=1e30': 'stall_timeout_seconds = 1e+30: must be a number more',
    'mlp_torso.units=64': 'mlp_torso.units = 64',
    'mlp_torso.units=(64.5,)': 'mlp_torso.units = (64.5,)',
    'make_q_network.stream_units=(0,)': 'make_q_network.stream_units = (0,)',
    "make_q_network.compute_dtype='float17'": "compute_dtype = 'float17'",
    'Replay.stall_timeout_seconds=-1': 'stall_timeout_seconds = -1',
    'Replay.capacity_transitions=500': '= 500 gives room for, 496 in whole items of 16',
    'Replay.capacity_transitions=1000': '= 1000 gives room for, 992 in whole items of 16',
    'train_ddqn.gamma=%GAMMA': 'GAMMA',
    'import nosuchmodule': 'nosuchmodule',
    "train_ddqn.env_name='CartPol-v1'": 'did you mean CartPole-v1',
    "train_ddqn.env_name='Pendulum-v1'": 'use python -m pipelines.train_reinforce',
    "train_ddqn.env_name='ALE/Pong-v5'": '--gin_file=configs/ddqn_space_invaders.gin',
    'train_ddqn.env_name=CartPole-v1': '''--gin_bindings="train_ddqn.env_name = 'CartPole-v1'"''',
    'train_ddqn.double=true': '--gin_bindings="train_ddqn.double = True"',
    'make_q_network.torso=conv_torso': '--gin_bindings="make_q_network.torso = @conv_torso"',
    'mlp_torso.units=[64,64': 'brackets come in pairs',
    'train_ddqn.gamma 0.9': 'it has no "=": write --gin_bindings="train_ddqn.gamma = 0.9"',
    'gamma=0.9': '--gin_bindings="train_ddqn.gamma = 0.9"',
    'train_ddqn.learning_rate=0.01': '--gin_bindings="adam.learning_rate = 0.01"',
    'adam.lr=0.01': '--gin_bindings="adam.learning_rate = 0.01"',
    'train_ddqn.total_timesteps=1e6': '--gin_bindings="train_ddqn.num_env_steps = 1_000_000"',
    'train_ddqn.epsilon=0.1': '--gin_bindings="QLearningAgent.epsilon = 0.1"',
    'QLearningAgent.gamma=0.9': '--gin_bindings="train_ddqn.gamma = 0.9"',
    'train_ddqn.seed=3': 'write --seed=3',
    'train_ddqn.num_env_steps=1e6': 'must be a whole number, at least 1; write 1_000_000',
    "train_ddqn.double='False'": 'must be True or False; write False',
    'from math import nothing': "there is no module 'math.nothing', neither in",
    'train_reinforce.gamma=0.9': '--gin_bindings="train_ddqn.gamma = 0.9"',
    'train_ddqn.gamma==0.9': 'a binding is NAME = VALUE: write --gin_bindings="train_ddqn.gamma',
    'train_ddqn.num_env_steps=50,000': '--gin_bindings="train_ddqn.num_env_steps = 50_000"',
    'train_ddqn.gamma=0.9, train_ddqn.n_step=1': 'one binding at a time',
    'train_ddqn.env=CartPole-v1': '''--gin_bindings="train_ddqn.env_name = 'CartPole-v1'"''',
    'train_ddqn.hidden_units=64': '--gin_bindings="mlp_torso.units = (64,)"',
    'train_ddqn.train_freq=4': '--gin_bindings="train_ddqn.train_steps_per_env_step = 0.25"',
    'QLearningAgent.target_update_period_train_steps=1e3': 'at least 1; write 1_000',
    'make_q_network.torso=@konv_torso': 'did you mean @conv_torso',
    'make_q_network.torso=@conv_torso': '--gin_file=configs/ddqn_cartpole.gin',
    'train_ddqn.num_env_steps=1100': 'training begins after up to 1152 env steps',
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
    assert message in error and not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    ('program', 'flag', 'cure'),
    [
        (train_ddqn, '--env=CartPole-v1', '"train_ddqn.env_name = \'CartPole-v1\'"'),
        (train_ddqn, '--total-timesteps=1e6', '"train_ddqn.num_env_steps = 1_000_000"'),
        (train_ddqn, '--learning_rate=0.01', '"adam.learning_rate = 0.01"'),
        (train_ddqn, '--train_ddqn.gamma=0.9', '"train_ddqn.gamma = 0.9"'),
        (train_ddqn, 'train_ddqn.gamma=0.9', '"train_ddqn.gamma = 0.9"'),
        (train_ddqn, '--logdir=runs/a', 'write --root_dir=runs/a'),
        (train_ddqn, '--config=a.gin', 'write --gin_file=a.gin'),
        (train_reinforce, '--env=CartPole-v1', '"train_reinforce.env_name = \'CartPole-v1\'"'),
        (train_reinforce, '--ent_coef=0.01', '"PolicyGradientAgent.entropy_coefficient = 0.01"'),
        (evaluate, '--model_path=runs/a', 'write --policy_dir=runs/a'),
    ],
)
def test_the_words_of_other_libraries_are_answered_with_what_to_type(capsys, program, flag, cure):
    assert cure in fails(capsys, program, flag)


def test_a_value_may_follow_its_flag(capsys):
    assert '"adam.learning_rate = 0.01"' in fails(capsys, train_ddqn, '--lr', '0.01')
    assert '"adam.learning_rate = 0.001"' in fails(capsys, train_ddqn, '--lr')


def test_a_binding_whose_quotes_the_shell_took_is_put_together_again(capsys):
    words = ('--gin_bindings=train_ddqn.env_name', '=', 'CartPole-v1')
    error = fails(capsys, train_ddqn, *words)
    assert '''write --gin_bindings="train_ddqn.env_name = 'CartPole-v1'"''' in error


def test_a_file_of_the_other_program_is_refused_by_naming_that(tmp_path, capsys):
    """Whatever else is said: not a line of it would have an effect."""
    flags = ['--gin_file=configs/reinforce_cartpole.gin', f'--root_dir={tmp_path / "run"}']
    error = fails(capsys, train_ddqn, *flags, "--gin_bindings=train_ddqn.env_name='Acrobot-v1'")
    assert 'run python -m pipelines.train_reinforce --gin_file=configs/reinforce' in error


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
    many = fails(capsys, evaluate, f'--policy_dir={tmp_path}', f'--episodes={10**9}')
    assert 'must be at least 1 and at most 1,000,000' in many
    home = fails(capsys, evaluate, '--policy_dir=~nosuchuser')
    assert "--policy_dir='~nosuchuser': there is no user 'nosuchuser'" in home
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


def test_a_bug_is_one_line_that_says_where_its_traceback_is(tmp_path, capsys, monkeypatch):
    from pipelines.runs import session

    def fail(*args):
        raise ValueError('a bug')

    monkeypatch.setattr(session.Session, 'start', fail)
    assert train_ddqn.main(['driver', f'--root_dir={tmp_path}']) == 70
    error = capsys.readouterr().err
    assert error.startswith('error: this is a bug of train_ddqn: ValueError: a bug (')
    path = re.search(r'its traceback is in (\S+): please report it\n$', error)[1]
    assert 'Traceback (most recent call last)' in pathlib.Path(path).read_text()
    os.unlink(path)


def test_the_home_directory_is_known_in_every_path(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    root = f'--root_dir={tmp_path / "run"}'
    for flag in ('root_dir', 'gin_file'):
        error = fails(capsys, train_ddqn, root, f'--{flag}=~nosuchuser/x')
        assert f"--{flag}='~nosuchuser/x': there is no user 'nosuchuser'" in error
    (tmp_path / 'mine.gin').write_text('train_ddqn.n_step = 0\n')
    assert f"in '{tmp_path}/mine.gin', line 1)" in fails(
        capsys, train_ddqn, root, '--gin_file=~/mine.gin'
    )


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


def checks(capsys, gin_file, *bindings):
    """What --check_only says of a gin file, as (exit code, standard error)."""
    flags = [f'--gin_bindings={binding}' for binding in bindings]
    root = gin_file.parent / 'run'
    code = train_ddqn.main(
        ['driver', f'--root_dir={root}', f'--gin_file={gin_file}', '--check_only', *flags]
    )
    assert not root.exists()
    return code, capsys.readouterr().err


def test_a_file_is_included_from_beside_the_one_that_includes_it(tmp_path, capsys):
    below = tmp_path / 'below'
    below.mkdir()
    top = tmp_path / 'top.gin'
    top.write_text("include 'below/middle.gin'\ntrain_ddqn.gamma = 0.5\n")
    (below / 'middle.gin').write_text("from os import path\ninclude 'base.gin'\nUNITS = (8,)\n")
    (below / 'base.gin').write_text(
        "include 'configs/ddqn_cartpole.gin'\nG = 0.9\n"
        'mlp_torso.units = %UNITS\ntrain_ddqn.gamma = %G\n'
    )
    assert checks(capsys, top) == (0, '')
    (below / 'base.gin').write_text("include '../top.gin'\n")
    assert 'leads back to itself' in checks(capsys, top)[1]
    (below / 'base.gin').unlink()
    assert "includes 'base.gin', which is neither beside it" in checks(capsys, top)[1]


@pytest.mark.parametrize(
    ('binding', 'idle'),
    [
        ('make_q_network.torso = @my_torso', 'mlp_torso.units = (8,)'),
        ('train_ddqn.noisy = False', 'train_ddqn.noisy = True\nNoisyDense.sigma0 = 0.3'),
        ('train_ddqn.gamma = 0.5', 'G = 0.9\ntrain_ddqn.gamma = %G'),
        ('QLearningAgent.epsilon = 0.1', ''),  # of the shipped file
    ],
)
def test_what_a_later_choice_makes_idle_is_forgiven(tmp_path, capsys, monkeypatch, binding, idle):
    """Whether it is made on the command line, or in a file that includes the other."""
    (tmp_path / 'my_torso_module.py').write_text(
        'import gin, tensorflow as tf\n\n@gin.configurable\n'
        'def my_torso(observation_spec, dtype_policy):\n    return tf.keras.layers.Flatten()\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    base, mine = tmp_path / 'base.gin', tmp_path / 'mine.gin'
    base.write_text(f"import my_torso_module\ninclude 'configs/ddqn_cartpole.gin'\n{idle}\n")
    mine.write_text(f"include 'base.gin'\n{binding}\n")
    assert checks(capsys, base) == (0, '')
    assert checks(capsys, base, binding) == (0, '')
    assert checks(capsys, mine) == (0, '')
    # A number is not a choice, and makes nothing idle.
    base.write_text(base.read_text() + 'BlindScale = 0.1\n')
    assert "'BlindScale = 0.1' is used by nothing" in checks(capsys, base, 'train_ddqn.n_step=2')[1]
