"""`task_test` has those that are in effect; here are those that are refused."""

import gin
import gymnasium as gym
import numpy as np
import pytest

from envs import training_wrappers
from envs.errors import EnvError
from envs.noisy_reward import NoisyReward
from tests.envs import small_envs


class Plain(gym.vector.VectorWrapper):
    """What wrappers below change one thing in."""

    def step(self, actions):
        observations, reward, terminated, truncated, info = self.env.step(actions)
        return observations, reward * 2 + 1, terminated, truncated, info


class ShiftedObservations(Plain):
    def step(self, actions):
        observations, *rest = self.env.step(actions)
        return observations + np.float32(0.01), *rest


class InPlace(Plain):
    def step(self, actions):
        observations, *rest = self.env.step(actions)
        observations *= 0.5
        return observations, *rest


class AtReset(Plain):
    def reset(self, *, seed=None, options=None):
        observations, info = self.env.reset(seed=seed, options=options)
        return observations + np.float32(0.01), info


class Stubborn(Plain):
    def step(self, actions):
        return self.env.step(np.zeros_like(actions))


class Shorter(Plain):
    def step(self, actions):
        observations, reward, terminated, truncated, info = self.env.step(actions)
        return observations, reward, terminated, truncated | True, info


class OtherSpace(Plain):
    def __init__(self, env):
        super().__init__(env)
        self.single_observation_space = gym.spaces.Box(-2.0, 2.0, (2,), np.float32)


class OtherActions(Plain):
    def __init__(self, env):
        super().__init__(env)
        self.single_action_space = gym.spaces.Discrete(3)


class Failing(Plain):
    def step(self, actions):
        raise ZeroDivisionError('a bug')


def copies(env_class=small_envs.Counter):
    return gym.vector.SyncVectorEnv([env_class] * 3)


@pytest.mark.parametrize(
    ('wrapper', 'what'),
    [
        (ShiftedObservations, 'observations'),
        (InPlace, 'observations'),
        (AtReset, 'observations'),
        (Stubborn, 'actions'),
        (Shorter, 'when episodes end'),
        (OtherSpace, 'the observation space'),
        (OtherActions, 'the action space'),
    ],
)
@pytest.mark.parametrize('others', [(), (Plain,)])
def test_a_wrapper_that_changes_more_than_rewards_is_refused_by_name(wrapper, what, others):
    for wrappers in ([wrapper, *others], [*others, wrapper]):
        with pytest.raises(EnvError) as error:
            training_wrappers.wrap(copies(), wrappers)
        line = str(error.value).partition('\n')[0]  # gin adds others
        assert f'training_wrappers: {wrapper.__name__} changes {what}, which' in line
        assert 'may change rewards alone' in line


@pytest.mark.parametrize('name', ['NormalizeObservation', 'NormalizeReward'])
def test_running_statistics_are_refused(name):
    with pytest.raises(EnvError, match=f'{name} keeps running statistics'):
        training_wrappers.wrap(copies(), [getattr(gym.wrappers.vector, name)])


def test_a_wrapper_of_single_environments_is_refused():
    for wrapper in (gym.wrappers.FlattenObservation, gym.wrappers.ClipReward):
        with pytest.raises(EnvError, match=f'{wrapper.__name__} does not wrap vector environments'):
            training_wrappers.wrap(copies(), [wrapper])


def test_rewards_may_change_and_a_seeded_reset_forgets_that_they_were_watched():
    gin.parse_config('NoisyReward.sigma = 1.0')
    watched = training_wrappers.wrap(copies(), [NoisyReward, Plain])
    fresh = Plain(NoisyReward(copies()))
    both = [env.reset(seed=4)[0] for env in (watched, fresh)]
    np.testing.assert_array_equal(*both)
    for _ in range(30):
        a, b = (env.step(np.ones(3, int))[:4] for env in (watched, fresh))
        for left, right in zip(a, b, strict=True):
            np.testing.assert_array_equal(left, right)


def test_actions_that_a_mask_forbids_are_not_tried():
    training_wrappers.wrap(copies(small_envs.Masked), [Plain])


def test_a_wrapper_or_an_environment_that_fails_is_left_to_the_run():
    assert isinstance(training_wrappers.wrap(copies(), [Failing]), Failing)
    failing = lambda: small_envs.Counter(fault='raise', fault_at='reset')  # noqa: E731
    training_wrappers.wrap(copies(failing), [Plain])


def test_equal_nests_are_the_same_and_nan_is_itself():
    same = training_wrappers._same
    nest = {'a': np.array([1.0, np.nan]), 'b': (np.array([1]), [np.array(['x'])])}
    assert same(nest, {'a': np.array([1.0, np.nan]), 'b': (np.array([1]), [np.array(['x'])])})
    assert not same(nest, {**nest, 'a': np.array([1.0, 2.0])})
    assert not same(nest, {'a': nest['a']})
    assert not same(np.zeros(2), np.zeros(3)) and not same(np.zeros(2), np.zeros(2, int))
