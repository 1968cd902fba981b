"""The driver from flags to proven policies, at tiny size, with everything real."""

import functools
import shutil
import signal
import subprocess
import types
from unittest import mock

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.envs.classic_control import PendulumEnv

from pipelines import evaluate, train_reinforce
from pipelines.runs import report
from tests.pipelines.whole_runs import (
    RunsOfOneProof,
    command,
    episodes,
    is_proven,
    newest_state,
    printed,
    progress,
    read_json,
)  # fmt: skip

SMALL = {
    'train_reinforce.num_episodes': 48,
    'train_reinforce.num_envs': 4,
    'train_reinforce.num_eval_episodes': 5,
    'train_reinforce.num_selection_episodes': 3,
    'train_reinforce.eval_interval_episodes': 16,
    'train_reinforce.checkpoint_interval_episodes': 16,
    'train_reinforce.log_interval_episodes': 8,
}
LONGER = {'num_episodes': 80}

gym.register('ShortPendulum-v0', PendulumEnv, max_episode_steps=30)


def arguments(root_dir, gin_file='configs/reinforce_cartpole.gin', seed=7, **bindings):
    """Flags; a binding without a dot is one of `train_reinforce`."""
    ours = {n if '.' in n else f'train_reinforce.{n}': value for n, value in bindings.items()}
    return [
        'driver',
        f'--root_dir={root_dir}',
        f'--gin_file={gin_file}',
        f'--seed={seed}',
        *(f'--gin_bindings={name}={value}' for name, value in (SMALL | ours).items()),
    ]


def act_signature(policy_dir):
    return tf.saved_model.load(str(policy_dir)).signatures['act']


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A finished run that nothing may change: `root` and what it printed, `out` and `err`."""
    root = tmp_path_factory.mktemp('finished')
    with printed() as said:
        assert train_reinforce.main(arguments(root, log_every_episode=True)) == 0
    return types.SimpleNamespace(root=root, out=said.out, err=said.err)


@pytest.fixture(scope='module')
def longer(finished, tmp_path_factory):
    """The same run made longer in two starts, the first of which dies while it finishes.

    `code`, `out` and `err` are of the first, `left` is what it left, `root` is the run in the end.
    """
    root = tmp_path_factory.mktemp('longer') / 'copy'
    shutil.copytree(finished.root, root)
    dies = mock.patch.object(
        report, 'write', side_effect=lambda *args, **kwargs: signal.raise_signal(signal.SIGTERM)
    )
    with printed() as said, dies:
        code = train_reinforce.main(arguments(root, **LONGER))
    left = read_json(root, 'summary.json')
    assert train_reinforce.main(arguments(root, **LONGER)) == 0
    return types.SimpleNamespace(root=root, code=code, out=said.out, err=said.err, left=left)


@pytest.mark.slow
def test_a_run_leaves_everything_it_promises(finished):
    root, out = finished.root, finished.out
    assert finished.err == ''  # no TensorFlow, XLA, Gym or Reverb noise
    assert 'reinforce, baseline value on CartPole-v1, seed 7' in out and 'Next:' in out
    summary, rows = read_json(root, 'summary.json'), progress(root)
    assert (summary['episodes'], summary['train_steps']) == (48, 12)
    assert len(summary['eval_returns']) == 5
    assert [int(row['episodes']) for row in rows][-1] == 48
    # Every env step of CartPole is a point of some episode's return.
    assert summary['env_steps'] == pytest.approx(48 * float(rows[-1]['return_mean_100']), rel=1e-5)
    # An episode's loss is that of the update that trained on it; a row of progress.csv covers two.
    each = episodes(root)
    assert [int(row['episode']) for row in each] == list(range(1, 49))
    assert all(row['return'] == row['length'] for row in each)
    assert int(each[-1]['env_steps']) == summary['env_steps']
    losses = [float(row['avg_loss']) for row in each]
    updates = [losses[i : i + 4] for i in range(0, 48, 4)]
    assert all(len(set(update)) == 1 for update in updates) and len(set(losses)) == 12
    assert [float(row['loss']) for row in rows] == pytest.approx(
        [(losses[i] + losses[i + 4]) / 2 for i in range(0, 48, 8)], rel=1e-4
    )
    lines = [line for line in out.splitlines() if line.startswith('episode ')]
    assert len(lines) == 48
    first = each[0]
    assert lines[0] == (
        f'episode 1: return {first["return"]}, length {first["length"]}, avg loss {losses[0]:.4g}'
    )
    for name, output in (('policy', 'probabilities'), ('policy_stochastic', 'probabilities')):
        assert is_proven(root / name)
        assert act_signature(root / name)(observation=tf.zeros([3, 4]))[output].shape == (3, 2)
    assert (root / 'curve.png').exists() and (root / 'config.gin').exists()


@pytest.mark.slow
def test_the_stochastic_policy_draws_by_its_probabilities(finished, tmp_path):
    act = act_signature(finished.root / 'policy_stochastic')
    out = act(observation=tf.zeros([20_000, 4]))
    share, wanted = float(np.mean(out['action'])), float(out['probabilities'][0, 1])
    assert abs(share - wanted) < 4 * np.sqrt(0.25 / 20_000)
    greedy = act_signature(finished.root / 'policy')
    assert len(set(greedy(observation=tf.zeros([100, 4]))['action'].numpy())) == 1
    again = act_signature(finished.root / 'policy_stochastic')
    other = again(observation=tf.zeros([20_000, 4]))
    assert (other['action'].numpy() != out['action'].numpy()).any()  # no seed baked in
    for name in ('policy', 'policy_stochastic'):
        flags = [f'--policy_dir={finished.root / name}', '--episodes=3', '--epsilon=0.1']
        files = [f'--json={tmp_path / "a.json"}', f'--video={tmp_path / "play.gif"}']
        assert evaluate.main(['driver', *flags, *files]) == 0


@pytest.mark.slow
def test_continuous_actions_are_filmed_and_never_uniformly_random(tmp_path, capsys):
    few = {
        'env_name': "'ShortPendulum-v0'", 'num_episodes': 4, 'num_envs': 2,
        'video_interval_episodes': 2,
    }  # fmt: skip
    assert train_reinforce.main(arguments(tmp_path, 'configs/reinforce_pendulum.gin', **few)) == 0
    assert len(list((tmp_path / 'videos').glob('*.gif'))) == 3
    flags = ['driver', f'--policy_dir={tmp_path / "policy"}', '--episodes=2', '--epsilon=0.1']
    assert evaluate.main(flags) == 2
    assert 'random actions need discrete ones' in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_a_signal_ends_while_it_finishes_finishes_the_next_time(finished, longer):
    assert longer.code == 75 and 'stopped by SIGTERM; run the same command' in longer.err
    assert longer.left == read_json(finished.root, 'summary.json')  # of the shorter run
    assert is_proven(longer.root / 'policy')
    assert read_json(longer.root, 'summary.json')['train_steps'] == 20


@pytest.mark.slow
def test_a_finished_run_says_so(finished, tmp_path, capsys):
    root = shutil.copytree(finished.root, tmp_path / 'copy')
    assert train_reinforce.main(arguments(root)) == 0
    assert 'is finished' in capsys.readouterr().out


@pytest.mark.slow
def test_a_longer_run_resumes_where_the_finished_one_ended(finished, longer):
    first = progress(finished.root)
    assert 'resuming from 48 episodes' in longer.out
    assert progress(longer.root)[: len(first)] == first
    each = episodes(longer.root)
    assert [int(row['episode']) for row in each] == list(range(1, 81))
    assert each[:48] == episodes(finished.root)
    summary = read_json(longer.root, 'summary.json')
    assert (summary['episodes'], summary['train_steps']) == (80, 20)


@pytest.mark.slow
def test_a_killed_run_resumes(tmp_path, capsys):
    flags = arguments(tmp_path, num_episodes=4_000)
    process = subprocess.Popen(
        command('train_reinforce', *flags[1:]), stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if ' 48 episodes: ' in line:
            process.kill()
            break
    process.communicate()
    shorter = '--gin_bindings=train_reinforce.num_episodes=96'
    assert train_reinforce.main([*flags, shorter]) == 0
    assert 'resuming from' in capsys.readouterr().out
    summary = read_json(tmp_path, 'summary.json')
    each = episodes(tmp_path)
    assert [int(row['episode']) for row in each] == list(range(1, summary['episodes'] + 1))
    assert summary['episodes'] >= 96 and summary['train_steps_per_episode'] == 1 / 4


SHOWN = {
    'configs/reinforce_pendulum.gin': {'action', 'mu', 'sigma', 'value'},
    'configs/reinforce_lqr.gin': {'action', 'mu', 'sigma', 'value'},
    'configs/reinforce_gaussian_bandit.gin': {'action', 'mu', 'sigma'},
    'configs/reinforce_cartpole_tutorial.gin': {'action', 'probabilities'},
    'configs/reinforce_cartpole_two_heads.gin': {'action', 'probabilities', 'value'},
}
GAME = {
    'env_name': "'ALE/SpaceInvaders-v5'", 'num_episodes': 2, 'num_eval_episodes': 1,
    'num_selection_episodes': 1, 'atari.max_frames_per_episode': 100,
    'atari.frame_height': 21, 'atari.frame_width': 16,
}  # fmt: skip


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A short run of each config, and one of a game."""

    def of_config(gin_file, root):
        few = {'num_episodes': 8, 'num_selection_episodes': 1, 'eval_interval_episodes': 8}
        return arguments(root, gin_file, num_envs=2, num_eval_episodes=2, **few)

    programs = {
        gin_file: (train_reinforce, functools.partial(of_config, gin_file)) for gin_file in SHOWN
    } | {'game': (train_reinforce, lambda root: arguments(root, num_envs=2, **GAME))}
    return RunsOfOneProof(tmp_path_factory.mktemp('trained'), programs)


@pytest.mark.slow
@pytest.mark.parametrize(('gin_file', 'shown'), SHOWN.items())
def test_every_config_trains_and_exports(trained, gin_file, shown):
    for exported in ('policy', 'policy_stochastic'):
        policy_dir = trained.policy(gin_file, exported)
        assert is_proven(policy_dir)
        assert set(act_signature(policy_dir).structured_outputs) == shown


@pytest.mark.slow
def test_an_atari_game_trains_and_says_that_it_exports_no_raw_policy(trained):
    assert 'no policy_raw/: it takes a Q-network' in trained.output('game')
    assert is_proven(trained.policy('game'))


class _Nan(gym.Env):
    """The reward of the 66th step of all is not a number; the first was a trial before the run."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed=None, options=None):
        self.left = 10
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps, self.left = self.steps + 1, self.left - 1
        reward = np.nan if self.steps == 66 else 1.0
        return np.zeros(1, np.float32), reward, self.left == 0, False, {}


@pytest.mark.slow
def test_nan_rewards_stop_with_the_checkpoint_kept(tmp_path, capsys):
    gym.register('Nan-v0', _Nan)
    flags = arguments(
        tmp_path, env_name="'Nan-v0'", num_envs=1, checkpoint_interval_episodes=2,
    )  # fmt: skip
    assert train_reinforce.main(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1
    assert "'Nan-v0', episode 7, step 5: the reward is nan; fix it and run the same" in error
    assert newest_state(tmp_path)['env_steps'] == 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ('gin_file', 'bindings', 'message'),
    [
        ('reinforce_cartpole', {'env_name': "'CartPole-v9'"}, 'CartPole-v1'),
        ('reinforce_pendulum', {'env_name': "'CartPole-v1'"}, 'actions are discrete'),
        ('reinforce_cartpole', {'env_name': "'Pendulum-v1'"}, 'actions are continuous'),
        (
            'reinforce_lqr',
            {'make_actor_critic_network.policy': "'squashed_gaussian'"},
            'no bounds',
        ),
        ('reinforce_cartpole', {'baseline': "'mean'"}, "baseline = 'mean'"),
        ('reinforce_cartpole', {'num_envs': 100}, 'num_envs = 100'),
        ('reinforce_cartpole', {'gamma': 1.5}, 'gamma = 1.5'),
        ('reinforce_cartpole', {'num_episodes': 0}, 'num_episodes = 0'),
        ('reinforce_cartpole', {'x_axis': "'steps'"}, "x_axis = 'steps': must be one of ('env_st"),
        ('reinforce_cartpole', {'log_every_episode': 3}, 'log_every_episode = 3'),
        ('reinforce_cartpole', {'mlp_torso.unit': '(3,)'}, 'did you mean units'),
        ('reinforce_lqr', {'video_interval_episodes': 5}, 'render'),
    ],
)
def test_bad_input_gets_one_line(tmp_path, capsys, gin_file, bindings, message):
    assert train_reinforce.main(arguments(tmp_path, f'configs/{gin_file}.gin', **bindings)) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1
    assert message in error
