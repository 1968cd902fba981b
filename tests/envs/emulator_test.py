import numpy as np
import pytest

from envs.task import Task


@pytest.mark.slow
@pytest.mark.parametrize(
    'env_name', ['ALE/SpaceInvaders-v5', 'ALE/Breakout-v5', 'PongNoFrameskip-v4']
)
def test_the_emulator_plays_the_same_episodes(env_name):
    """Sticky actions, rewards and ends of copy 1, which is seeded with the seed plus one."""
    task = Task.configured(env_name)
    env, emulator = task.training_envs(2), task.emulator()
    rng = np.random.default_rng(0)
    step = env.reset(seed=5)
    screens = emulator.reset(seed=6)
    assert screens.shape == (2, 210, 160, 3) and screens.dtype == np.uint8
    num_ends = 0
    for _ in range(800):
        action = rng.integers(env.action_spec().maximum + 1, size=2)
        starts = step.is_last()[1]
        step = env.step(action)
        if starts:
            emulator.reset()
            continue
        screens, reward, over = emulator.step(int(action[1]))
        assert (reward, over) == (env.raw_reward[1], step.is_last()[1])
        num_ends += over
    assert num_ends


def test_what_a_game_shows_and_what_its_actions_do():
    emulator = Task.configured('ALE/Breakout-v5').emulator()
    assert emulator.screen_size == (210, 160)
    assert emulator.action_meanings == ('NOOP', 'FIRE', 'RIGHT', 'LEFT')
