import json
import subprocess

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from pipelines import evaluate
from pipelines.runs import export
from tests.pipelines.random_policies import random_export
from tests.pipelines.whole_runs import command


@pytest.fixture(scope='module')
def policy_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp('run')
    exports = {'policy': random_export()}
    with export.proven_exports(root, exports, {'env_name': 'CartPole-v1'}):
        pass
    return root / 'policy'


def run(policy_dir, *flags):
    return evaluate.main(['driver', f'--policy_dir={policy_dir}', *flags])


def test_statistics_by_hand():
    result = evaluate.statistics(np.array([1.0, 2.0, 3.0, 10.0]))
    assert (result['mean'], result['median'], result['min'], result['max']) == (4.0, 2.5, 1.0, 10.0)
    low, high = result['mean_interval_95']
    assert 1.0 <= low < 4.0 < high <= 10.0
    assert evaluate.statistics(np.array([7.0]))['mean_interval_95'] == [7.0, 7.0]
    assert evaluate.statistics(np.array([5.0, 5.0]))['mean_interval_95'] == [5.0, 5.0]


@pytest.mark.slow
def test_an_evaluation_repeats_and_writes_every_return(policy_dir, tmp_path, capsys):
    reports = []
    for name, seed in (('a', 1), ('b', 1), ('c', 2)):
        path = tmp_path / f'{name}.json'
        assert run(policy_dir, '--episodes=7', f'--seed={seed}', f'--json={path}') == 0
        reports.append(json.loads(path.read_text()))
    assert '7 episodes: mean' in capsys.readouterr().out
    assert len(reports[0]['returns']) == 7
    assert reports[0] == reports[1]
    assert reports[0]['returns'] != reports[2]['returns']


def test_a_run_is_named_by_its_directory_and_nothing_is_written_unasked(policy_dir, capsys):
    before = sorted(policy_dir.parent.rglob('*'))
    assert run(policy_dir.parent, '--episodes=1') == 0
    assert 'CartPole-v1, 1 episodes: mean' in capsys.readouterr().out
    assert sorted(policy_dir.parent.rglob('*')) == before


def test_a_run_that_has_exported_nothing_is_told_from_a_wrong_path(tmp_path, capsys):
    (tmp_path / 'checkpoints').mkdir()
    assert run(tmp_path) == 2
    assert 'a run that has exported no policy yet' in capsys.readouterr().err


def test_epsilon_changes_play(policy_dir, tmp_path):
    for name, epsilon in (('greedy', 0.0), ('random', 1.0)):
        path = tmp_path / f'{name}.json'
        assert run(policy_dir, '--episodes=9', f'--epsilon={epsilon}', f'--json={path}') == 0
    greedy, random = (
        json.loads((tmp_path / f'{name}.json').read_text())['returns']
        for name in ('greedy', 'random')
    )
    assert greedy != random


@pytest.mark.slow
def test_a_video_is_one_episode_of_frames(policy_dir, tmp_path):
    video = tmp_path / 'play.gif'
    assert run(policy_dir, '--episodes=1', f'--video={video}', f'--json={tmp_path / "a.json"}') == 0
    with Image.open(video) as image:
        assert image.n_frames >= 8 and image.size == (870, 400)  # the screen and its panel


@pytest.mark.slow
def test_an_environment_that_does_not_fit_is_refused(policy_dir, capsys):
    assert run(policy_dir, '--env_name=Taxi-v3') == 2
    assert 'does not fit' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('flags', 'why'),
    [
        (['--json={tmp}'], 'it is a directory'),
        (['--json=/nowhere/at/all.json'], 'there is no directory'),
        (['--video={tmp}/no/a.gif'], 'there is no directory'),
        (['--video={tmp}/a.png'], 'must end in .gif'),
        (['--json={tmp}/a.gif', '--video={tmp}/a.gif'], 'choose another'),
    ],
)
def test_outputs_are_checked_before_anything_is_loaded(tmp_path, capsys, flags, why):
    assert run('/nowhere', *(flag.format(tmp=tmp_path) for flag in flags)) == 2
    error = capsys.readouterr().err
    assert why in error and error.startswith('error: --') and error.count('\n') == 1
    assert not list(tmp_path.iterdir())


def test_a_report_that_cannot_be_written_in_the_end_is_one_line(policy_dir, capsys):
    assert run(policy_dir, '--episodes=1', '--json=/dev/full') == 2
    assert "--json='/dev/full' cannot be written: No space left" in capsys.readouterr().err


def test_a_policy_of_elsewhere_is_said_to_be_a_program_once(
    policy_dir, tmp_path, monkeypatch, capsys
):
    assert run(policy_dir, '--episodes=1') == 0  # made here
    assert 'a SavedModel is a program' not in capsys.readouterr().out
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path))
    for times in (1, 0):
        assert run(policy_dir, '--episodes=1') == 0
        assert capsys.readouterr().out.count('a SavedModel is a program, and this one') == times


@pytest.mark.slow
def test_in_a_sandbox_it_gives_the_same_report(policy_dir, tmp_path):
    flags = ['--episodes=3', '--seed=5']
    free, shut_in = tmp_path / 'free.json', tmp_path / 'shut_in.json'
    assert run(policy_dir, *flags, f'--json={free}') == 0
    done = subprocess.run(
        command('evaluate', f'--policy_dir={policy_dir}', '--sandbox', *flags, f'--json={shut_in}',
                f'--video={tmp_path / "a.gif"}'),
        capture_output=True, text=True,
    )  # fmt: skip
    if 'a process cannot be shut in here' in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert shut_in.read_text() == free.read_text()
    assert '3 episodes: mean' in done.stdout and 'frames are in' in done.stdout
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        'a.gif',
        'free.json',
        'shut_in.json',
    ]


def test_a_wish_for_a_sandbox_is_never_passed_over(policy_dir, capsys):
    assert run(policy_dir, '--sandbox') == 2  # this process has threads
    assert 'error: --sandbox: a process cannot be shut in here' in capsys.readouterr().err


class _Dark(gym.Env):
    """CartPole's spaces, an episode of one step, and no pictures."""

    metadata = {'render_modes': []}
    observation_space = gym.spaces.Box(-1.0, 1.0, (4,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        del render_mode

    def reset(self, *, seed=None, options=None):
        return np.zeros(4, np.float32), {}

    def step(self, action):
        return np.zeros(4, np.float32), 1.0, True, False, {}

    def render(self):
        return None


class _Darker(_Dark):
    def __init__(self):
        pass


@pytest.mark.slow
@pytest.mark.parametrize('env_class', [_Dark, _Darker])
def test_a_video_of_what_draws_nothing_is_refused(policy_dir, tmp_path, capsys, env_class):
    gym.register(f'{env_class.__name__}-v0', env_class)
    flags = [f'--env_name={env_class.__name__}-v0', f'--video={tmp_path / "a.gif"}']
    assert run(policy_dir, '--episodes=1', f'--json={tmp_path / "a.json"}', *flags) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1
