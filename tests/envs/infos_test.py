import gymnasium as gym
import numpy as np

from envs import infos
from tests.envs.fakes import Scripted


def test_a_name_is_told_of_the_copies_that_its_mask_marks():
    info = {infos.RAW_REWARD: np.array([7.0, 0.0]), f'_{infos.RAW_REWARD}': np.array([True, False])}
    own = np.array([1.0, 2.0])
    np.testing.assert_array_equal(infos.told(info, infos.RAW_REWARD, own), [7.0, 2.0])
    del info[f'_{infos.RAW_REWARD}']
    np.testing.assert_array_equal(infos.told(info, infos.RAW_REWARD, own), [7.0, 0.0])
    assert infos.told({}, infos.RAW_REWARD, own) is own
    assert infos.told({'raw_reward': 3, 'discount': 3}, infos.DISCOUNT, own) is own


class Doubled(gym.vector.VectorWrapper):
    """Rewards doubled in place; the info is its own."""

    def step(self, actions):
        observation, reward, terminated, truncated, _ = self.env.step(actions)
        reward *= 2
        return observation, reward, terminated, truncated, {}


def test_the_reward_below_the_wrappers_is_remembered_whatever_they_do_to_it():
    vector_env = gym.vector.SyncVectorEnv([Scripted, Scripted])
    below = infos.RewardBelow(vector_env)
    env = Doubled(Doubled(below))
    assert infos.reward_below(env) is below
    assert infos.reward_below(Doubled(vector_env)) is infos.reward_below(vector_env) is None
    env.reset(seed=0)
    for t in (1, 2):
        reward = env.step(np.array([0, 0]))[1]
        np.testing.assert_array_equal(reward, [4 * t, 4 * t])
        np.testing.assert_array_equal(below.reward, [t, t])
        assert below.reward.dtype == np.float32


class Told(gym.vector.VectorWrapper):
    """Tells a raw reward."""

    def step(self, actions):
        observation, reward, terminated, truncated, info = self.env.step(actions)
        info = {**info, infos.RAW_REWARD: reward + 100}
        return observation, reward, terminated, truncated, info


def test_what_a_wrapper_below_tells_counts_before_its_reward():
    below = infos.RewardBelow(Told(gym.vector.SyncVectorEnv([Scripted])))
    below.reset(seed=0)
    below.step(np.array([0]))
    assert below.reward == [101.0]
