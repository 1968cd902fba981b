"""The Blind Cliffwalk against numbers worked out by hand."""

import itertools

import gymnasium as gym
import numpy as np
import pytest

from envs import blind_cliffwalk
from envs.task import Task


def play(env, actions):
    """(transitions until the end, reward) of one sequence of actions."""
    env.reset()
    for count, action in enumerate(actions, 1):
        _, reward, terminated, truncated, _ = env.step(action)
        assert not truncated
        if terminated:
            return count, reward
    raise AssertionError('it must end')


@pytest.mark.parametrize('n', [1, 2, 5])
def test_one_sequence_of_all_is_rewarded(n):
    """All sequences make 2^(n + 1) - 2 transitions (Schaul et al. 2016, appendix B.1)."""
    env = gym.make('BlindCliffwalk-v0', n=n, disable_env_checker=True).unwrapped
    played = [play(env, actions) for actions in itertools.product((0, 1), repeat=n)]
    assert sum(count for count, _ in played) == 2 ** (n + 1) - 2
    assert [reward for _, reward in played if reward] == [1.0]
    assert play(env, blind_cliffwalk.right_actions(n)) == (n, 1.0)


def test_q_star_satisfies_the_bellman_equation():
    n, gamma = 6, 0.8
    q = blind_cliffwalk.solve(n, gamma)
    right = blind_cliffwalk.right_actions(n)
    for s in range(n):
        following = 1.0 if s == n - 1 else gamma * q[s + 1].max()
        assert q[s, right[s]] == pytest.approx(following) and q[s, 1 - right[s]] == 0.0


def test_its_id_makes_twelve_states():
    env = Task('BlindCliffwalk-v0').evaluation_envs(3)
    assert env.observation_spec().shape == (12,)
    step = env.step(np.array([0, 1, 0]))
    step = env.step(np.array([0, 1, 0]))
    assert step.observation[0].argmax() == 1 and step.is_last()[1]
