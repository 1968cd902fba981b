"""Collecting experience for the replay."""

from __future__ import annotations

import tensorflow as tf
from tf_agents.policies import tf_policy
from tf_agents.trajectories import trajectory

from envs.gymnasium_env import GymnasiumEnv
from pipelines.experience.replay import Replay
from pipelines.loops.rollout import Rollout, VectorStep
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
        initial_state = policy.get_initial_state(envs.batch_size)
        self.rollout = Rollout(envs, policy.action, initial_state, self._store, env_steps)

    def reset(self, seed: int) -> None:
        """Starts an episode in every environment."""
        self.rollout.reset(seed)

    def run(self, num_vector_steps: int) -> None:
        """Steps every environment `num_vector_steps` times.

        Raises:
          ReplayStalledError: the replay accepts nothing.
          UserError: a reward is not finite.
        """
        self.rollout.run(num_vector_steps)

    def _store(self, step: VectorStep) -> bool:
        row = trajectory.from_transition(step.before, step.action_step, step.after)
        self._replay.append(self._replay.codec.encode(row))
        self._listener.add(step.raw_reward, step.after)
        return True
