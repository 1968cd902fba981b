"""Plays episodes to evaluate a policy."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from agents.action_specs import DiscreteActions
from agents.policies import mix_in_random_actions
from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task
from pipelines.errors import UserError
from pipelines.loops import overestimation
from pipelines.loops.rollout import ActionFn, Rollout, VectorStep
from pipelines.protocols import ActingPolicy

MAX_ENVS = 100  # stepped together


def make_evaluator(
    task: Task, policy: ActingPolicy, num_episodes: int, epsilon: float, gamma: float | None
) -> Evaluator:
    """Makes an `Evaluator` with environments for `num_episodes`, at most `MAX_ENVS`."""
    envs = task.evaluation_envs(min(num_episodes, MAX_ENVS))
    return Evaluator(envs, policy, epsilon, gamma)


class Evaluator:
    """Plays episodes that are assigned to environments in advance; traced once for many calls.

    Environment i plays episodes i, i + num_envs, ... Counting whichever episodes finish first
    would favour short ones.
    """

    def __init__(
        self,
        envs: GymnasiumEnv,
        policy: ActingPolicy,
        epsilon: float = 0.0,
        gamma: float | None = None,
    ):
        """Prepares the loop.

        Args:
          envs: environments that nothing else uses.
          policy: policy to evaluate; if its info holds the `value` that it expects, this is
            compared with the returns that follow (see `overestimation`).
          epsilon: share of steps that take a uniformly random legal action instead.
          gamma: discount factor of those values; None to ignore them.

        Raises:
          UserError: epsilon is not 0 and the actions are continuous.
        """
        self._envs, self._gamma = envs, gamma
        self.overestimation: overestimation.Overestimation | None = None  # in the last call
        self._generator = tf.random.Generator.from_seed(0)
        action_fn: ActionFn = policy.action
        if epsilon > 0.0:
            action_fn = self._with_random_actions(action_fn, epsilon)
        initial_state = policy.get_initial_state(envs.batch_size)
        self._rollout = Rollout(envs, action_fn, initial_state, self._on_step)

    def _with_random_actions(self, action_fn: ActionFn, epsilon: float) -> ActionFn:
        action_spec, uniform = self._envs.action_spec(), self._generator.uniform
        if not np.issubdtype(action_spec.dtype, np.integer):
            raise UserError(
                f'epsilon = {epsilon}: random actions need discrete ones, and those of '
                f"'{self._envs.name}' are continuous; use 0"
            )
        actions = DiscreteActions(action_spec)

        def action(time_step: ts.TimeStep, policy_state: object) -> policy_step.PolicyStep:
            step = action_fn(time_step, policy_state)
            mixed = mix_in_random_actions(
                step.action, actions, epsilon, uniform, time_step.observation
            )
            return step._replace(action=mixed)

        return action

    def __call__(self, num_episodes: int, seed: int) -> np.ndarray:
        """Plays episodes and returns their raw returns, float64 [num_episodes], in order.

        The same seed and number of environments give the same episodes, unless the policy
        draws its actions.
        """
        n = self._envs.batch_size
        self._returns: list[list[float]] = [[] for _ in range(n)]
        self._quota = [len(range(i, num_episodes, n)) for i in range(n)]
        self._running = np.zeros(n)
        self._meter: overestimation.Meter | None = None
        self._generator.reset_from_seed(seed)
        self._rollout.reset(seed)
        while self._is_open():
            self._rollout.run(500)
        if self._meter is not None:
            self.overestimation = self._meter.read(np.array(self._quota))
        return np.array([self._returns[k % n][k // n] for k in range(num_episodes)])

    def close(self) -> None:
        """Closes the environments."""
        self._envs.close()

    def _is_open(self) -> bool:
        """Whether an environment has episodes left to play."""
        return any(
            len(returns) < quota for returns, quota in zip(self._returns, self._quota, strict=True)
        )

    def _on_step(self, step: VectorStep) -> bool:
        info = step.action_step.info
        if self._gamma is not None and info:
            if self._meter is None:
                self._meter = overestimation.Meter(self._envs.batch_size, self._gamma)
            self._meter.add(info, step.before, step.after)
        # A step taken at LAST only starts an episode, but its info holds the values at LAST.
        ended = np.flatnonzero(step.before.step_type == ts.StepType.LAST)
        for i in ended:
            if len(self._returns[i]) < self._quota[i]:
                self._returns[i].append(float(self._running[i]))
            self._running[i] = 0.0
        self._running += step.raw_reward
        return not len(ended) or self._is_open()
