"""Environments with recognisable rows, and a replay for them."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from agents.prioritisation import Prioritisation
from pipelines.experience.minibatches import TransitionShape
from pipelines.experience.replay import Replay

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))
SPEC = trajectory.Trajectory(
    step_type=tf.TensorSpec([], tf.int32),
    observation=tf.TensorSpec([3], tf.int64),  # env, episode, time: large numbers must survive
    action=tf.TensorSpec([], tf.int64),
    policy_info=(),
    next_step_type=tf.TensorSpec([], tf.int32),
    reward=tf.TensorSpec([], tf.float32),
    discount=tf.TensorSpec([], tf.float32),
)
BIG = 2**53 + 1  # lost by a float64, let alone a float32


class Life:
    """Environments whose rows name their environment, episode and time."""

    def __init__(self, lengths, num_envs):
        self.lengths, self.num_envs = lengths, num_envs
        self.episode, self.time = np.arange(num_envs) * 1000, np.zeros(num_envs, int)
        self.transitions: list[set] = []  # per vector step: what starts there

    def length(self, i):
        return self.lengths[self.episode[i] % len(self.lengths)]

    def step(self):
        """Returns one vector step of rows; time `length` is the LAST row."""
        kinds, observations, rewards = [], [], []
        started = set()
        for i in range(self.num_envs):
            length, t = self.length(i), int(self.time[i])
            kinds.append(FIRST if t == 0 else LAST if t == length else MID)
            observations.append([i, int(self.episode[i]), BIG + t])
            rewards.append(float(t + 1) if t < length else 0.0)
            if t < length:
                started.add((i, int(self.episode[i]), t))
            if t == length:
                self.episode[i] += 1
                self.time[i] = 0
            else:
                self.time[i] += 1
        self.transitions.append(started)
        kinds = np.array(kinds, np.int32)
        return trajectory.Trajectory(
            step_type=kinds,
            observation=np.array(observations, np.int64),
            action=np.array([o[2] - BIG for o in observations], np.int64),
            policy_info=(),
            next_step_type=kinds,
            reward=np.array(rewards, np.float32),
            discount=np.array(
                [0.0 if r == self.lengths[o[1] % len(self.lengths)] else 1.0
                 for r, o in zip(rewards, observations)], np.float32,
            ),
        )  # fmt: skip

    def cut_short(self):
        """Does what a kill does: every environment starts a new episode."""
        self.episode += 1
        self.time[:] = 0


def make(
    directory, num_envs=1, n=1, frame_stack=None, sample=256, alpha=None, gamma=1.0, beta=0.4,
    **kwargs,
):  # fmt: skip
    """A replay of small items; `alpha` makes it prioritised."""
    kwargs = {'transitions_per_item': 4, 'rows_per_chunk': 4, 'stall_timeout_seconds': 20} | kwargs
    prioritisation = None
    if alpha is not None:
        env_steps = tf.Variable(0, dtype=tf.int64)
        prioritisation = Prioritisation(env_steps, alpha=alpha, beta=beta, min_priority=0.01)
    shape = TransitionShape(n, gamma, frame_stack)
    log_dir = pathlib.Path(directory) / 'log'
    return Replay(SPEC, num_envs, shape, sample, log_dir, prioritisation, **kwargs)


def fill(replay, life, num_steps):
    for _ in range(num_steps):
        replay.append(replay.codec.encode(life.step()))
    replay.flush()
