"""Real ALE games: protocols, rewards and discounts."""

import numpy as np
import pytest
from tf_agents.trajectories import time_step as ts

from envs import atari, errors
from envs.task import Task

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))
SPACE_INVADERS = 'ALE/SpaceInvaders-v5'


def play(env, num_steps, seed=0):
    """Every time step of random play, and the raw rewards."""
    rng = np.random.default_rng(seed)
    steps, raw = [env.reset(seed=seed)], []
    num_actions = env.action_spec().maximum + 1
    for _ in range(num_steps):
        steps.append(env.step(rng.integers(num_actions, size=env.batch_size)))
        raw.append(env.raw_reward)
    return steps, np.array(raw)


def test_machado_is_the_default_and_gives_single_grey_frames():
    task = Task.configured(SPACE_INVADERS)
    env = task.training_envs(2)
    spec = env.observation_spec()
    assert spec.shape == (84, 84) and spec.dtype == np.uint8
    assert env.action_spec().maximum == 5
    assert task.atari.protocol == 'machado' and task.frames_per_env_step == 4
    assert 'sticky actions 0.25' in str(task.atari) and '27,000 agent steps' in str(task.atari)
    steps, raw = play(env, 300)
    rewards = np.array([step.reward for step in steps[1:]])
    assert raw.max() >= 5 and set(np.unique(rewards)) == {0.0, 1.0}
    np.testing.assert_array_equal(rewards, np.clip(raw, -1, 1))


def test_a_lost_life_means_nothing_in_machado_and_terminates_for_the_learner_in_nature():
    """Three lives: two discounts of 0 within an episode, and the one at its end."""
    steps, _ = play(Task(SPACE_INVADERS, atari.options()).training_envs(1), 600)
    kinds = np.array([int(step.step_type[0]) for step in steps])
    zero = np.array([step.discount[0] == 0.0 for step in steps])
    assert zero.any() and (kinds[zero] == LAST).all()

    task = Task(SPACE_INVADERS, atari.options('nature', noop_max=0))
    steps, _ = play(task.training_envs(1), 600)
    kinds = np.array([int(step.step_type[0]) for step in steps])
    zero = np.array([step.discount[0] == 0.0 for step in steps])
    ends = np.flatnonzero(kinds == LAST)
    first_episode = zero[: ends[0] + 1]
    assert first_episode.sum() == 3 and first_episode[-1]
    assert (kinds[np.flatnonzero(first_episode)[:2]] == MID).all()  # the episode continues


def test_the_tutorials_protocol():
    task = Task(SPACE_INVADERS, atari.options('tutorial'))
    env = task.training_envs(1)
    assert env.observation_spec().shape == (105, 80)
    steps, raw = play(env, 300)
    np.testing.assert_array_equal([step.reward for step in steps[1:]], raw)
    assert raw.max() >= 5
    assert 'deviations: always 3 frames per step' in str(task.atari)


def test_a_time_limit_truncates():
    task = Task(SPACE_INVADERS, atari.options(max_frames_per_episode=400))
    steps, _ = play(task.training_envs(2), 101)
    assert (steps[100].step_type == LAST).all() and (steps[100].discount == 1.0).all()
    assert (steps[101].step_type == FIRST).all()


def test_every_deviation_is_named():
    text = str(atari.options('machado', repeat_action_probability=0.0, frame_skip=3))
    assert 'repeat_action_probability = 0.0 instead of 0.25' in text
    assert 'frame_skip = 3 instead of 4' in text


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(protocol='mnih'), "atari.protocol = 'mnih': must be one of"),
        (dict(repeat_action_probability=1.5), 'atari.repeat_action_probability = 1.5'),
        (dict(frame_skip=0), 'atari.frame_skip = 0'),
        (dict(frame_skip=True), 'atari.frame_skip = True'),
        (dict(max_frames_per_episode=3), 'max_frames_per_episode = 3: .*at least 4'),
        (dict(noop_max=-1), 'atari.noop_max = -1'),
        (dict(frame_height=8.5), 'atari.frame_height = 8.5'),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(errors.EnvError, match=message):
        atari.options(**options)
