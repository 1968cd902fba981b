"""Masks that environments give, in every form, and what becomes of them."""

import gymnasium as gym
import numpy as np
import pytest
from tf_agents.environments import utils
from tf_agents.trajectories import time_step as ts

from envs import action_masks, errors
from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


class Told(gym.Env):
    """Gives the masks that it is told, one after the other, and ends with the last."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, *masks, space=None, terminates=True):
        self.masks, self.terminates = masks, terminates
        self.action_space = space or gym.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(2, np.float32), self._info()

    def step(self, action):
        self.t += 1
        over = self.t == len(self.masks) - 1
        ends = (True, False) if self.terminates else (False, True)
        return np.ones(2, np.float32), 1.0, over and ends[0], over and ends[1], self._info()

    def _info(self):
        mask = self.masks[self.t]
        return {} if mask is None else {'action_mask': mask, 'another': self.t}


def envs(*made):
    return GymnasiumEnv(gym.vector.SyncVectorEnv([lambda env=env: env for env in made]))


def seen(env, num_steps):
    """bool [T, num_envs, A]: the masks of a reset and `num_steps` steps."""
    spec = env.action_spec()
    action = np.broadcast_to(spec.minimum, (env.batch_size, *spec.shape)).astype(spec.dtype)
    steps = [env.reset(seed=0), *(env.step(action) for _ in range(num_steps))]
    return np.array([step.observation['action_mask'] for step in steps])


@pytest.mark.parametrize('dtype', [bool, np.int8, np.float64])
def test_masks_of_info_become_a_part_of_the_observation(dtype):
    rows = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0]], dtype)
    env = envs(Told(*rows), Told(*rows[::-1]))
    assert list(env.observation_spec()) == ['action_mask', 'observation']
    assert env.observation_spec()['action_mask'].dtype == bool
    utils.validate_py_environment(env, episodes=2)
    found = seen(env, 3)  # the third step starts the next episode
    expected = np.stack([rows, rows[::-1]], axis=1).astype(bool)
    np.testing.assert_array_equal(found, [*expected, expected[0]])
    step = env.reset(seed=0)
    np.testing.assert_array_equal(step.observation['observation'], np.zeros((2, 2)))


def test_a_copy_without_an_entry_may_do_everything():
    """Gymnasium fills in zeros for it, and says so in `_action_mask`."""
    some = [1, 0, 0], [0, 1, 0], [1, 1, 1]
    env = envs(Told(*map(np.array, some)), Told(np.array([0, 0, 1]), None, np.array([1, 0, 1])))
    found = seen(env, 1)
    np.testing.assert_array_equal(found[1], [[0, 1, 0], [1, 1, 1]])
    alone = envs(Told(np.array([0, 1, 1]), None, None))
    np.testing.assert_array_equal(seen(alone, 1), [[[0, 1, 1]], [[1, 1, 1]]])


@pytest.mark.parametrize('form', [list, tuple])
def test_lists_are_masks_too(form):
    env = envs(
        Told(form([1, 0, 1]), None, form([1, 1, 0])), Told(*[form([True, False, False])] * 3)
    )
    found = seen(env, 1)
    np.testing.assert_array_equal(found[0], [[1, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(found[1], [[1, 1, 1], [1, 0, 0]])


def test_the_masks_of_several_actions_are_put_one_after_the_other():
    """As one array, or as the tuple that MultiDiscrete.sample takes."""
    space = gym.spaces.MultiDiscrete([2, 3], start=[4, 0])
    row, parts = np.array([1, 0, 0, 1, 1]), (np.array([1, 0]), np.array([0, 1, 1], np.int8))
    for mask in (row, parts):
        env = envs(Told(mask, mask, mask, space=space))
        np.testing.assert_array_equal(seen(env, 1), [[row], [row]])
    binary = envs(Told(*[np.array([1, 1, 0, 1])] * 3, space=gym.spaces.MultiBinary(2)))
    assert seen(binary, 1).shape == (2, 1, 4)


@pytest.mark.parametrize('terminates', [True, False])
def test_in_the_last_state_a_mask_may_be_empty(terminates):
    masks = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    found = seen(envs(Told(*masks, terminates=terminates)), 2)
    np.testing.assert_array_equal(found[:, 0], [*masks[:2], [1, 1, 1]])


@pytest.mark.parametrize(
    ('masks', 'space'),
    [
        ([[1, 0, 1], [1, 1, 1], [0, 0, 0], [1, 1, 1]], gym.spaces.Discrete(3)),
        ([[1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]], gym.spaces.MultiBinary(2)),
    ],
)
def test_a_state_that_allows_nothing_is_an_error_that_names_the_step(masks, space):
    free = np.ones(len(masks[0]), int)
    env = envs(Told(*[free] * 9, space=space), Told(*map(np.array, masks), space=space))
    with pytest.raises(errors.EnvError) as caught:
        seen(env, 3)
    assert str(caught.value) == (
        "environment 'SyncVectorEnv': its 'action_mask' allows no action after 2 steps of an "
        'episode (copy 1): mask at least one as legal, or end the episode there'
    )


def test_the_first_state_of_an_episode_is_named_too():
    masks = np.array([[0, 0, 0], [1, 1, 1], [1, 1, 1]])
    with pytest.raises(errors.EnvError, match='allows no action after 0 steps of an episode'):
        envs(Told(*masks)).reset(seed=0)


@pytest.mark.parametrize('mask', [np.ones(4), [1, 1], (np.ones(2), np.ones(3))])
def test_a_mask_of_another_length_is_named_with_what_is_needed(mask):
    with pytest.raises(
        errors.EnvError, match=r'has the shape \(\d,\), and its actions need \(3,\)'
    ):
        envs(Told(mask, mask, mask)).reset(seed=0)


def test_masks_that_come_after_the_first_state_are_an_error():
    env = envs(Told(None, np.ones(3), np.ones(3)))
    env.reset(seed=0)
    with pytest.raises(errors.EnvError, match="gives info\\['action_mask'\\] in some states"):
        env.step(np.array([0]))


def test_a_buffer_that_is_written_again_is_copied():
    mask = np.array([1, 0, 1], bool)
    env = envs(Told(mask, mask, mask))
    first = env.reset(seed=0).observation['action_mask']
    mask[:] = [False, True, False]
    np.testing.assert_array_equal(first, [[1, 0, 1]])


def test_the_same_key_of_continuous_actions_means_something_else():
    space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    env = envs(Told(*np.ones((3, 3)), space=space))
    assert env.reset(seed=0).observation.shape == (1, 2)
    with pytest.raises(errors.EnvError, match='only discrete actions have masks'):
        action_masks.ActionMasks(1, space, 'Told-v0')


def test_a_reset_that_fails_is_left_for_the_first_one_of_the_run():
    class Fails(Told):
        def reset(self, **kwargs):
            raise OSError('no such file')

    env = envs(Fails(np.ones(3)))
    with pytest.raises(errors.EnvError, match='OSError: no such file'):
        env.reset(seed=0)


def test_cartpole_has_none_and_taxi_has_gymnasiums():
    assert Task('CartPole-v1').evaluation_envs(2).observation_spec().shape == (4,)
    env, plain = Task('Taxi-v3').evaluation_envs(1), gym.make('Taxi-v3')
    _, info = plain.reset(seed=5)
    mask = env.reset(seed=5).observation['action_mask']
    np.testing.assert_array_equal(mask, [info['action_mask'] == 1])
    for _ in range(20):
        action = np.flatnonzero(mask[0])[:1]
        *_, info = plain.step(action[0])
        mask = env.step(action).observation['action_mask']
        np.testing.assert_array_equal(mask, [info['action_mask'] == 1])
