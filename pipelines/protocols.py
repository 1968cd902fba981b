"""What `pipelines` expects of a run's parts, of agents and of policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts


class Part(Protocol):
    """A part of a run that checkpoints save."""

    def state(self) -> Any:
        """Returns what `restore` needs, as JSON values; files that it refers to are synced."""

    def restore(self, state: Any) -> None:
        """Goes back to `state`."""


class Experience(Part, Protocol):
    """What an agent is trained on; `restore(None)` goes back to the beginning of a run."""

    @property
    def description(self) -> str:
        """One line about it, printed when a run starts."""

    @property
    def contents(self) -> str:
        """What it holds now, as the end of a sentence; may be empty."""

    def prune(self, state: Any) -> None:
        """Deletes what going back to `state`, or to a later one, would not need."""

    def newest_observations(self, count: int) -> Any:
        """Returns the newest observations, arrays [count, ...] or fewer."""


class ActingPolicy(Protocol):
    """A policy that acts on batches, live or reloaded."""

    def action(self, time_step: ts.TimeStep, policy_state: Any = ()) -> policy_step.PolicyStep:
        """Acts; the info may hold `value`, the expected return, float32 [B]."""

    def outputs(self, time_step: ts.TimeStep, policy_state: Any = ()) -> tuple[dict, Any]:
        """Returns (`action` and the tensors it was chosen by, by name; the next policy state)."""

    def get_initial_state(self, batch_size: int) -> Any:
        """Returns the policy state at the start of an episode."""


class LearningAgent(Protocol):
    """An agent with its collect policy, and a policy that plays without exploration."""

    @property
    def name(self) -> str:
        """The name of its class in gin."""

    @property
    def policy(self) -> Any:
        """The policy without exploration: an `ActingPolicy` with `variables()` and `info_spec`."""

    @property
    def collect_policy(self) -> Any:
        """The policy that explores."""

    @property
    def train_step_counter(self) -> tf.Variable:
        """The number of train steps so far, int64 []."""

    def initialize(self) -> Any:
        """Makes its other networks equal to the one that is trained."""

    def train(self, experience: Any, weights: tf.Tensor | None = None) -> tf_agent.LossInfo:
        """Performs one train step, inside a graph."""


class StepListener(Protocol):
    """Receives every training step."""

    def add(self, raw_reward: np.ndarray, after: ts.TimeStep) -> None:
        """Takes one vector step: raw_reward float [num_envs], and the time step that followed."""


Metrics = Mapping[str, float]  # by column name, over some train steps
