import subprocess
import sys
import textwrap

import gymnasium as gym
import pytest

from envs import errors, registry


@pytest.mark.parametrize(
    ('env_name', 'time_limit'),
    [
        ('Taxi-v3', 200),
        ('GaussianBandit-v0', 1),
        ('LinearQuadratic-v0', 50),
        ('BlindCliffwalk-v0', 1_000),
        ('MaximisationBias-v0', 100),
        ('CartPole-v1', 500),
    ],
)
def test_ids_and_their_time_limits(env_name, time_limit):
    assert registry.look_up(env_name).max_episode_steps == time_limit


def test_what_is_looked_up_is_a_copy():
    registry.look_up('CartPole-v1').max_episode_steps = 7
    assert gym.spec('CartPole-v1').max_episode_steps == 500


def test_what_is_not_a_name_is_refused():
    with pytest.raises(errors.EnvError, match='env_name = 3: must be a Gymnasium id'):
        registry.look_up(3)


def test_without_ale_py_a_game_names_the_pip_command_and_all_else_works():
    script = """
        import sys
        sys.modules['ale_py'] = None  # as if it were not installed
        from envs import errors, registry
        assert registry.look_up('CartPole-v1').id == 'CartPole-v1'
        try:
            registry.look_up('ALE/Pong-v5')
        except errors.EnvError as e:
            print(e)
    """
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(script)], capture_output=True, text=True
    )
    hint = "pip install -c constraints.txt -e '.[atari]'"
    assert done.stdout == f"environment 'ALE/Pong-v5' needs ale-py: {hint}\n", done.stderr
