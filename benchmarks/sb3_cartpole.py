"""Stable-Baselines3's DQN on the work of cartpole_speed.py; prints env steps per second.

    python sb3_cartpole.py NUM_ENVS NUM_THREADS

Needs a separate Python environment with torch. Time is taken from env step 4 000, when training
has long started, to the end, so imports and set-up are excluded.
"""

import sys
import time

import gymnasium as gym
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

_WARM_UP_ENV_STEPS, _TOTAL_ENV_STEPS = 4_000, 12_000


class _Timer(BaseCallback):
    started: tuple[int, float] | None = None

    def _on_step(self) -> bool:
        if self.started is None and self.num_timesteps >= _WARM_UP_ENV_STEPS:
            self.started = (self.num_timesteps, time.perf_counter())
        return True


def main(num_envs: int, num_threads: int) -> float:
    """Trains; returns env steps per second."""
    torch.set_num_threads(num_threads)
    model = DQN(
        'MlpPolicy',
        make_vec_env(lambda: gym.make('CartPole-v1'), n_envs=num_envs, seed=0),
        learning_rate=1e-4,
        buffer_size=50_000,
        learning_starts=1_000,
        batch_size=64,
        gamma=0.99,
        train_freq=1,
        gradient_steps=num_envs,  # one minibatch per env step
        target_update_interval=10_000,
        exploration_fraction=1 / 3,
        policy_kwargs=dict(net_arch=[64, 64]),
        seed=0,
        device='cpu',
    )
    timer = _Timer()
    model.learn(_TOTAL_ENV_STEPS, callback=timer)
    assert timer.started is not None
    steps, began = timer.started
    # `_n_updates` proves the work: one minibatch per env step after `learning_starts`.
    assert abs(model._n_updates - (_TOTAL_ENV_STEPS - 1_000)) <= 2 * num_envs, model._n_updates
    return (model.num_timesteps - steps) / (time.perf_counter() - began)


if __name__ == '__main__':
    print(main(int(sys.argv[1]), int(sys.argv[2])))
