import subprocess
import sys

import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from envs.errors import EnvError
from envs.recipe import Recipe
from envs.wrapping import Wrapping
from tests.envs import small_envs

NAME = 'tests.envs.small_envs:Counter'


def recipe(entry_point=small_envs.Counter, *wrappers, **kwargs):
    spec = EnvSpec(NAME, entry_point, kwargs=kwargs, max_episode_steps=6)
    return Recipe(NAME, spec, tuple(Wrapping(*each) for each in wrappers))


def test_arguments_time_limit_and_wrappers_are_those_of_the_recipe():
    doubled = ('tests.envs.small_envs:Doubled', {'factor': 2.0})
    time_aware = ('TimeAwareObservation', {'normalize_time': True})
    env = recipe(small_envs.Counter, doubled, time_aware, length=10).make()
    observation, _ = env.reset(seed=0)
    assert observation.shape == (3,) and env.unwrapped.length == 10
    for step in range(1, 7):
        observation, _, terminated, truncated, _ = env.step(1)
        np.testing.assert_allclose(observation[[0, 2]], [step / 10 * 2, step / 6])
        assert (terminated, truncated) == (False, step == 6)


def test_an_environment_that_draws_nothing_need_not_know_render_mode():
    assert recipe(lambda: small_envs.Counter()).make().render_mode is None
    assert recipe().make('rgb_array').render_mode == 'rgb_array'
    with pytest.raises(EnvError, match='cannot be made to draw: its constructor takes no render_m'):
        recipe(lambda: small_envs.Counter()).make('rgb_array')


@pytest.mark.parametrize(
    ('made', 'words'),
    [
        (
            recipe(fault='raise', fault_at='init'),
            f"environment '{NAME}' cannot be made: ValueError: no fuel",
        ),
        (recipe(fault='exit', fault_at='init'), 'SystemExit: 3'),
        (recipe(lenght=3), "unexpected keyword argument 'lenght'; did you mean length?"),
        (recipe(zzz=3), "unexpected keyword argument 'zzz'"),
        (recipe(small_envs.not_an_env), 'must inherit from the gymnasium.Env class'),
        (recipe(small_envs.normalised), 'NormalizeObservation keeps running statistics'),
        (recipe(small_envs.Counter, ('NormalizeReward', {})), 'task.wrappers: NormalizeReward'),
    ],
)
def test_what_cannot_be_made_is_one_line(made, words):
    with pytest.raises(EnvError) as error:
        made.make()
    assert words in str(error.value) and '\n' not in str(error.value)


def test_a_process_that_makes_an_environment_does_not_import_tensorflow():
    script = 'import sys, envs.recipe, envs.processes; sys.exit("tensorflow" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', script], timeout=60).returncode == 0
