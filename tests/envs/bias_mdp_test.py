"""The maximisation-bias MDP against numbers worked out by hand."""

import gymnasium as gym
import numpy as np
import pytest
from scipy import integrate, stats

from envs import bias_mdp
from envs.bias_mdp import A, B, C, D, E, F
from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task

# (state, action): where it goes, mean reward, standard deviation
MOVES = {
    (A, 0): (E, 0, 0), (A, 1): (B, 0, 0), (A, 2): (E, 0, 0),
    (B, 0): (A, 0, 0), (B, 1): (C, 1, 4), (B, 2): (D, 1, 4),
    (E, 0): (A, 0, 0), (E, 1): (F, 2, 0), (E, 2): (F, 2, 0),
}  # fmt: skip
TO = {A: (), B: (bias_mdp.RIGHT,), E: (bias_mdp.LEFT,)}  # how to get there from A
COPIES = 20_000


def vector_steps(start, action):
    env = Task('MaximisationBias-v0').evaluation_envs(COPIES)
    env.reset(seed=0)
    for way in TO[start]:
        env.step(np.full(COPIES, way))
    return env.step(np.full(COPIES, action))


@pytest.mark.parametrize('start, action', MOVES)
def test_every_move_of_the_vectorised_environment(start, action):
    state, mean, deviation = MOVES[start, action]
    after = vector_steps(start, action)
    assert after.observation.shape == (COPIES, 6) and after.observation.dtype == np.float32
    assert (after.observation == np.eye(6)[state]).all()
    assert (after.is_last() == (state in (C, D, F))).all()
    assert (after.discount == (state not in (C, D, F))).all()
    assert abs(after.reward.mean() - mean) <= 4 * deviation / np.sqrt(COPIES)
    assert abs(after.reward.std() - deviation) <= 4 * deviation / np.sqrt(2 * COPIES)


@pytest.mark.parametrize('start, action', MOVES)
def test_every_move_of_the_single_environment(start, action):
    state, mean, deviation = MOVES[start, action]
    env = gym.make('MaximisationBias-v0')
    rewards = []
    for i in range(400 if deviation else 1):
        env.reset(seed=i)
        for way in TO[start]:
            env.step(way)
        observation, reward, terminated, truncated, _ = env.step(action)
        assert env.observation_space.contains(observation) and observation.argmax() == state
        assert terminated == (state in (C, D, F)) and not truncated
        rewards.append(reward)
    assert abs(np.mean(rewards) - mean) <= 4 * deviation / np.sqrt(400)
    assert abs(np.std(rewards) - deviation) <= 4 * deviation / np.sqrt(2 * 400)


def test_the_solution_by_hand():
    q_star = bias_mdp.solve(0.95)
    to_left, to_right = 0.95 * 2, 0.95 * (0.95 * 1.9)
    np.testing.assert_allclose(q_star[A], [to_left, to_right, to_left], rtol=1e-12)
    np.testing.assert_allclose(q_star[A], [1.9, 1.71475, 1.9], rtol=1e-12)
    np.testing.assert_allclose(q_star[B], [0.95 * 1.9, 1, 1], rtol=1e-12)
    np.testing.assert_allclose(q_star[E], [0.95 * 1.9, 2, 2], rtol=1e-12)
    assert (q_star[[C, D, F]] == 0).all()


def test_the_solution_without_a_reason_to_come_back():
    """With gamma 0.5 B's best is to leave for 1: coming back is worth 0.5 * 0.5 * 2."""
    q_star = bias_mdp.solve(0.5)
    np.testing.assert_allclose(q_star[A], [1.0, 0.5, 1.0])
    np.testing.assert_allclose(q_star[B], [0.5, 1.0, 1.0])


def test_the_larger_of_two_draws_looks_better_than_either():
    """3.257, and 3.52 where 0 for going back is a third: P(max > x) is integrated over x."""

    def above(x):
        return 1 - stats.norm.cdf(x, 1, 4) ** 2

    positive = integrate.quad(above, 0, np.inf)[0]
    negative = integrate.quad(lambda x: 1 - above(x), -np.inf, 0)[0]
    np.testing.assert_allclose([positive - negative, positive], [3.257, 3.52], atol=5e-3)
    best = vector_steps(B, 1).reward.reshape(2, -1).max(axis=0)
    np.testing.assert_allclose(best.mean(), positive - negative, atol=0.1)
    np.testing.assert_allclose(np.maximum(best, 0).mean(), positive, atol=0.1)


def test_an_episode_ends_and_the_next_step_starts_another():
    env = Task('MaximisationBias-v0').evaluation_envs(2)
    env.reset(seed=0)
    env.step(np.array([0, 1]))  # E, B
    after = env.step(np.array([1, 0]))  # F, back in A
    np.testing.assert_array_equal(after.is_last(), [True, False])
    np.testing.assert_array_equal(after.reward, [2, 0])
    after = env.step(np.array([1, 0]))  # the first copy's action is not played
    np.testing.assert_array_equal(after.is_first(), [True, False])
    np.testing.assert_array_equal(after.observation.argmax(axis=1), [A, E])
    np.testing.assert_array_equal(after.reward, [0, 0])


@pytest.mark.parametrize('mode', ['vector_entry_point', 'sync'])
def test_going_in_circles_is_cut_and_not_worth_nothing(mode):
    env = GymnasiumEnv(gym.make_vec('MaximisationBias-v0', 3, mode))
    after = env.reset(seed=0)
    for t in range(1, 2 * 101 + 1):
        in_a = after.observation.argmax(axis=1) == A
        after = env.step(np.where(in_a, bias_mdp.RIGHT, 0))  # to B and back
        if t in (100, 201):  # step 101 starts the second episode
            assert after.is_last().all() and (after.discount == 1).all()
        else:
            assert not after.is_last().any()


def test_the_same_seed_gives_the_same_noise_and_another_does_not():
    def rewards(seed):
        env = Task('MaximisationBias-v0').evaluation_envs(5)
        env.reset(seed=seed)
        env.step(np.ones(5, int))
        return env.step(np.ones(5, int)).reward

    np.testing.assert_array_equal(rewards(3), rewards(3))
    assert not np.array_equal(rewards(3), rewards(4))
