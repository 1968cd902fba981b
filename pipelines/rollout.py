"""A policy at play: the loop that acts and steps inside the graph, and who listens to it."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from pipelines import overestimation
from pipelines.cli import UserError

ActionFn = Callable[..., policy_step.PolicyStep]  # (TimeStep, policy_state) -> PolicyStep


class Rollout:
    """A policy acting in a batched environment, inside the graph."""

    def __init__(
        self,
        env,
        action_fn: ActionFn,
        initial_policy_state,
        on_step: Callable[[ts.TimeStep, policy_step.PolicyStep, ts.TimeStep], bool],
        env_steps: tf.Variable | None = None,
    ):
        """Prepares the loop; `reset` must be called before `run`.

        Args:
          env: batched `GymnasiumEnv`.
          action_fn: acts on tensors [num_envs, ...].
          initial_policy_state: nest of tensors [num_envs, ...].
          on_step: told of every vector step (time_step, a PolicyStep with action and info,
            next_time_step; arrays [num_envs, ...]); the loop goes on while it returns True.
          env_steps: counts environment steps inside the loop, so that schedules that read
            it are exact. A step that only starts an episode is none.
        """
        self._env = env
        self._action_fn = action_fn
        self._initial_policy_state = initial_policy_state
        self._on_step = on_step
        self._env_steps = env_steps
        self._spec = env.time_step_spec()
        self._run = tf.function(self._loop, autograph=False)

    def reset(self, seed: int | None = None) -> None:
        """Starts an episode in every environment, seeded or as the last seed goes on."""
        first = self._env.reset(seed=seed)
        self._time_step = tf.nest.map_structure(tf.constant, first)
        self._policy_state = self._initial_policy_state

    def run(self, num_vector_steps: int) -> None:
        """Steps every environment `num_vector_steps` times, or until `on_step` says stop."""
        self._time_step, self._policy_state = self._run(
            self._time_step, self._policy_state, tf.constant(num_vector_steps)
        )

    def _loop(self, time_step, policy_state, num_vector_steps):
        def body(i, go_on, time_step, policy_state):
            del go_on
            step = self._action_fn(time_step, policy_state)
            if self._env_steps is not None:
                self._env_steps.assign_add(
                    tf.math.count_nonzero(time_step.step_type != ts.StepType.LAST)
                )
            go_on, time_step = self._step_in_graph(step)
            # A loaded policy does not know how many environments it plays in.
            state = tf.nest.map_structure(
                lambda new, old: tf.ensure_shape(new, old.shape), step.state, policy_state
            )
            return i + 1, go_on, time_step, state

        _, _, time_step, policy_state = tf.while_loop(
            lambda i, go_on, *_: (i < num_vector_steps) & go_on,
            body,
            (tf.constant(0), tf.constant(True), time_step, policy_state),
            parallel_iterations=1,
        )
        return time_step, policy_state

    def _step_in_graph(self, step):
        specs = tf.nest.flatten(self._spec)
        go_on, *leaves = tf.numpy_function(
            functools.partial(self._step, info_like=tf.nest.map_structure(lambda _: 0, step.info)),
            [step.action, *tf.nest.flatten(step.info)],
            [tf.bool, *(tf.as_dtype(spec.dtype) for spec in specs)],
        )
        for leaf, spec in zip(leaves, specs, strict=True):
            leaf.set_shape((self._env.batch_size, *spec.shape))
        go_on.set_shape(())
        return go_on, tf.nest.pack_sequence_as(self._spec, leaves)

    def _step(self, action, *info, info_like):
        before = self._env.current_time_step()
        after = self._env.step(action)
        step = policy_step.PolicyStep(action, (), tf.nest.pack_sequence_as(info_like, info))
        return (self._on_step(before, step, after), *tf.nest.flatten(after))


class EpisodeStatistics:
    """Returns of training episodes, undiscounted and of the raw reward."""

    def __init__(self, num_envs: int, window: int = 100):
        self.num_episodes = 0
        self.last_returns: collections.deque[float] = collections.deque(maxlen=window)
        self._return, self._steps = np.zeros(num_envs), np.zeros(num_envs, int)

    def add(self, raw_reward: np.ndarray, after: ts.TimeStep) -> None:
        """One vector step: raw_reward float [num_envs], and the time step it led to.

        Raises:
          UserError: a reward is no number.
        """
        self._steps += 1
        finite = np.isfinite(raw_reward) & np.isfinite(after.reward)
        if not finite.all():
            i = int(np.flatnonzero(~finite)[0])
            bad = raw_reward[i] if np.isfinite(after.reward[i]) else after.reward[i]
            raise UserError(
                f'the environment gave the reward {bad} in episode '
                f'{self.num_episodes + 1:,} at its step {self._steps[i]:,}: mend it and run the '
                'same command; it goes on from the newest checkpoint'
            )
        self._return += raw_reward
        for i in np.flatnonzero(after.step_type == ts.StepType.LAST):
            self.last_returns.append(float(self._return[i]))
            self.num_episodes += 1
            self._return[i] = 0.0
        self._steps[after.step_type != ts.StepType.MID] = 0

    def state(self) -> dict:
        """What a checkpoint must keep; episodes in flight are not part of it."""
        return {'num_episodes': self.num_episodes, 'last_returns': list(self.last_returns)}

    def restore(self, state: dict) -> None:
        """Takes `state` back."""
        self.num_episodes = state['num_episodes']
        self.last_returns.extend(state['last_returns'])


class Evaluator:
    """Plays episodes that are given to environments beforehand; traced once for many calls.

    Environment i plays episodes i, i + num_envs, ... (the first to finish would favour
    short episodes).
    """

    def __init__(
        self,
        env,
        action_fn: ActionFn,
        policy_state,
        epsilon: float = 0.0,
        gamma: float | None = None,
    ):
        """Prepares the loop.

        Args:
          env: batched `GymnasiumEnv`.
          action_fn: acts; where it tells in its info what `value` it expects, that is held
            against what follows (see `overestimation`).
          policy_state: nest of tensors [num_envs, ...].
          epsilon: the share of steps that take a uniformly random, discrete action instead.
          gamma: the discount of those values; None, they are not looked at.
        """
        self._env, self._gamma = env, gamma
        self.overestimation: overestimation.Overestimation | None = None  # of the last call
        self._generator = tf.random.Generator.from_seed(0)
        if epsilon > 0.0 and not np.issubdtype(env.action_spec().dtype, np.integer):
            raise UserError(
                f'epsilon = {epsilon}: random actions need discrete ones, and those of '
                f"'{env.name}' are continuous; use 0"
            )
        if epsilon > 0.0:
            action_fn = self._with_random_actions(action_fn, epsilon)
        self._rollout = Rollout(env, action_fn, policy_state, self._on_step)

    def _with_random_actions(self, action_fn: ActionFn, epsilon: float) -> ActionFn:
        num_actions = int(np.max(self._env.action_spec().maximum)) + 1

        def action(time_step, policy_state):
            step = action_fn(time_step, policy_state)
            shape, dtype = tf.shape(step.action), step.action.dtype
            random_action = self._generator.uniform(shape, maxval=num_actions, dtype=dtype)
            explore = self._generator.uniform(shape) < epsilon
            return step._replace(action=tf.where(explore, random_action, step.action))

        return action

    def __call__(self, num_episodes: int, seed: int) -> np.ndarray:
        """Raw returns, float64 [num_episodes], in the episodes' order.

        The same seed and number of environments give the same episodes, unless the policy
        draws its actions.
        """
        n = self._env.batch_size
        self._returns: list[list[float]] = [[] for _ in range(n)]
        self._quota = [len(range(i, num_episodes, n)) for i in range(n)]
        self._open = sum(quota > 0 for quota in self._quota)
        self._running = np.zeros(n)
        self._meter: overestimation.Meter | None = None
        self._generator.reset_from_seed(seed)
        self._rollout.reset(seed)
        while self._open:
            self._rollout.run(500)
        if self._meter is not None:
            self.overestimation = self._meter.read(np.array(self._quota))
        return np.array([self._returns[k % n][k // n] for k in range(num_episodes)])

    def _on_step(self, before, step, after) -> bool:
        if self._gamma is not None and step.info:
            if self._meter is None:
                self._meter = overestimation.Meter(self._env.batch_size, self._gamma)
            self._meter.add(step.info, before, after)
        # The step that follows LAST only starts an episode, but the values of LAST come with it.
        for i in np.flatnonzero(before.step_type == ts.StepType.LAST):
            if len(self._returns[i]) < self._quota[i]:
                self._returns[i].append(float(self._running[i]))
                self._open -= len(self._returns[i]) == self._quota[i]
            self._running[i] = 0.0
        self._running += self._env.raw_reward
        return self._open > 0
