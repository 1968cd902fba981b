"""Checks that policy_raw/ on raw screens acts like policy/ on the environment's frames.

    python -m benchmarks.raw_parity --root_dir=runs/space_invaders

Plays real episodes with policy/ in the evaluation environment, while an emulator with the same
seed gets the same actions. At each step three actions are compared: policy/ on the environment's
frame, policy_raw/ on the emulator's screens, and policy/ on the frame that TensorFlow makes from
those screens. Each keeps its own policy state, so a difference can persist. The step that ends an
episode is left out, because no action is taken there. Exits with 1 below --goal, or if the last
two ever differ.
"""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
import tensorflow as tf
from absl import app, flags
from tf_agents.trajectories import time_step as ts

from agents.raw_screen_policy import ScreensToFrame
from envs.task import Task
from pipelines.runs import export

_ROOT_DIR = flags.DEFINE_string('root_dir', None, 'A finished Atari run.', required=True)
_STEPS = flags.DEFINE_integer('steps', 5_000, 'Number of steps to compare.')
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the game.')
_GOAL = flags.DEFINE_float('goal', 0.995, 'Smallest share of equal actions that passes.')


def main(_) -> None:
    """Plays, compares and exits with the verdict."""
    root = pathlib.Path(_ROOT_DIR.value)
    task = Task.from_card(json.loads((root / 'policy' / 'policy_card.json').read_text()))
    assert task.atari is not None
    env, emulator = task.evaluation_envs(1), task.emulator()
    frame_size = task.atari.frame_height, task.atari.frame_width
    to_frame = ScreensToFrame(emulator.screen_size, frame_size, task.atari.max_pool)
    policy, raw_policy = (export.LoadedPolicy(str(root / n)) for n in ('policy', 'policy_raw'))
    state, twin_state, raw_state = (p.get_initial_state(1) for p in (policy, policy, raw_policy))
    step, screens = env.reset(seed=_SEED.value), emulator.reset(seed=_SEED.value)
    raw_agreed: list[bool] = []
    twin_agreed: list[bool] = []
    episodes = 0
    grey_levels = np.zeros(256, np.int64)
    while len(raw_agreed) < _STEPS.value:
        frame, newest = step.observation, tf.constant(screens[np.newaxis])
        made = to_frame(newest)

        def seen(observation, kind=step.step_type):
            return ts.TimeStep(tf.constant(kind), tf.zeros([1]), tf.ones([1]), observation)

        outputs, state = policy.outputs(seen(tf.constant(frame)), state)
        twin, twin_state = policy.outputs(seen(made), twin_state)
        raw, raw_state = raw_policy.outputs(seen(newest), raw_state)
        action = int(outputs['action'][0])
        if step.is_last()[0]:
            step, screens = env.step(np.array([action])), emulator.reset()
            episodes += 1
            continue
        raw_agreed.append(action == int(raw['action'][0]))
        twin_agreed.append(int(twin['action'][0]) == int(raw['action'][0]))
        difference = np.abs(made.numpy().astype(int) - frame)
        grey_levels += np.bincount(difference.ravel(), minlength=256)
        step, (screens, reward, _) = env.step(np.array([action])), emulator.step(action)
        assert reward == env.raw_reward[0], 'the emulator and the environment diverged'
    shares = ', '.join(
        f'{count / grey_levels.sum():.4%} by {level}'
        for level, count in enumerate(grey_levels)
        if count and level
    )
    print(f'{len(raw_agreed):,} steps, {episodes} whole episodes, every reward equal')
    print(f'pixels that differ, by grey levels: {shares or "none"}')
    print(f'policy_raw/ and policy/ on the environment frames agree in {np.mean(raw_agreed):.2%}')
    print(f'policy_raw/ and policy/ on identical frames agree in {np.mean(twin_agreed):.2%}')
    sys.exit(int(np.mean(raw_agreed) < _GOAL.value or not all(twin_agreed)))


if __name__ == '__main__':
    app.run(main)
