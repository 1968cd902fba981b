"""The compiled loops of policy gradients: collect whole episodes, train on each once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from pipelines.episode_queue import EpisodeQueue
from pipelines.rollout import Rollout


class EpisodeCollector:
    """Collects one whole episode per environment and puts them into a queue.

    The first to finish wait for the last, or short episodes would be favoured; what a
    waiting environment does meanwhile is no environment step and is thrown away.
    """

    def __init__(self, env, policy, queue: EpisodeQueue, statistics, env_steps: tf.Variable):
        self._env, self._queue = env, queue
        self._statistics, self._env_steps = statistics, env_steps
        self._rollout = Rollout(
            env, policy.action, policy.get_initial_state(env.batch_size), self._store
        )

    def run(self, seed: int | None = None) -> None:
        """Collects one batch.

        Raises:
          UserError: the queue takes nothing, or a reward is no number.
        """
        self._rows: list[np.ndarray] = []  # of each vector step, [num_envs, row_bytes]
        self._lengths = np.zeros(self._env.batch_size, int)
        self._error: Exception | None = None
        self._rollout.reset(seed)
        try:
            self._rollout.run(np.iinfo(np.int32).max)
        except tf.errors.OpError:
            if self._error is not None:  # what really happened, without TensorFlow's wrapping
                raise self._error from None
            raise
        rows = np.stack(self._rows)  # [T, num_envs, row_bytes]
        self._queue.put([rows[: length + 1, i] for i, length in enumerate(self._lengths)])
        self._env_steps.assign_add(int(self._lengths.sum()))

    def _store(self, before, step, after) -> bool:
        try:
            playing = self._lengths == 0
            self._append(before, step, after)
            over = playing & (after.step_type == ts.StepType.LAST)
            self._lengths[over] = len(self._rows)
            seen = after._replace(  # one that waits is always about to begin
                step_type=np.where(playing, after.step_type, ts.StepType.FIRST),
                reward=np.where(playing, after.reward, 0.0),
            )
            self._statistics.add(np.where(playing, self._env.raw_reward, 0.0), seen)
            if self._lengths.all():
                self._append(after, step, after)  # the last rows: only their states count
                return False
            return True
        except Exception as e:
            self._error = e
            raise

    def _append(self, before, step, after):
        row = trajectory.from_transition(before, step, after)
        self._rows.append(self._queue.codec.encode(row))


class EpisodeLearner:
    """One train step on each batch of the queue."""

    def __init__(self, agent, queue: EpisodeQueue):
        self._agent, self._queue = agent, queue
        self._batches: Iterator | None = None
        self._train = tf.function(self._sample_and_train, autograph=False)

    def train(self) -> dict[str, float]:
        """Trains on the next batch, which must be in the queue; returns the loss and its parts.

        Raises:
          UserError: it is not.
        """
        if self._batches is None:
            self._batches = self._queue.batches()
        self._queue.take()
        info = self._train()
        return {'loss': float(info.loss)} | {k: float(v) for k, v in info.extra.items()}

    def _sample_and_train(self):
        return self._agent.train(self._queue.codec.decode(next(self._batches)))
