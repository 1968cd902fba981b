import numpy as np

from envs.task import Task


def test_the_bandits_reward_by_hand():
    env = Task('GaussianBandit-v0').training_envs(3)
    assert env.action_spec().shape == (1,)
    env.reset(seed=0)
    step = env.step(np.array([[4.0], [4.04], [2.0]], np.float32))
    np.testing.assert_allclose(step.reward, [20.0, 20.0, 0.5])
    assert step.is_last().all() and (step.discount == 0.0).all()
