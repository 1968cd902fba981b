"""Collecting experience for the replay."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from tf_agents.policies import tf_policy
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from envs.gymnasium_env import GymnasiumEnv
from pipelines.experience.replay import Replay
from pipelines.loops.rollout import Go, Rollout, VectorStep
from pipelines.protocols import StepListener


class Collector:
    """Runs the collect policy and passes every vector step to replay and listener."""

    def __init__(
        self,
        envs: GymnasiumEnv,
        policy: tf_policy.TFPolicy,
        replay: Replay,
        listener: StepListener,
        env_steps: tf.Variable,
    ):
        """Prepares the loop; `reset` must be called before `run`.

        Args:
          envs: environments, stepped together.
          policy: policy that explores.
          replay: receives one row of each environment per vector step.
          listener: receives every vector step.
          env_steps: int64 [], raised inside the loop.
        """
        self._replay, self._listener = replay, listener
        self.limit_episodes()
        initial_state = policy.get_initial_state(envs.batch_size)
        self.rollout = Rollout(envs, policy.action, initial_state, self._store, env_steps)

    def reset(self, seed: int) -> None:
        """Starts an episode in every environment."""
        self.rollout.reset(seed)

    def limit_episodes(self, end_after: int | None = None, pause_after: int | None = None) -> None:
        """Sets how many episodes may end from now on.

        Args:
          end_after: the run is over as soon as so many have ended; None: no limit.
          pause_after: no turn begins once so many have ended; None: no limit.
        """
        self._num_ended = 0
        self._end_after = math.inf if end_after is None else end_after
        self._pause_after = math.inf if pause_after is None else pause_after

    @property
    def is_over(self) -> bool:
        """Whether the last episode of the run has ended."""
        return self._num_ended >= self._end_after

    def run(self, num_vector_steps: int) -> None:
        """Steps every environment `num_vector_steps` times, or until the last episode has ended.

        Raises:
          ReplayStalledError: the replay accepts nothing.
          EnvError: a fault of the environment.
        """
        self.rollout.run(num_vector_steps)

    def _store(self, step: VectorStep) -> Go:
        row = trajectory.from_transition(step.before, step.action_step, step.after)
        self._replay.append(self._replay.codec.encode(row))
        self._listener.add(step.raw_reward, step.after)
        self._num_ended += np.count_nonzero(step.after.step_type == ts.StepType.LAST)
        if self.is_over:
            return Go.STOP
        return Go.FINISH_TURN if self._num_ended >= self._pause_after else Go.ON
