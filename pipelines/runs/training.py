"""What a session needs to know about an agent and its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task
from pipelines.loops.rollout import EpisodeStatistics
from pipelines.protocols import Experience, LearningAgent, Part


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """An agent and everything that it is trained with, whatever the algorithm."""

    task: Task
    envs: GymnasiumEnv  # for training
    agent: LearningAgent  # its `policy` is evaluated while training
    agent_name: str  # as printed
    gamma: float  # discount factor per env step
    # Policies to export, by directory name. `policy` is the agent's on separate float32 weights,
    # which hold the best so far.
    exports: Mapping[str, Any]
    experience: Experience  # saved with every checkpoint
    env_steps: tf.Variable  # int64 [], raised by the loops
    statistics: EpisodeStatistics  # of training episodes
    metrics: Sequence[str]  # names of a turn's metrics (see `Progress`)
    gauges: Mapping[str, Callable[[], Any]] = dataclasses.field(default_factory=dict)
    parts: Mapping[str, Part] = dataclasses.field(default_factory=dict)  # further parts to save
    notes: Sequence[str] = ()  # lines about the task, printed at the start
