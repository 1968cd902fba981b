"""How networks act: greedily, epsilon-greedily, or by drawing from a distribution.

None has a `distribution`: a SavedModel of one would hold a TensorFlow Probability type
that plain TensorFlow cannot load.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.policies import tf_policy
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from agents import masks
from agents.action_distribution import Distribution, Outputs
from agents.action_specs import DiscreteActions
from agents.frame_stack_network import FrameStackNetwork
from agents.q_network import QNetwork


def mix_in_random_actions(
    action: tf.Tensor,
    actions: DiscreteActions,
    epsilon: float | tf.Tensor,
    uniform: Callable[..., tf.Tensor],
    observation: Any = (),
) -> tf.Tensor:
    """Each action, or with probability epsilon a uniformly random legal one: epsilon-greedy.

    Where there are several actions at a time, each of them is replaced or not by itself.

    Args:
      action: integer [B, ...], the environment's.
      actions: of the environment.
      epsilon: in [0, 1], a number or float32 [].
      uniform: draws the random numbers: `tf.random.uniform`, or the method of that name of a
        `tf.random.Generator`. It is called first for the actions, then for whether to take them.
      observation: [B, ...], in which the action is taken; its mask, if it has one, is obeyed.

    Returns:
      The actions, of the same shape and dtype.
    """
    _, mask = masks.split(observation, actions)
    index = actions.index(action)  # [B] or [B, D]
    shape = tf.shape(index)
    if mask is None and len(set(actions.sizes)) == 1:
        random_index = uniform(shape, maxval=actions.sizes[0], dtype=index.dtype)
    else:
        draws = uniform(tf.concat([shape, [max(actions.sizes)]], axis=0))  # [..., A], in [0, 1)
        draws = tf.where(actions.is_real if mask is None else mask, draws, -1.0)
        random_index = tf.argmax(draws, axis=-1, output_type=index.dtype)
    explore = uniform(shape) < epsilon
    return actions.action(tf.where(explore, random_index, index))


def state_value(q_values: tf.Tensor) -> tf.Tensor:
    """float32 [B]: max_a Q(s, a); of values [B, D, A] the mean over the dimensions' maxima."""
    best = tf.reduce_max(q_values, axis=-1)
    return best if best.shape.rank == 1 else tf.reduce_mean(best, axis=1)


class GreedyQPolicy(tf_policy.TFPolicy):
    """argmax over the legal actions of Q(s, a), the first of equally good ones.

    Where there are several actions at a time, each is the argmax of its own values.
    """

    _training = False  # noisy layers give their means

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: tf.TensorSpec,
        q_network: QNetwork | FrameStackNetwork,
        info_spec: Any = (),
    ):
        """Makes the policy.

        Args:
          time_step_spec: of the environment.
          action_spec: discrete.
          q_network: Q(s, .); its state is the policy's.
          info_spec: of what a subclass reports along with the action.
        """
        super().__init__(
            time_step_spec,
            action_spec,
            policy_state_spec=q_network.state_spec,
            info_spec=info_spec,
            clip=False,
            automatic_state_reset=False,
        )
        self.q_network, self._actions = q_network, DiscreteActions(action_spec)

    def q_values(self, time_step: ts.TimeStep, policy_state: Any = ()) -> tuple[tf.Tensor, Any]:
        """Returns (Q-values float32 [B, A] or [B, D, A], the next policy state).

        Those of illegal actions are `masks.NEVER`.
        """
        observation, mask = masks.split(time_step.observation, self._actions)
        q_values, policy_state = self.q_network(
            observation, time_step.step_type, policy_state, training=self._training
        )
        return masks.legal_values(q_values, mask), policy_state

    def outputs(self, time_step: ts.TimeStep, policy_state: Any = ()) -> tuple[Outputs, Any]:
        """Returns (`action` and all outputs of the Q-network by name, the next policy state).

        `q_values` of illegal actions are `masks.NEVER`. A mask that allows nothing is an
        InvalidArgumentError.
        """
        observation, mask = masks.split(time_step.observation, self._actions)
        outputs, policy_state = self.q_network.outputs(
            observation, time_step.step_type, policy_state
        )
        q_values = masks.legal_values(outputs['q_values'], masks.checked(mask))
        outputs = outputs | {'q_values': q_values}
        return {'action': self._greedy(q_values), **outputs}, policy_state

    def _greedy(self, q_values):
        index = tf.argmax(q_values, axis=-1, output_type=self._actions.index_dtype)
        return self._actions.action(index)  # [B, ...]

    def _action(self, time_step, policy_state, seed):
        del seed
        q_values, policy_state = self.q_values(time_step, policy_state)
        return policy_step.PolicyStep(self._greedy(q_values), policy_state)

    def _variables(self):
        return self.q_network.variables

    def _distribution(self, time_step, policy_state):
        raise NotImplementedError('a greedy policy is deterministic: use action()')


class ValuedQPolicy(GreedyQPolicy):
    """Acts greedily and reports what return it expects, so overestimation can be measured.

    Its info: `value` float32 [B], the `state_value` of Q, and `target_value`, the target
    network's, where there is one.
    """

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: tf.TensorSpec,
        q_network: QNetwork | FrameStackNetwork,
        target_q_network: QNetwork | FrameStackNetwork | None,
    ):
        """Makes the policy.

        Args:
          time_step_spec: of the environment.
          action_spec: discrete.
          q_network: Q(s, .).
          target_q_network: has the same inputs and state; None where there is no second network.
        """
        self._target_q_values = None
        info_spec = {'value': tf.TensorSpec([], tf.float32)}
        if target_q_network is not None:
            info_spec['target_value'] = tf.TensorSpec([], tf.float32)
            # As a function, or its variables would count as this policy's.
            self._target_q_values = lambda *inputs: target_q_network(*inputs)[0]
        super().__init__(time_step_spec, action_spec, q_network, info_spec)

    def _action(self, time_step, policy_state, seed):
        del seed
        q_values, next_state = self.q_values(time_step, policy_state)
        info = {'value': state_value(q_values)}
        if self._target_q_values is not None:
            observation, mask = masks.split(time_step.observation, self._actions)
            target_q_values = self._target_q_values(
                observation, time_step.step_type, policy_state
            )  # [B, A] or [B, D, A]
            info['target_value'] = state_value(masks.legal_values(target_q_values, mask))
        return policy_step.PolicyStep(self._greedy(q_values), next_state, info)


class EpsilonGreedyQPolicy(GreedyQPolicy):
    """With probability epsilon a uniformly random legal action, else the greedy one."""

    _training = True  # noisy layers, if there are any, explore

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: tf.TensorSpec,
        q_network: QNetwork | FrameStackNetwork,
        epsilon: Callable[[], tf.Tensor],
    ):
        """Makes the policy.

        Args:
          time_step_spec: of the environment.
          action_spec: discrete.
          q_network: Q(s, .).
          epsilon: called at every step, returns float32 [], the share of random actions.
        """
        super().__init__(time_step_spec, action_spec, q_network)
        self._epsilon = epsilon

    def _action(self, time_step, policy_state, seed):
        step = super()._action(time_step, policy_state, seed)
        action = mix_in_random_actions(
            step.action, self._actions, self._epsilon(), tf.random.uniform, time_step.observation
        )
        return step._replace(action=action)


class ActorPolicy(tf_policy.TFPolicy):
    """Acts by an actor network: the mode of its distribution, or a draw from it."""

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: tf.TensorSpec,
        actor_network: network.Network,
        distribution: Distribution,
        stochastic: bool,
        keep_sample: bool = False,
    ):
        """Makes the policy.

        Args:
          time_step_spec: of the environment.
          action_spec: of the environment.
          actor_network: gives what `distribution` needs, by name.
          distribution: of actions.
          stochastic: draw from the distribution; False takes its mode.
          keep_sample: the policy info is what was drawn, before squashing.
        """
        super().__init__(
            time_step_spec,
            action_spec,
            info_spec=distribution.sample_spec if keep_sample else (),
            clip=False,
            automatic_state_reset=False,
        )
        self._network, self.action_distribution = actor_network, distribution
        self.stochastic, self._keep_sample = stochastic, keep_sample

    def _sample(self, time_step, check=False) -> tuple[tf.Tensor, Outputs]:
        observation, mask = masks.split(time_step.observation, self.action_distribution.actions)
        outputs, _ = self._network(observation, time_step.step_type)
        outputs = self.action_distribution.legal(outputs, masks.checked(mask) if check else mask)
        if self.stochastic:
            return self.action_distribution.sample(outputs), outputs
        return self.action_distribution.mode(outputs), outputs

    def outputs(self, time_step: ts.TimeStep, policy_state: Any = ()) -> tuple[Outputs, Any]:
        """Returns (outputs by name, the policy state).

        They are `action`, `probabilities` or `mu` and `sigma`, and `value` float32 [B, 1] where
        the network has one. A mask that allows nothing is an InvalidArgumentError.
        """
        sample, outputs = self._sample(time_step, check=True)
        shown = {'action': self.action_distribution.action(sample)}
        shown |= self.action_distribution.explain(outputs)
        if 'value' in outputs:
            shown['value'] = outputs['value'][:, tf.newaxis]
        return shown, policy_state

    def _action(self, time_step, policy_state, seed):
        del seed
        sample, _ = self._sample(time_step)
        info = sample if self._keep_sample else ()
        return policy_step.PolicyStep(self.action_distribution.action(sample), policy_state, info)

    def _variables(self):
        return self._network.variables

    def _distribution(self, time_step, policy_state):
        raise NotImplementedError('the distribution is action_distribution: use action()')
