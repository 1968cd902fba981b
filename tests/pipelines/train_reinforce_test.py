"""The driver from flags to proven policies, at tiny size, with everything real."""

import csv
import json
import pathlib
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from pipelines import evaluate, report, train_reinforce

SMALL = {
    'train_reinforce.num_episodes': 48,
    'train_reinforce.num_envs': 4,
    'train_reinforce.num_eval_episodes': 5,
    'train_reinforce.num_selection_episodes': 3,
    'train_reinforce.eval_interval_episodes': 16,
    'train_reinforce.checkpoint_interval_episodes': 16,
    'train_reinforce.log_interval_episodes': 8,
}


def arguments(root_dir, gin_file='configs/reinforce_cartpole.gin', seed=0, **bindings):
    merged = SMALL | {name.replace('__', '.'): value for name, value in bindings.items()}
    return [
        'driver',
        f'--root_dir={root_dir}',
        f'--gin_file={gin_file}',
        f'--seed={seed}',
        *(f'--gin_bindings={name}={value}' for name, value in merged.items()),
    ]


def read(root_dir, name):
    return json.loads((pathlib.Path(root_dir) / name).read_text())


def progress(root_dir):
    with open(pathlib.Path(root_dir) / 'progress.csv', newline='') as f:
        return list(csv.DictReader(f))


def test_a_run_leaves_everything_it_promises(tmp_path, capfd):
    assert train_reinforce.main(arguments(tmp_path, seed=7)) == 0
    out, err = capfd.readouterr()
    assert err == ''  # no TensorFlow, XLA, Gym or Reverb noise
    assert 'reinforce, baseline value on CartPole-v1, seed 7' in out and 'Next:' in out
    summary, rows = read(tmp_path, 'summary.json'), progress(tmp_path)
    assert (summary['episodes'], summary['train_steps']) == (48, 12)
    assert len(summary['eval_returns']) == 5
    assert [int(row['episodes']) for row in rows][-1] == 48
    # Every env step of CartPole is a point of some episode's return.
    assert summary['env_steps'] == pytest.approx(48 * float(rows[-1]['return_mean_100']), rel=1e-5)
    for name, output in (('policy', 'probabilities'), ('policy_stochastic', 'probabilities')):
        assert read(tmp_path, f'{name}/export_report.json')['proven']
        act = tf.saved_model.load(str(tmp_path / name)).signatures['act']
        assert act(observation=tf.zeros([3, 4]))[output].shape == (3, 2)
    assert (tmp_path / 'curve.png').exists() and (tmp_path / 'config.gin').exists()


@pytest.mark.slow
def test_the_stochastic_policy_draws_by_its_probabilities(tmp_path):
    assert train_reinforce.main(arguments(tmp_path)) == 0
    act = tf.saved_model.load(str(tmp_path / 'policy_stochastic')).signatures['act']
    out = act(observation=tf.zeros([20_000, 4]))
    share, wanted = float(np.mean(out['action'])), float(out['probabilities'][0, 1])
    assert abs(share - wanted) < 4 * np.sqrt(0.25 / 20_000)
    greedy = tf.saved_model.load(str(tmp_path / 'policy')).signatures['act']
    assert len(set(greedy(observation=tf.zeros([100, 4]))['action'].numpy())) == 1
    again = tf.saved_model.load(str(tmp_path / 'policy_stochastic')).signatures['act']
    other = again(observation=tf.zeros([20_000, 4]))
    assert (other['action'].numpy() != out['action'].numpy()).any()  # no seed baked in
    for name in ('policy', 'policy_stochastic'):
        flags = ['driver', f'--policy_dir={tmp_path / name}', '--episodes=3', '--epsilon=0.1']
        assert evaluate.main([*flags, f'--video={tmp_path / "play.gif"}']) == 0


@pytest.mark.slow
def test_continuous_actions_are_filmed_and_never_uniformly_random(tmp_path, capsys):
    few = dict(
        train_reinforce__num_episodes=4, train_reinforce__num_envs=2,
        train_reinforce__video_interval_episodes=2,
    )  # fmt: skip
    assert train_reinforce.main(arguments(tmp_path, 'configs/reinforce_pendulum.gin', **few)) == 0
    assert len(list((tmp_path / 'videos').glob('*.gif'))) == 3
    flags = ['driver', f'--policy_dir={tmp_path / "policy"}', '--episodes=2', '--epsilon=0.1']
    assert evaluate.main(flags) == 2
    assert 'random actions need discrete ones' in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_dies_while_it_finishes_finishes_the_next_time(tmp_path, monkeypatch):
    write = report.write

    def die(finished):
        monkeypatch.setattr(report, 'write', write)
        raise KeyboardInterrupt

    monkeypatch.setattr(report, 'write', die)
    assert train_reinforce.main(arguments(tmp_path)) == 130
    assert train_reinforce.main(arguments(tmp_path)) == 0
    assert read(tmp_path, 'policy/export_report.json')['proven']
    assert read(tmp_path, 'summary.json')['train_steps'] == 12


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path):
    flags = arguments(tmp_path, train_reinforce__num_episodes=4_000)[1:]
    command = [sys.executable, '-m', 'pipelines.train_reinforce', *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if ' 48 episodes: ' in line:
            process.kill()
            break
    process.wait()
    done = subprocess.run(
        [*command, '--gin_bindings=train_reinforce.num_episodes=96'], capture_output=True, text=True
    )
    assert done.returncode == 0 and 'going on from' in done.stdout, done.stderr
    summary = read(tmp_path, 'summary.json')
    assert summary['episodes'] >= 96 and summary['train_steps_per_episode'] == 1 / 4


@pytest.mark.slow
def test_an_atari_game_trains_and_says_that_it_exports_no_raw_policy(tmp_path, capsys):
    few = dict(
        train_reinforce__env_name="'ALE/SpaceInvaders-v5'", train_reinforce__num_episodes=2,
        train_reinforce__num_envs=2, train_reinforce__num_eval_episodes=1,
        train_reinforce__num_selection_episodes=1, atari__max_frames_per_episode=400,
        atari__frame_height=21, atari__frame_width=16,
    )  # fmt: skip
    assert train_reinforce.main(arguments(tmp_path, **few)) == 0
    assert 'no policy_raw/: it takes a Q-network' in capsys.readouterr().out


@pytest.mark.slow
def test_a_longer_run_goes_on(tmp_path, capsys):
    assert train_reinforce.main(arguments(tmp_path)) == 0
    first = progress(tmp_path)
    assert train_reinforce.main(arguments(tmp_path)) == 0
    assert 'is finished' in capsys.readouterr().out
    more = arguments(tmp_path, train_reinforce__num_episodes=80)
    assert train_reinforce.main(more) == 0
    assert 'going on from 48 episodes' in capsys.readouterr().out
    assert progress(tmp_path)[: len(first)] == first
    summary = read(tmp_path, 'summary.json')
    assert (summary['episodes'], summary['train_steps']) == (80, 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('gin_file', 'shown'),
    [
        ('configs/reinforce_pendulum.gin', {'action', 'mu', 'sigma', 'value'}),
        ('configs/reinforce_lqr.gin', {'action', 'mu', 'sigma', 'value'}),
        ('configs/reinforce_gaussian_bandit.gin', {'action', 'mu', 'sigma'}),
        ('configs/reinforce_cartpole_tutorial.gin', {'action', 'probabilities'}),
        ('configs/reinforce_cartpole_two_heads.gin', {'action', 'probabilities', 'value'}),
    ],
)
def test_every_config_trains_and_exports(tmp_path, gin_file, shown):
    few = dict(train_reinforce__num_episodes=8, train_reinforce__num_envs=2)
    assert train_reinforce.main(arguments(tmp_path, gin_file, **few)) == 0
    act = tf.saved_model.load(str(tmp_path / 'policy')).signatures['act']
    assert set(act.structured_outputs) == shown


class _Nan(gym.Env):
    """The reward of the 65th step of all is no number."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed=None, options=None):
        self.left = 10
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps, self.left = self.steps + 1, self.left - 1
        reward = np.nan if self.steps == 65 else 1.0
        return np.zeros(1, np.float32), reward, self.left == 0, False, {}


@pytest.mark.slow
def test_nan_rewards_stop_with_the_checkpoint_kept(tmp_path, capsys):
    gym.register('Nan-v0', _Nan)
    flags = arguments(
        tmp_path, train_reinforce__env_name="'Nan-v0'", train_reinforce__num_envs=1,
        train_reinforce__checkpoint_interval_episodes=2,
    )  # fmt: skip
    assert train_reinforce.main(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1
    assert 'reward nan in episode 7 at its step 5' in error
    newest = sorted((tmp_path / 'checkpoints').glob('0*'))[-1]
    assert json.loads((newest / 'state.json').read_text())['env_steps'] == 60


@pytest.mark.parametrize(
    ('gin_file', 'bindings', 'message'),
    [
        ('reinforce_cartpole', dict(train_reinforce__env_name="'CartPole-v9'"), 'CartPole-v1'),
        (
            'reinforce_pendulum',
            dict(train_reinforce__env_name="'CartPole-v1'"),
            'actions are discrete',
        ),
        (
            'reinforce_cartpole',
            dict(train_reinforce__env_name="'Pendulum-v1'"),
            'actions are continuous',
        ),
        (
            'reinforce_lqr',
            dict(make_actor_critic_network__policy="'squashed_gaussian'"),
            'no bounds',
        ),
        ('reinforce_cartpole', dict(train_reinforce__baseline="'mean'"), "baseline = 'mean'"),
        ('reinforce_cartpole', dict(train_reinforce__num_envs=100), 'num_envs = 100'),
        ('reinforce_cartpole', dict(train_reinforce__gamma=1.5), 'gamma = 1.5'),
        ('reinforce_cartpole', dict(train_reinforce__num_episodes=0), 'num_episodes = 0'),
        ('reinforce_cartpole', dict(mlp_torso__unit='(3,)'), 'did you mean units'),
        ('reinforce_lqr', dict(train_reinforce__video_interval_episodes=5), 'render'),
    ],
)
def test_bad_input_gets_one_line(tmp_path, capsys, gin_file, bindings, message):
    assert train_reinforce.main(arguments(tmp_path, f'configs/{gin_file}.gin', **bindings)) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1
    assert message in error
