import numpy as np
import pytest

from envs.task import Task


@pytest.mark.parametrize(
    ('env_name', 'rewards'),
    [
        ('GaussianBandit-v0', [20.0, 20.0, 0.5]),  # 1 / max(0.05, |action - 4|)
        ('WideGaussianBandit-v0', [1.0, 1.0, 0.125]),  # 0.25 / max(0.25, |action - 4|)
    ],
)
def test_the_bandits_reward_by_hand(env_name, rewards):
    env = Task(env_name).training_envs(3)
    assert env.action_spec().shape == (1,)
    env.reset(seed=0)
    step = env.step(np.array([[4.0], [4.04], [2.0]], np.float32))
    np.testing.assert_allclose(step.reward, rewards)
    assert step.is_last().all() and (step.discount == 0.0).all()
