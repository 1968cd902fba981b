import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from envs import registry, vectorization
from envs.errors import EnvError
from envs.processes import ProcessVectorEnv
from envs.recipe import Recipe
from envs.wrapping import Wrapping
from tests.envs import small_envs

FLATTEN = Wrapping('FlattenObservation', {})


def recipe(entry_point=small_envs.Counter, **kwargs):
    return Recipe('Small', EnvSpec('Small', entry_point, kwargs=kwargs, max_episode_steps=50))


def of_id(env_name, *wrappers, **changes):
    spec = registry.look_up(env_name)
    for name, value in changes.items():
        setattr(spec, name, value)
    return Recipe(env_name, spec, wrappers)


def test_native_is_for_ids_of_which_nothing_more_is_wanted():
    is_native = vectorization.is_native
    assert is_native(of_id('CartPole-v1'), has_kwargs=False)
    assert not is_native(of_id('CartPole-v1'), has_kwargs=True)
    assert not is_native(of_id('CartPole-v1', FLATTEN), has_kwargs=False)
    assert not is_native(of_id('Acrobot-v1'), has_kwargs=False)
    assert is_native(of_id('CartPole-v1', entry_point=None), has_kwargs=True)


def test_each_mode_gives_its_own_kind():
    cartpole = of_id('CartPole-v1')
    native = vectorization.make(cartpole, 4, 'native')
    assert type(native).__name__ == 'CartPoleVectorEnv' and native.num_envs == 4
    assert type(vectorization.make(cartpole, 4, 'sync')) is gym.vector.SyncVectorEnv
    # One copy plays the same either way, and this is the faster one.
    assert type(vectorization.make(cartpole, 1, 'native')) is gym.vector.SyncVectorEnv


def test_native_says_why_it_does_not_fit():
    for made, why in (
        (of_id('Acrobot-v1'), 'it has no such form'),
        (of_id('CartPole-v1', FLATTEN), 'wrappers are for single environments'),
    ):
        with pytest.raises(EnvError, match=f"vectorization = 'native' does not fit.*{why}"):
            vectorization.make(made, 2, 'native')


def test_what_exists_as_a_vector_environment_alone_says_so():
    with pytest.raises(EnvError, match='exists as a vector environment alone'):
        vectorization.make(of_id('CartPole-v1', entry_point=None), 2, 'sync')


@pytest.mark.parametrize('mode', ['fork', None, 3, ['sync']])
def test_other_modes_are_refused(mode):
    with pytest.raises(EnvError, match="must be one of \\('auto', 'native', 'sync', 'async'\\)"):
        vectorization.check_mode(mode)


@pytest.mark.parametrize(
    ('made', 'mode'),
    [
        (recipe(), 'sync'),
        (recipe(step_seconds=0.004), 'async'),
        (recipe(reset_seconds=0.05), 'async'),
        (recipe(small_envs.Masked), 'sync'),
    ],
    ids=['fast', 'slow step', 'slow reset', 'masked'],
)
def test_what_takes_long_goes_into_processes_and_one_line_says_why(made, mode):
    choice = vectorization.choose(made, 5)
    assert choice.mode == mode
    assert choice.why.startswith('5 environments ' + {'sync': 'one', 'async': 'in p'}[mode])
    assert 'a step takes' in choice.why and 'a reset' in choice.why and '\n' not in choice.why
    assert {'sync': "'async'", 'async': "'sync'"}[mode] in choice.why


def test_one_copy_needs_no_process():
    assert vectorization.choose(recipe(reset_seconds=9.0), 1) == vectorization.Choice('sync')


def test_what_cannot_be_sent_to_a_process_stays():
    class Slow(small_envs.Counter):
        def __init__(self):
            super().__init__(reset_seconds=0.05)
            frame  # noqa: B018

    frame = (i for i in ())  # cloudpickle cannot send a generator
    assert vectorization.choose(recipe(Slow), 5).mode == 'sync'


def test_what_fails_while_it_is_timed_is_left_to_whoever_plays_it():
    for fault in ('raise', 'exit'):
        for moment in ('reset', 3):
            made = recipe(fault=fault, fault_at=moment)
            assert vectorization.choose(made, 5) == vectorization.Choice('sync')
    with pytest.raises(EnvError, match='cannot be made: ValueError: no fuel'):
        vectorization.choose(recipe(fault='raise', fault_at='init'), 5)


def test_a_timing_is_short_and_measures_steps_and_resets():
    class Expensive(small_envs.Counter):
        steps = resets = 0

        def reset(self, **kwargs):
            type(self).resets += 1
            return super().reset(**kwargs)

        def step(self, action):
            type(self).steps += 1
            return super().step(action)

    timing = vectorization.measure(Expensive(reset_seconds=0.03, length=2))
    assert 0.03 <= timing.reset < 1.0 and timing.step < 0.03
    assert (Expensive.resets, Expensive.steps) == (2, 2)  # no third slow reset
    Expensive.steps = 0
    timing = vectorization.measure(Expensive(step_seconds=0.02, length=1_000))
    assert timing.step >= 0.02 and 5 <= Expensive.steps <= 11  # 0.2 s
    Expensive.steps = Expensive.resets = 0
    vectorization.measure(Expensive(length=30))
    assert (Expensive.resets, Expensive.steps) == (4, 100)


def test_copies_in_processes_play_the_same_episodes_as_copies_in_turn():
    made = recipe(length=5)
    both = [vectorization.make(made, 2, mode) for mode in ('sync', 'async')]
    try:
        assert isinstance(both[1], ProcessVectorEnv)
        for env in both:
            assert env.metadata['autoreset_mode'] == gym.vector.AutoresetMode.NEXT_STEP
        np.testing.assert_array_equal(*(env.reset(seed=3)[0] for env in both))
        for step in range(14):
            a, b = (env.step(np.array([step % 2, 1])) for env in both)
            for left, right in zip(a[:4], b[:4], strict=True):
                np.testing.assert_array_equal(left, right)
            # What cannot be pickled is left out of an info.
            assert ('n' in a[4]) == ('n' in b[4]) and 'self' not in b[4]
    finally:
        both[1].close()
