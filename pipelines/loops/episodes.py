"""Loops of policy gradients: collect whole episodes, train on each once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.policies import tf_policy
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from envs.gymnasium_env import GymnasiumEnv
from pipelines.experience.episode_queue import EpisodeQueue
from pipelines.loops.rollout import EpisodeStatistics, Rollout, VectorStep
from pipelines.protocols import LearningAgent


class EpisodeCollector:
    """Collects one whole episode per environment and puts them into a queue.

    Environments that finish early wait for the last one, because short episodes would be
    favoured otherwise. Steps of a waiting environment are discarded and not counted.
    """

    def __init__(
        self,
        envs: GymnasiumEnv,
        policy: tf_policy.TFPolicy,
        queue: EpisodeQueue,
        statistics: EpisodeStatistics,
        env_steps: tf.Variable,
    ):
        """Prepares the loop.

        Args:
          envs: environments, stepped together.
          policy: policy that draws actions.
          queue: receives one episode of each environment per batch.
          statistics: receives every vector step.
          env_steps: int64 [], raised by the steps of each batch.
        """
        self._envs, self._queue = envs, queue
        self._statistics, self._env_steps = statistics, env_steps
        initial_state = policy.get_initial_state(envs.batch_size)
        self._rollout = Rollout(envs, policy.action, initial_state, self._store)

    def run(self, seed: int | None = None) -> None:
        """Collects one batch; `seed` seeds the environments.

        Raises:
          UserError: the queue accepts nothing.
          EnvError: a fault of the environment.
        """
        self._rows: list[np.ndarray] = []  # one [num_envs, row_bytes] per vector step
        self._lengths = np.zeros(self._envs.batch_size, int)
        self._rollout.reset(seed)
        self._rollout.run(np.iinfo(np.int32).max)
        rows = np.stack(self._rows)  # [T, num_envs, row_bytes]
        self._queue.put([rows[: length + 1, i] for i, length in enumerate(self._lengths)])
        self._env_steps.assign_add(int(self._lengths.sum()))

    def _store(self, step: VectorStep) -> bool:
        before, action_step, after, raw_reward = step
        playing = self._lengths == 0
        self._append(before, action_step, after)
        over = playing & (after.step_type == ts.StepType.LAST)
        self._lengths[over] = len(self._rows)
        seen = after._replace(  # a waiting environment seems to be starting an episode
            step_type=np.where(playing, after.step_type, ts.StepType.FIRST),
            reward=np.where(playing, after.reward, 0.0),
        )
        self._statistics.add(np.where(playing, raw_reward, 0.0), seen)
        if self._lengths.all():
            self._append(after, action_step, after)  # the LAST rows, needed for observations
            return False
        return True

    def _append(
        self, before: ts.TimeStep, action_step: policy_step.PolicyStep, after: ts.TimeStep
    ) -> None:
        row = trajectory.from_transition(before, action_step, after)
        self._rows.append(self._queue.codec.encode(row))


class EpisodeLearner:
    """Performs one train step on each batch of the queue."""

    def __init__(self, agent: LearningAgent, queue: EpisodeQueue):
        self._agent, self._queue = agent, queue
        self._batches: Iterator | None = None
        self._train = tf.function(self._sample_and_train, autograph=False)

    def train(self) -> dict[str, float]:
        """Trains on the next batch and returns the loss and its parts.

        Raises:
          UserError: the queue does not hold a whole batch.
        """
        if self._batches is None:
            self._batches = self._queue.batches()
        self._queue.take()
        info = self._train()
        return {'loss': float(info.loss)} | {k: float(v) for k, v in info.extra.items()}

    def _sample_and_train(self) -> tf_agent.LossInfo:
        assert self._batches is not None
        return self._agent.train(self._queue.codec.decode(next(self._batches)))
