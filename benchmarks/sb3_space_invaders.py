"""Stable-Baselines3's DQN on the work of space_invaders_speed.py; prints env steps per second.

    python sb3_space_invaders.py NUM_ENVS NUM_THREADS [subproc]

Needs a separate Python environment with torch. Uses its Atari wrappers and its network of Mnih
et al. 2015; sticky actions, skip 4, episodes that end at game over, clipped rewards. Time is taken
from env step 2 000, when training has long started, to the end, so imports and set-up are excluded.
"""

import sys
import time

import ale_py
import gymnasium as gym
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack

_LEARNING_STARTS, _WARM_UP_ENV_STEPS, _TOTAL_ENV_STEPS = 1_000, 2_000, 5_000


class _Timer(BaseCallback):
    started: tuple[int, float] | None = None

    def _on_step(self) -> bool:
        if self.started is None and self.num_timesteps >= _WARM_UP_ENV_STEPS:
            self.started = (self.num_timesteps, time.perf_counter())
        return True


def main(num_envs: int, num_threads: int, subprocesses: bool) -> float:
    """Trains; returns env steps per second."""
    gym.register_envs(ale_py)
    torch.set_num_threads(num_threads)
    env = make_atari_env(
        'SpaceInvadersNoFrameskip-v4',
        n_envs=num_envs,
        seed=0,
        vec_env_cls=SubprocVecEnv if subprocesses else DummyVecEnv,
        wrapper_kwargs=dict(
            noop_max=0, frame_skip=4, terminal_on_life_loss=False, clip_reward=True,
            action_repeat_probability=0.25,
        ),
    )  # fmt: skip
    model = DQN(
        'CnnPolicy',
        VecFrameStack(env, n_stack=4),
        learning_rate=6.25e-5,
        buffer_size=10_000,  # takes 56 kB per transition; a larger one is not faster
        learning_starts=_LEARNING_STARTS,
        batch_size=32,
        gamma=0.99,
        # One minibatch per 4 env steps.
        train_freq=max(1, 4 // num_envs),
        gradient_steps=max(1, num_envs // 4),
        target_update_interval=8_000,
        exploration_fraction=0.1,
        seed=0,
        device='cpu',
    )
    timer = _Timer()
    model.learn(_TOTAL_ENV_STEPS, callback=timer)
    assert timer.started is not None
    steps, began = timer.started
    updates = (_TOTAL_ENV_STEPS - _LEARNING_STARTS) / 4
    assert abs(model._n_updates - updates) <= 2 * num_envs, model._n_updates  # the work was done
    return (model.num_timesteps - steps) / (time.perf_counter() - began)


if __name__ == '__main__':
    print(main(int(sys.argv[1]), int(sys.argv[2]), 'subproc' in sys.argv))
