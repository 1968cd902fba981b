"""The loop that acts and steps environments inside the graph, and statistics of episodes."""

from __future__ import annotations

import collections
import contextlib
import enum
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from envs.errors import EnvError
from envs.gymnasium_env import GymnasiumEnv
from pipelines.errors import UserError

ActionFn = Callable[[ts.TimeStep, Any], policy_step.PolicyStep]


class VectorStep(NamedTuple):
    """One step of every environment; arrays [num_envs, ...]."""

    before: ts.TimeStep  # acted on; at LAST, the action was ignored
    action_step: policy_step.PolicyStep  # action and info
    after: ts.TimeStep
    raw_reward: np.ndarray  # float32 [num_envs], for reports: not clipped, without noise


class Go(enum.IntEnum):
    """What follows a vector step."""

    STOP = 0  # nothing: the rollout ends
    ON = 1  # another vector step; the same as True
    FINISH_TURN = 2  # what is left of the turn, and no further turn


class RolloutState(NamedTuple):
    """Where a rollout is: tensors [num_envs, ...]."""

    time_step: ts.TimeStep
    policy_state: Any


class Rollout:
    """A policy acting in a batched environment, inside the graph."""

    def __init__(
        self,
        envs: GymnasiumEnv,
        action_fn: ActionFn,
        initial_policy_state: Any,
        on_step: Callable[[VectorStep], bool | Go],
        env_steps: tf.Variable | None = None,
    ):
        """Prepares the loop; `reset` must be called before `run`.

        Args:
          envs: environments, stepped together.
          action_fn: acts on tensors [num_envs, ...].
          initial_policy_state: nest of tensors [num_envs, ...].
          on_step: receives every vector step, and says whether another follows.
          env_steps: int64 [], raised inside the loop, so schedules that read it are exact. A
            step that only starts an episode does not count.
        """
        self._envs = envs
        self._action_fn = action_fn
        self._initial_policy_state = initial_policy_state
        self._on_step = on_step
        self._env_steps = env_steps
        self._spec = envs.time_step_spec()
        self._run = tf.function(self.advance, autograph=False)
        self._failure: Exception | None = None

    def reset(self, seed: int | None = None) -> None:
        """Starts an episode in every environment; without a seed, random streams continue."""
        first = self._envs.reset(seed=seed)
        self.state = RolloutState(
            tf.nest.map_structure(tf.constant, first), self._initial_policy_state
        )

    def run(self, num_vector_steps: int) -> None:
        """Steps every environment `num_vector_steps` times, or until `on_step` ends it.

        Raises:
          Exception: what an environment or `on_step` raised, without TensorFlow's wrapping.
        """
        with self.unwrapped_failures():
            self.state, _ = self._run(self.state, tf.constant(num_vector_steps))

    @contextlib.contextmanager
    def unwrapped_failures(self) -> Iterator[None]:
        """Within it, what an environment or `on_step` raises in a graph arrives as it was."""
        self._failure = None
        try:
            yield
        except tf.errors.OpError:
            if self._failure is None:
                raise
            raise self._failure from None

    def advance(
        self, state: RolloutState, num_vector_steps: tf.Tensor
    ) -> tuple[RolloutState, tf.Tensor]:
        """`run` for the inside of a graph: the state that it leads to, and the last `Go`."""

        def body(i, go, time_step, policy_state):  # type: ignore[no-untyped-def]
            del go
            state, go = self.step(RolloutState(time_step, policy_state))
            return i + 1, go, *state

        _, go, time_step, policy_state = tf.while_loop(
            lambda i, go, *_: (i < num_vector_steps) & (go != Go.STOP),
            body,
            (tf.constant(0), tf.constant(int(Go.ON)), *state),
            parallel_iterations=1,
        )
        return RolloutState(time_step, policy_state), go

    def step(self, state: RolloutState) -> tuple[RolloutState, tf.Tensor]:
        """One vector step inside a graph: the state that it leads to, and its `Go`."""
        step = self._action_fn(*state)
        if self._env_steps is not None:
            self._env_steps.assign_add(
                tf.math.count_nonzero(state.time_step.step_type != ts.StepType.LAST)
            )
        go, time_step = self._step_in_graph(step)
        # A loaded policy does not know how many environments it plays in.
        policy_state = tf.nest.map_structure(
            lambda new, old: tf.ensure_shape(new, old.shape), step.state, state.policy_state
        )
        return RolloutState(time_step, policy_state), go

    def _step_in_graph(self, step: policy_step.PolicyStep) -> tuple[tf.Tensor, ts.TimeStep]:
        specs = tf.nest.flatten(self._spec)
        go, *leaves = tf.numpy_function(
            functools.partial(self._step, info_like=tf.nest.map_structure(lambda _: 0, step.info)),
            [step.action, *tf.nest.flatten(step.info)],
            [tf.int32, *(tf.as_dtype(spec.dtype) for spec in specs)],
        )
        for leaf, spec in zip(leaves, specs, strict=True):
            leaf.set_shape((self._envs.batch_size, *spec.shape))
        go.set_shape(())
        return go, tf.nest.pack_sequence_as(self._spec, leaves)

    def _step(self, action: np.ndarray, *info: np.ndarray, info_like: Any) -> tuple:
        try:
            before = self._envs.current_time_step()
            after = self._envs.step(action)
            step = policy_step.PolicyStep(action, (), tf.nest.pack_sequence_as(info_like, info))
            go = self._on_step(VectorStep(before, step, after, self._envs.raw_reward))
        except Exception as e:
            self._failure = e
            if isinstance(e, EnvError) and not np.isfinite(action).all():  # not its own fault
                self._failure = UserError(
                    'training diverged: the policy gave an action that is not finite; lower '
                    'adam.learning_rate or set PolicyGradientAgent.gradient_clip_norm, and use a '
                    'new directory'
                )
            raise
        return (np.int32(go), *tf.nest.flatten(after))


class Episode(NamedTuple):
    """A training episode that has ended."""

    number: int  # in the run, from 1
    env_steps: int  # of the run, when it ended
    total_reward: float  # undiscounted, raw
    length: int  # env steps


class EpisodeStatistics:
    """Counts training episodes and keeps their last returns (undiscounted, raw reward)."""

    def __init__(self, num_envs: int, window: int = 100):
        self.num_episodes = 0
        self.env_steps = 0  # steps that only start an episode do not count
        self._ended: list[Episode] = []
        self.last_returns: collections.deque[float] = collections.deque(maxlen=window)
        self._return, self._steps = np.zeros(num_envs), np.zeros(num_envs, int)

    def add(self, raw_reward: np.ndarray, after: ts.TimeStep) -> None:
        """Takes one vector step: raw_reward float [num_envs], and the time step that followed."""
        self._steps += 1
        self._return += raw_reward
        self.env_steps += len(after.step_type)
        border = np.flatnonzero(after.step_type != ts.StepType.MID)
        if not border.size:
            return
        self.env_steps -= int(np.count_nonzero(after.step_type == ts.StepType.FIRST))
        for i in np.flatnonzero(after.step_type == ts.StepType.LAST):
            total_reward = float(self._return[i])
            self.last_returns.append(total_reward)
            self.num_episodes += 1
            self._ended.append(
                Episode(self.num_episodes, self.env_steps, total_reward, int(self._steps[i]))
            )
            self._return[i] = 0.0
        self._steps[border] = 0

    def take_ended(self) -> list[Episode]:
        """Returns the episodes that have ended since the last call, in their order."""
        ended, self._ended = self._ended, []
        return ended

    def state(self) -> dict:
        """Returns what is known of finished episodes; those in progress are left out."""
        return {'num_episodes': self.num_episodes, 'last_returns': list(self.last_returns)}

    def restore(self, state: dict) -> None:
        """Goes back to `state`; `env_steps` is for the caller to set."""
        self.num_episodes = state['num_episodes']
        self.last_returns.extend(state['last_returns'])
