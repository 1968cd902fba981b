"""The linear-quadratic regulator against its formulas."""

import numpy as np
import pytest

from envs import linear_quadratic
from envs.task import Task


def test_the_regulators_step_by_hand():
    env = linear_quadratic.LinearQuadratic()
    x, _ = env.reset(seed=3)
    assert abs(x[0]) <= 2
    nexts = []
    for _ in range(4_000):
        env.reset(seed=3)
        env.np_random = np.random.default_rng(len(nexts))
        following, reward, terminated, _, _ = env.step(np.array([-0.5], np.float32))
        assert not terminated
        nexts.append(following[0])
    np.testing.assert_allclose(reward, -(x[0] ** 2 + 0.25), rtol=1e-5)
    error = 0.3 / np.sqrt(4_000)
    assert abs(np.mean(nexts) - (x[0] - 0.5)) < 4 * error
    assert abs(np.std(nexts) - 0.3) < 4 * error


@pytest.mark.parametrize('gamma', [0.5, 0.9, 0.95, 0.99])
def test_the_solution_is_optimal_and_its_cost_is_the_policys(gamma):
    solution = linear_quadratic.solve(gamma)
    best = linear_quadratic.expected_cost(solution.gain, gamma)
    for gain in (solution.gain - 0.05, solution.gain + 0.05):
        assert linear_quadratic.expected_cost(gain, gamma) > best
    from_riccati = solution.cost_coefficient * (4 / 3 + gamma / (1 - gamma) * 0.09)
    np.testing.assert_allclose(best, from_riccati, rtol=1e-9)


def test_the_cost_of_rollouts_is_the_expected_one():
    """gamma 0.8 makes the time limit of 50 steps invisible: 0.8 ** 50 is 1e-5."""
    gamma, gain, env = 0.8, 0.4, Task('LinearQuadratic-v0').evaluation_envs(500)
    step = env.reset(seed=0)
    cost = np.zeros(500)
    for t in range(50):
        step = env.step(-gain * step.observation)
        cost -= gamma**t * step.reward
    assert step.is_last().all() and (step.discount == 1.0).all()
    expected = linear_quadratic.expected_cost(gain, gamma)
    assert abs(cost.mean() - expected) < 4 * cost.std() / np.sqrt(500)


def test_an_unstable_gain_has_no_cost():
    with pytest.raises(ValueError, match='unstable'):
        linear_quadratic.expected_cost(-0.2, 0.95)
