"""The pixel pipeline from screen to proven policies, small, with everything real."""

import functools
import json
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tf_agents.trajectories import time_step as ts

from agents.raw_screen_policy import ScreensToFrame
from envs.task import Task
from pipelines import evaluate, train_ddqn
from pipelines.runs import export
from tests.pipelines.whole_runs import RunsOfOneProof, command, is_proven, progress, read_json

SMALL = {
    'train_ddqn.num_env_steps': 1_200,
    'train_ddqn.num_envs': 4,
    'train_ddqn.min_replay_transitions': 400,
    'train_ddqn.num_eval_episodes': 2,
    'train_ddqn.num_selection_episodes': 2,
    'train_ddqn.eval_interval_env_steps': 1_200,
    'train_ddqn.checkpoint_interval_env_steps': 400,
    'train_ddqn.log_interval_env_steps': 200,
    'train_ddqn.video_interval_episodes': 6,
    'train_ddqn.max_train_steps_per_turn': 16,
    'conv_torso.layers': '((8, 8, 4), (8, 4, 2))',
    'make_q_network.stream_units': '(16,)',
    'make_q_network.plain_units': '(16,)',
    'Replay.capacity_transitions': 2_000,
    'atari.max_frames_per_episode': 400,  # 100 agent steps
}
SMALLER = {
    'train_ddqn.num_env_steps': 800,
    'train_ddqn.video_interval_episodes': None,
    'atari.max_frames_per_episode': 200,
    'atari.frame_height': 42,
    'atari.frame_width': 36,
}


def arguments(root_dir, bindings=()):
    merged = SMALL | dict(bindings)
    return [
        'driver',
        f'--root_dir={root_dir}',
        '--gin_file=configs/ddqn_space_invaders.gin',
        *(f'--gin_bindings={name}={value}' for name, value in merged.items()),
    ]


@pytest.fixture(scope='module')
def run_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp('space_invaders')
    assert train_ddqn.main(arguments(directory)) == 0
    return directory


@pytest.mark.slow
def test_a_run_leaves_everything_it_promises(run_dir):
    summary = read_json(run_dir, 'summary.json')
    assert summary['frames_per_env_step'] == 4
    assert summary['train_steps_per_env_step'] == pytest.approx(0.25, abs=0.001)
    # 16 train steps may pass between the weights that act and the newest.
    assert 0 < summary['max_policy_lag_train_steps'] <= 16
    for name in ('policy', 'policy_raw'):
        assert is_proven(run_dir / name)
    videos = sorted(path.name for path in (run_dir / 'videos').iterdir())
    assert 'final.gif' in videos and any(name.startswith('after_') for name in videos)
    with Image.open(run_dir / 'videos' / 'final.gif') as image:
        assert image.n_frames == 101 and image.size == (590, 420)
    card = read_json(run_dir, 'policy/policy_card.json')
    assert card['env_options']['protocol'] == 'machado'
    assert card['action_meanings'] == ['NOOP', 'FIRE', 'RIGHT', 'LEFT', 'RIGHTFIRE', 'LEFTFIRE']
    lags = {float(row['max_policy_lag_train_steps'] or 0) for row in progress(run_dir)}
    assert max(lags) == summary['max_policy_lag_train_steps']


@pytest.mark.slow
def test_an_exported_policy_is_evaluated_as_it_was_trained(run_dir, tmp_path, capsys):
    """The card says which protocol; gin is not asked."""
    report, video = tmp_path / 'a.json', tmp_path / 'a.gif'
    flags = ['driver', f'--policy_dir={run_dir / "policy"}', '--episodes=2', '--epsilon=0.01']
    assert evaluate.main([*flags, f'--json={report}', f'--video={video}']) == 0
    assert len(json.loads(report.read_text())['returns']) == 2
    assert evaluate.main([*flags, '--episodes=1', f'--json={report}']) == 0
    assert len(json.loads(report.read_text())['returns']) == 1
    with Image.open(video) as image:
        assert image.n_frames == 101  # the limit of 100 agent steps is the card's
    assert evaluate.main([*flags[:1], f'--policy_dir={run_dir / "policy_raw"}']) == 2
    assert 'does not fit' in capsys.readouterr().err


@pytest.mark.slow
def test_raw_screens_and_frames_lead_to_the_same_values(run_dir):
    """The environment and its emulator side by side, each policy with a state of its own.

    On the frame that TensorFlow makes of a screen the two policies are one function. OpenCV's frame
    may differ by a grey level here and there, which turns the action of a network as little
    trained as this one where two values are nearly equal: so values are compared.
    `benchmarks/raw_parity.py` counts the equal actions of a trained one.
    """
    task = Task.from_card(read_json(run_dir, 'policy/policy_card.json'))
    env, emulator = task.evaluation_envs(1), task.emulator()
    frame_size = task.atari.frame_height, task.atari.frame_width
    to_frame = ScreensToFrame(emulator.screen_size, frame_size, task.atari.max_pool)
    policy, raw_policy = (
        export.LoadedPolicy(str(run_dir / name)) for name in ('policy', 'policy_raw')
    )
    state, twin_state, raw_state = (p.get_initial_state(1) for p in (policy, policy, raw_policy))
    step, screens = env.reset(seed=1), emulator.reset(seed=1)
    pixels_off = []
    for _ in range(300):
        made = to_frame(tf.constant(screens[np.newaxis]))

        def seen(observation, kind=step.step_type):
            return ts.TimeStep(tf.constant(kind), tf.zeros([1]), tf.ones([1]), observation)

        outputs, state = policy.outputs(seen(tf.constant(step.observation)), state)
        twin, twin_state = policy.outputs(seen(made), twin_state)
        raw, raw_state = raw_policy.outputs(seen(tf.constant(screens[np.newaxis])), raw_state)
        action = outputs['action'].numpy()
        if step.is_last()[0]:
            step, screens = env.step(action), emulator.reset()
            continue
        np.testing.assert_array_equal(raw['q_values'], twin['q_values'])
        np.testing.assert_array_equal(raw['action'], twin['action'])
        np.testing.assert_allclose(raw['q_values'], outputs['q_values'], atol=5e-3)
        difference = np.abs(made.numpy().astype(int) - step.observation)
        assert difference.max() <= 1
        pixels_off.append(difference.mean())
        step, (screens, reward, _) = env.step(action), emulator.step(int(action[0]))
        assert reward == env.raw_reward[0]
    assert np.mean(pixels_off) < 1e-3


@pytest.mark.slow
def test_a_wrong_shape_is_named(run_dir):
    act = tf.saved_model.load(str(run_dir / 'policy_raw')).signatures['act']
    state = tf.zeros([1, 3, 84, 84], tf.uint8)
    message = r'observation must be uint8 \[B, 2, 210, 160, 3\]'
    for shape in ([1, 1, 210, 160, 3], [1, 2, 160, 210, 3]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            act(observation=tf.zeros(shape, tf.uint8), reset=tf.constant([True]), state=state)


@pytest.mark.slow
def test_the_example_plays(run_dir):
    script = pathlib.Path(train_ddqn.__file__).parents[1] / 'examples' / 'play_raw.py'
    assert len(script.read_text().splitlines()) <= 60
    done = subprocess.run(
        [sys.executable, '-I', script, run_dir / 'policy_raw'], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ' points in ' in done.stdout and done.stderr == ''


@pytest.mark.slow
def test_a_stopped_run_resumes(tmp_path, capsys):
    """SIGTERM in the middle; the second start finishes with the ratio exact."""
    flags = arguments(tmp_path, SMALLER | {'train_ddqn.num_env_steps': 1_600})
    process = subprocess.Popen(command('train_ddqn', *flags[1:]), stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if ' env steps: ' in line and ', loss -' not in line:
            process.send_signal(signal.SIGTERM)
            break
    assert 'stopped at' in process.stdout.read() and process.wait() == 75
    assert train_ddqn.main(flags) == 0
    assert 'resuming from' in capsys.readouterr().out
    ratio = read_json(tmp_path, 'summary.json')['train_steps_per_env_step']
    assert ratio == pytest.approx(0.25, abs=0.001)


OTHERS = {
    'Breakout': {'train_ddqn.env_name': "'ALE/Breakout-v5'"},
    'Pong without dueling': {'train_ddqn.env_name': "'ALE/Pong-v5'", 'train_ddqn.dueling': False},
    'the tutorial protocol in float32': {
        'atari.protocol': "'tutorial'",
        'make_q_network.compute_dtype': "'float32'",
    },
    'single steps in single items, in turns': {
        'train_ddqn.overlap': False,
        'train_ddqn.n_step': 1,
        'Replay.transitions_per_item': 1,
    },
    'prioritised': {'train_ddqn.prioritised': True},
}


@pytest.fixture(scope='module')
def others(tmp_path_factory):
    """A smaller run for each."""

    def of(bindings, root):
        return arguments(root, SMALLER | bindings)

    programs = {
        name: (train_ddqn, functools.partial(of, bindings)) for name, bindings in OTHERS.items()
    }
    return RunsOfOneProof(tmp_path_factory.mktemp('others'), programs)


@pytest.mark.slow
@pytest.mark.parametrize('name', OTHERS)
def test_other_games_and_switches_run_by_bindings_alone(others, name):
    others.run(name)
    assert is_proven(others.policy(name)) and is_proven(others.policy(name, 'policy_raw'))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('bindings', 'message'),
    [
        ({'train_ddqn.env_name': "'ALE/SpaceInvader-v5'"}, 'did you mean ALE/SpaceInvaders-v5'),
        ({'train_ddqn.env_name': "'Pendulum-v1'"}, 'Q-learning needs discrete ones'),
        ({'train_ddqn.env_name': "'CartPole-v1'"}, 'gives no pictures (float32 [4])'),
        ({'atari.frame_height': 12}, '12x84 are 2x20 before layer 2'),
        ({'train_ddqn.frame_stack': 0}, 'train_ddqn.frame_stack = 0'),
        ({'train_ddqn.frame_stack': None}, 'sees single frames'),
        ({'atari.protocol': "'dopamine'"}, "atari.protocol = 'dopamine'"),
        ({'make_q_network.compute_dtype': "'float16'"}, "compute_dtype = 'float16'"),
        ({'train_ddqn.eval_epsilon': 2}, 'eval_epsilon = 2'),
        ({'train_ddqn.video_interval_episodes': 0}, 'video_interval_episodes = 0'),
    ],
)
def test_bad_input_gets_one_line(tmp_path, capsys, bindings, message):
    assert train_ddqn.main(arguments(tmp_path, bindings)) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1
    assert message in error
