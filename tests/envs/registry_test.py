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


HERE = 'tests.envs.small_envs'


def test_an_environment_is_found_by_its_module():
    spec = registry.look_up(f'{HERE}:SmallCounter-v0')
    assert (spec.id, spec.max_episode_steps, spec.kwargs) == ('SmallCounter-v0', 7, {'length': 5})
    spec = registry.look_up(f'{HERE}:Counter')
    assert (spec.id, spec.max_episode_steps) == (f'{HERE}:Counter', None)
    assert gym.make(spec).unwrapped.length == 20
    assert registry.look_up('gymnasium:CartPole-v1').id == 'CartPole-v1'


@pytest.mark.parametrize(
    ('env_name', 'words'),
    [
        (f'{HERE}:Conter', f"environment '{HERE}:Conter': the module '{HERE}' has no 'Conter'"),
        (f'{HERE}:Conter', 'did you mean Counter'),
        (f'{HERE}:SmallCounter-v1', 'did you mean SmallCounter-v0'),
        (f'{HERE}:A_NUMBER', 'is of type int'),
        ('no_such_module:Env', "environment 'no_such_module:Env' needs the module"),
        (':Env', "the module's name is missing before the colon"),
        ('Corridor', "(one of your own is 'module:Id' or 'module:Class')"),
        ('cartpole-V1', 'did you mean CartPole-v1'),
    ],
)
def test_an_environment_that_is_not_there_is_one_line(env_name, words):
    with pytest.raises(errors.EnvError) as refused:
        registry.look_up(env_name)
    assert words in str(refused.value) and '\n' not in str(refused.value)


def test_the_module_that_another_process_has_to_import():
    for env_name, module in {
        'CartPole-v1': None,
        'LinearQuadratic-v0': None,
        'ALE/Pong-v5': None,
        f'{HERE}:Counter': HERE,
        f'{HERE}:SmallCounter-v0': HERE,
        'SmallCounter-v0': HERE,
    }.items():
        assert registry.module_to_import(env_name, registry.look_up(env_name)) == module


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
