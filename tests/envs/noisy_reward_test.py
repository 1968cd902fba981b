import gin
import numpy as np
import pytest
from tf_agents.trajectories import time_step as ts

from envs import errors
from envs.task import Task

FIRST = int(ts.StepType.FIRST)


def noisy_cartpole(num_envs, sigma):
    gin.parse_config(
        f'load_environment.training_wrappers = [@NoisyReward]\nNoisyReward.sigma = {sigma}'
    )
    return Task('CartPole-v0').training_envs(num_envs)


@pytest.mark.parametrize('sigma', [0.0, 1.0])
def test_noisy_reward_is_normal_around_1_and_keeps_the_raw_reward(sigma):
    env = noisy_cartpole(16, sigma)
    env.reset(seed=1)
    noise = []
    for _ in range(500):
        step = env.step(np.random.default_rng(0).integers(0, 2, 16))
        starts = step.step_type == FIRST
        assert (step.reward[starts] == 0).all() and (env.raw_reward[starts] == 0).all()
        assert (env.raw_reward[~starts] == 1).all()
        noise.extend(step.reward[~starts])
    error = 4 * max(sigma, 1e-6) / np.sqrt(len(noise))  # four standard errors
    assert abs(np.mean(noise) - 1.0) <= error
    assert abs(np.std(noise) - sigma) <= error


def test_noisy_reward_repeats_with_its_seed():
    env = noisy_cartpole(2, 1.0)

    def rewards(seed):
        rng = np.random.default_rng(0)
        steps = [env.reset(seed=seed)]
        steps += [env.step(rng.integers(0, 2, 2)) for _ in range(20)]
        return np.array([step.reward for step in steps])

    np.testing.assert_array_equal(rewards(3), rewards(3))
    assert not np.array_equal(rewards(3), rewards(4))


def test_a_negative_standard_deviation_is_refused():
    with pytest.raises(errors.EnvError, match='NoisyReward.sigma = -1.0'):
        noisy_cartpole(2, -1.0)
