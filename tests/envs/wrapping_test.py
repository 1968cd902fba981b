import gymnasium as gym
import numpy as np
import pytest

from envs import wrapping
from envs.errors import EnvError
from envs.wrapping import Wrapping
from tests.envs import small_envs

HERE = 'tests.envs.small_envs'


def test_wrappers_are_named_with_and_without_arguments():
    given = ['FlattenObservation', (f'{HERE}:Doubled', {'factor': 3.0}), [f'{HERE}:Doubled', {}]]
    parsed = wrapping.parsed(given)
    assert parsed == (
        Wrapping('FlattenObservation', {}),
        Wrapping(f'{HERE}:Doubled', {'factor': 3.0}),
        Wrapping(f'{HERE}:Doubled', {}),
    )
    assert wrapping.parsed(parsed) == parsed
    assert parsed[0].wrapper() is gym.wrappers.FlattenObservation
    assert parsed[1].wrapper() is small_envs.Doubled
    full = Wrapping('gymnasium.wrappers:FlattenObservation', {})
    assert full.wrapper() is gym.wrappers.FlattenObservation


@pytest.mark.parametrize(
    'given', ['FlattenObservation', ('A', {'a': 1}, 3), [3], [{'A': {}}], 3, None, [('A', {}, 1)]]
)
def test_what_is_not_a_list_of_names_shows_how_to_write_one(given):
    with pytest.raises(EnvError, match="^task.wrappers: .* write a list, such as \\['Flatten"):
        wrapping.parsed(given)


def test_arguments_of_a_wrapper_are_a_dict_that_can_be_kept():
    with pytest.raises(EnvError, match="arguments of 'A' = 3: must be a dict"):
        wrapping.parsed([('A', 3)])
    with pytest.raises(EnvError, match="arguments of 'A': .* cannot be kept"):
        wrapping.parsed([('A', {'function': len})])


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('FlatenObservation', 'did you mean FlattenObservation'),
        (f'{HERE}:Double', 'did you mean Doubled'),
        ('no_such_module:Clip', "needs the module 'no_such_module'"),
        (f'{HERE}:A_NUMBER', 'is of type int: a class or a function is needed'),
        ('gymnasium.wrappers.vector:ClipReward', 'is for vector environments'),
    ],
)
def test_a_wrapper_that_is_none_is_refused_by_name(name, words):
    with pytest.raises(EnvError, match=f"^task.wrappers: '{name}'") as error:
        Wrapping(name, {}).wrapper()
    assert words in str(error.value)


def test_a_wrapper_that_fails_is_named_with_what_it_raised():
    env = small_envs.Counter()
    with pytest.raises(
        EnvError, match=f"'{HERE}:Doubled' cannot wrap .*Counter.*: TypeError: .*f'"
    ):
        Wrapping(f'{HERE}:Doubled', {'f': 1}).around(env)
    with pytest.raises(EnvError, match='gave a int: it must give a gymnasium.Env'):
        Wrapping(f'{HERE}:not_a_wrapper', {}).around(env)


def test_a_wrapper_is_put_around_an_environment():
    env = Wrapping(f'{HERE}:Doubled', {'factor': 4.0}).around(small_envs.Counter())
    observation, _ = env.reset(seed=0)
    plain, _ = small_envs.Counter().reset(seed=0)
    np.testing.assert_array_equal(observation, plain * 4)


@pytest.mark.parametrize(
    'wrap',
    [
        gym.wrappers.NormalizeObservation,
        gym.wrappers.NormalizeReward,
        small_envs.RunningMean,
        lambda env: small_envs.Doubled(gym.wrappers.NormalizeReward(env)),
    ],
)
def test_running_statistics_are_refused_wherever_they_are(wrap):
    with pytest.raises(EnvError, match='^task.wrappers: .* keeps running statistics.*constants'):
        wrapping.refuse_running_statistics(wrap(small_envs.Counter()), 'task.wrappers')


def test_the_vector_wrappers_of_the_same_kind_are_refused_too():
    env = gym.vector.SyncVectorEnv([small_envs.Counter])
    for wrapper in (gym.wrappers.vector.NormalizeObservation, gym.wrappers.vector.NormalizeReward):
        with pytest.raises(EnvError, match=f'^x: {wrapper.__name__} keeps running statistics'):
            wrapping.refuse_running_statistics(wrapper(env), 'x')
    wrapping.refuse_running_statistics(gym.wrappers.vector.RecordEpisodeStatistics(env), 'x')


def test_the_cure_that_the_refusal_names_works():
    env = small_envs.Doubled(small_envs.Counter(), factor=8.0)
    cure = Wrapping('RescaleObservation', {'min_obs': -1.0, 'max_obs': 1.0}).around(env)
    wrapping.refuse_running_statistics(cure, 'task.wrappers')
    observation, _ = cure.reset(seed=0)
    plain, _ = small_envs.Counter().reset(seed=0)
    np.testing.assert_allclose(observation, plain, atol=1e-6)
