"""The best policy so far, by evaluations while training."""

from __future__ import annotations

from typing import Any

from envs.task import Task
from pipelines.loops import overestimation
from pipelines.loops.evaluation import Evaluator, make_evaluator
from pipelines.protocols import LearningAgent


class BestPolicy:
    """Evaluates the agent's policy and keeps the best weights; of equals, the later ones.

    The weights are variables of the exported policy; a checkpoint keeps them with
    TensorFlow's other variables, and the rest as this part's state.
    """

    def __init__(
        self,
        task: Task,
        agent: LearningAgent,
        exported_policy: Any,
        *,
        num_episodes: int,
        epsilon: float,
        gamma: float,
    ):
        """Prepares; the first evaluation makes the environments.

        Args:
          task: task to evaluate on.
          agent: its `policy` is evaluated.
          exported_policy: the same policy on separate float32 weights, which hold the best.
          num_episodes: number of episodes in an evaluation.
          epsilon: share of random actions in them.
          gamma: discount factor of the values that the policy expects, if it reports them.
        """
        self._task, self._agent, self._exported = task, agent, exported_policy
        self._num_episodes, self._epsilon, self._gamma = num_episodes, epsilon, gamma
        self._evaluator: Evaluator | None = None
        self.found: dict[str, Any] = {
            'eval_mean': float('-inf'), 'env_steps': 0, 'train_steps': 0,
        }  # fmt: skip
        self.expected: dict[str, float] = {}  # last reading of the overestimation meter
        self.columns = overestimation.COLUMNS if agent.policy.info_spec else ()

    def evaluate(self, env_steps: int, seed: int) -> dict[str, float]:
        """Evaluates the policy, and keeps its weights if none were better.

        Args:
          env_steps: env steps of training so far.
          seed: seed of the episodes.

        Returns:
          `eval_return_mean`, and those of `columns` that are known.
        """
        policy = self._agent.policy
        if self._evaluator is None:
            self._evaluator = make_evaluator(
                self._task, policy, self._num_episodes, self._epsilon, self._gamma
            )
        mean = float(self._evaluator(self._num_episodes, seed).mean())
        if mean >= self.found['eval_mean']:
            self.found = {
                'eval_mean': mean,
                'env_steps': env_steps,
                'train_steps': int(self._agent.train_step_counter),
            }
            pairs = zip(self._exported.variables(), policy.variables(), strict=True)
            for best, online in pairs:
                best.assign(online)
        values = self._evaluator.overestimation
        self.expected = values.known() if values else {}
        return {'eval_return_mean': mean} | self.expected

    def close(self) -> None:
        """Closes the environments; a further evaluation makes new ones."""
        if self._evaluator is not None:
            self._evaluator.close()
            self._evaluator = None

    def state(self) -> dict:
        """Returns the best evaluation, and the last reading of the meter."""
        return {'found': self.found, 'expected': self.expected}

    def restore(self, state: dict) -> None:
        """Goes back to `state`."""
        self.found, self.expected = state['found'], state['expected']
