"""Environments that cannot be used, or no longer: one line, exit code 2, nothing lost."""

import pathlib
import re
import tempfile

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Discrete, MultiBinary

from pipelines import assembly, gin_config, train_ddqn, train_reinforce
from pipelines.settings import DdqnSettings, ReinforceSettings
from tests.envs.fakes import UNIT, Scripted, registered
from tests.pipelines.whole_runs import newest_state, stopped_after

SMALL = {
    'num_env_steps': 2_000,
    'num_envs': 2,
    'min_replay_transitions': 100,
    'num_eval_episodes': 1,
    'num_selection_episodes': 1,
    'checkpoint_interval_env_steps': 400,
    'eval_interval_env_steps': 2_000,
    'train_steps_per_env_step': 0.1,
}


def fails(capsys, program, root, **bindings):
    """Runs a training program; returns its one line of error."""
    name = program.__name__.removeprefix('pipelines.')
    flags = [f'--gin_bindings={name}.{key} = {value!r}' for key, value in bindings.items()]
    flags += ['--gin_bindings=mlp_torso.units = (8,)']
    gin_file = '--gin_file=configs/' + {'train_ddqn': 'ddqn_cartpole', 'train_reinforce':
                                        'reinforce_cartpole'}[name] + '.gin'  # fmt: skip
    assert program.main(['driver', f'--root_dir={root}', gin_file, *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1, error
    return error


def boom():
    raise RuntimeError('boom')


class _CannotBeMade(gym.Env):
    def __init__(self):
        boom()


class _OldReset(Scripted):
    def reset(self):
        return np.zeros(3, np.float32)


@pytest.mark.parametrize('program', [train_ddqn, train_reinforce])
@pytest.mark.parametrize(
    ('make', 'kwargs', 'words'),
    [
        (_OldReset, {}, '_OldReset.reset takes no seed and no options, as in the old Gym'),
        (Scripted, {'at': {1: lambda: (np.zeros(3), 1.0, False, {})}}, 'step returned 4 values'),
        (
            Scripted,
            {'observe': lambda t: np.zeros(4)},
            'the shape (4,), its space Box(-1.0, 1.0, (3,)',
        ),
        (Scripted, {'space': gym.spaces.Text(3)}, 'the observation has the space Text'),
        (_CannotBeMade, {}, 'cannot be made: RuntimeError: boom (environment_faults_test.py'),
    ],
)
def test_what_is_wrong_at_once_is_told_before_anything_is_written(
    tmp_path, capsys, program, make, kwargs, words
):
    root = tmp_path / 'run'
    with registered(make, **kwargs) as name:
        error = fails(capsys, program, root, env_name=name)
    assert words in error and "environment 'Scripted-v0'" in error
    assert not root.exists()
    if path := re.search(r'traceback is in (\S+)', error):
        file = pathlib.Path(path.group(1))
        assert file.parent == pathlib.Path(tempfile.gettempdir())
        assert 'in boom' in file.read_text()
        file.unlink()


def test_pictures_that_are_none_are_refused_before_training(tmp_path, capsys):
    root = tmp_path / 'run'
    with registered(Scripted) as name:  # its `render` is Gymnasium's, which raises
        error = fails(capsys, train_ddqn, root, env_name=name, video_interval_episodes=100)
    assert 'in `render`: it raised NotImplementedError' in error and not root.exists()


@pytest.mark.slow
def test_a_fault_in_mid_run_keeps_the_newest_checkpoint_and_is_resumed_from(tmp_path, capsys):
    """The 900th step of all copies breaks."""
    steps = iter(range(900))

    def reward(t):
        return 1.0 if next(steps, None) is not None else boom()

    bindings = SMALL | {'env_name': 'Scripted-v0'}
    with registered(Scripted, reward=reward):
        error = fails(capsys, train_ddqn, tmp_path, **bindings)
        path = tmp_path / 'environment_error.txt'
        assert re.search(r"'Scripted-v0', copy \d of 2, episode \d+, step \d: it raised Ru", error)
        assert f'RuntimeError: boom; its traceback is in {path}; fix it and run the' in error
        assert 'in reward' in path.read_text()
        env_steps = newest_state(tmp_path)['env_steps']
        assert env_steps >= 400

        steps = iter(range(10**6))  # mended
        flags = [f'--gin_bindings=train_ddqn.{k} = {v!r}' for k, v in bindings.items()]
        flags += ['--gin_bindings=mlp_torso.units = (8,)', '--gin_file=configs/ddqn_cartpole.gin']
        with stopped_after(1):
            assert train_ddqn.main(['driver', f'--root_dir={tmp_path}', *flags]) == 75
    assert f'resuming from {env_steps:,} env steps' in capsys.readouterr().out
    assert not path.exists()


SPACES = {
    'MultiBinary': (MultiBinary(6), lambda t: np.eye(6, dtype=np.int8)[t]),
    'uint16': (Box(0, 999, (3,), np.uint16), lambda t: np.full(3, t, np.uint16)),
    'int16 states': (Discrete(6, dtype=np.int16), np.int16),
    'a grid of bool': (Box(0, 1, (4, 4), bool), lambda t: np.arange(16).reshape(4, 4) == t),
}


@pytest.mark.parametrize('name', SPACES)
def test_observations_of_every_dtype_are_learned_from(tmp_path, name):
    space, observe = SPACES[name]
    gin_config.parse(
        None,
        [
            'mlp_torso.units = (8,)',
            'make_q_network.stream_units = (8,)',
            'QLearningAgent.epsilon = 1.0',
            'Replay.capacity_transitions = 2_000',
        ],
    )
    with registered(Scripted, space=space, observe=observe) as env_name:
        parts = assembly.assemble_ddqn(
            DdqnSettings(
                env_name=env_name, num_envs=2, batch_size=8, train_steps_per_env_step=0.25
            ),
            seed=0,
            replay_dir=tmp_path / 'replay',
        )
    with parts.replay:
        parts.collector.reset(seed=0)
        parts.collector.run(100)
        first = [v.numpy() for v in parts.agent.q_network.trainable_variables]
        assert np.isfinite(parts.learner.train(3)['loss'])
    seen = {observation.tobytes() for observation in parts.replay.newest_observations(40)}
    dtype = parts.training.envs.observation_spec().dtype
    assert seen == {np.asarray(observe(t)).astype(dtype).tobytes() for t in range(6)}
    changed = [v.numpy() for v in parts.agent.q_network.trainable_variables]
    assert any(not np.array_equal(a, b) for a, b in zip(first, changed))


def test_reinforce_learns_from_them_too():
    space, observe = SPACES['int16 states']
    gin_config.parse(None, ['mlp_torso.units = (8,)'])
    with registered(Scripted, space=space, observe=observe) as env_name:
        parts = assembly.assemble_reinforce(
            ReinforceSettings(env_name=env_name, num_envs=2, num_episodes=4), seed=0
        )
    with parts.queue:
        parts.collector.run(seed=0)
        assert np.isfinite(parts.learner.train()['loss'])
    assert list(parts.training.statistics.last_returns) == [15.0, 15.0]  # 1 + 2 + 3 + 4 + 5


def test_a_policy_that_diverged_is_not_blamed_on_the_environment():
    from tf_agents.trajectories import policy_step

    from envs.errors import EnvError
    from envs.task import Task
    from pipelines.errors import UserError
    from pipelines.loops.rollout import Rollout

    def act(time_step, policy_state):
        del time_step
        return policy_step.PolicyStep(tf.constant([[number]]), policy_state)

    box = Box(-1.0, 1.0, (1,), np.float32)
    for number, kind, words in ((np.nan, UserError, 'training diverged'), (0.5, EnvError, 'boom')):
        with registered(Scripted, at={1: boom}, actions=box, space=UNIT) as name:
            rollout = Rollout(Task(name).training_envs(1), act, (), lambda step: True)
            rollout.reset(seed=0)
            with pytest.raises(kind, match=words):
                rollout.run(3)
