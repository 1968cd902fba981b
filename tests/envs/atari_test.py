"""Real ALE: protocols, raw rewards, and the emulator that shows what the agent cannot see."""

import dataclasses

import numpy as np
import pytest
from tf_agents.trajectories import time_step as ts

from envs import atari, errors, suite

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
    env = suite.load(SPACE_INVADERS, 2)
    spec = env.observation_spec()
    assert spec.shape == (84, 84) and spec.dtype == np.uint8
    assert env.action_spec().maximum == 5
    assert env.options.protocol == 'machado' and env.frames_per_env_step == 4
    assert 'sticky actions 0.25' in str(env.options) and '27,000 agent steps' in str(env.options)
    steps, raw = play(env, 700)
    rewards = np.array([step.reward for step in steps[1:]])
    assert raw.max() >= 5 and set(np.unique(rewards)) == {0.0, 1.0}
    np.testing.assert_array_equal(rewards, np.clip(raw, -1, 1))


def test_a_lost_life_goes_on_in_machado_and_terminates_for_the_learner_in_nature():
    """Three lives: two discounts of 0 within an episode, and the one at its end."""
    steps, _ = play(suite.load(SPACE_INVADERS, 1), 1_500)
    kinds = np.array([int(step.step_type[0]) for step in steps])
    zero = np.array([step.discount[0] == 0.0 for step in steps])
    assert zero.any() and (kinds[zero] == LAST).all()

    options = dataclasses.asdict(atari.options('nature', noop_max=0))
    steps, _ = play(suite.load(SPACE_INVADERS, 1, options=options), 1_500)
    kinds = np.array([int(step.step_type[0]) for step in steps])
    zero = np.array([step.discount[0] == 0.0 for step in steps])
    ends = np.flatnonzero(kinds == LAST)
    first_episode = zero[: ends[0] + 1]
    assert first_episode.sum() == 3 and first_episode[-1]
    assert (kinds[np.flatnonzero(first_episode)[:2]] == MID).all()  # the episode goes on


def test_the_tutorials_protocol():
    env = suite.load(SPACE_INVADERS, 1, options=dataclasses.asdict(atari.options('tutorial')))
    assert env.observation_spec().shape == (105, 80)
    steps, raw = play(env, 500)
    np.testing.assert_array_equal([step.reward for step in steps[1:]], raw)
    assert raw.max() >= 5
    assert 'deviations: always 3 frames per step' in str(env.options)


def test_a_time_limit_truncates():
    options = dataclasses.asdict(atari.options(max_frames_per_episode=400))
    steps, _ = play(suite.load(SPACE_INVADERS, 2, options=options), 101)
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
        (dict(noop_max=-1), 'atari.noop_max = -1'),
        (dict(frame_height=8.5), 'atari.frame_height = 8.5'),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(errors.EnvError, match=message):
        atari.options(**options)


def test_a_game_that_does_not_exist_is_told_its_neighbours():
    with pytest.raises(
        errors.EnvError, match="no environment 'ALE/SpaceInvader-v5'.*ALE/SpaceInvaders-v5"
    ):
        suite.load('ALE/SpaceInvader-v5', 1)


@pytest.mark.parametrize('env_name', [SPACE_INVADERS, 'ALE/Breakout-v5', 'PongNoFrameskip-v4'])
def test_the_emulator_goes_through_the_same_episodes(env_name):
    """Sticky actions, rewards and ends of copy 1, which is seeded with the seed plus one."""
    env = suite.load(env_name, 2)
    emulator = suite.emulator(env_name, dataclasses.asdict(env.options))
    rng = np.random.default_rng(0)
    step = env.reset(seed=5)
    screens = emulator.reset(seed=6)
    assert screens.shape == (2, 210, 160, 3) and screens.dtype == np.uint8
    for _ in range(1_200):
        action = rng.integers(env.action_spec().maximum + 1, size=2)
        starts = step.is_last()[1]
        step = env.step(action)
        if starts:
            emulator.reset()
            continue
        screens, reward, over = emulator.step(int(action[1]))
        assert (reward, over) == (env.raw_reward[1], step.is_last()[1])
