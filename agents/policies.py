"""How networks act: greedily, epsilon-greedily, or by drawing from a distribution.

None has a `distribution`: a SavedModel of one would hold a TensorFlow Probability type
that plain TensorFlow cannot load.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.policies import tf_policy
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from agents import action_distribution


class GreedyQPolicy(tf_policy.TFPolicy):
    """argmax over actions of Q(s, a), the first one of equals."""

    _training = False  # noisy layers give their means

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec,
        q_network: network.Network,
        info_spec=(),
    ):
        super().__init__(
            time_step_spec,
            action_spec,
            policy_state_spec=q_network.state_spec,
            info_spec=info_spec,
            clip=False,
            automatic_state_reset=False,
        )
        self.q_network = q_network

    def q_values(self, time_step: ts.TimeStep, policy_state=()):
        """(float32 [B, A], the next policy state)."""
        return self.q_network(
            time_step.observation, time_step.step_type, policy_state, training=self._training
        )

    def outputs(self, time_step: ts.TimeStep, policy_state=()) -> tuple[dict, object]:
        """(`action` and all outputs of the Q-network by name, the next policy state)."""
        if self.q_network.state_spec:
            outputs, policy_state = self.q_network.outputs(
                time_step.observation, time_step.step_type, policy_state
            )
        else:
            outputs = self.q_network.outputs(time_step.observation)
        return {'action': self._greedy(outputs['q_values']), **outputs}, policy_state

    def _greedy(self, q_values):
        return tf.argmax(q_values, axis=1, output_type=self.action_spec.dtype)

    def _action(self, time_step, policy_state, seed):
        del seed
        q_values, policy_state = self.q_values(time_step, policy_state)
        return policy_step.PolicyStep(self._greedy(q_values), policy_state)

    def _variables(self):
        return self.q_network.variables

    def _distribution(self, time_step, policy_state):
        raise NotImplementedError('a greedy policy is deterministic: use action()')


class ValuedQPolicy(GreedyQPolicy):
    """Acts greedily and says what it expects: what an overestimation is measured on.

    Its info: `value` float32 [B], max_a Q(s, a), and `target_value`, the target network's,
    where there is one.
    """

    def __init__(
        self, time_step_spec, action_spec, q_network, target_q_network: network.Network | None
    ):
        """`target_q_network`: of the same inputs and state as `q_network`."""
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
        info = {'value': tf.reduce_max(q_values, axis=1)}
        if self._target_q_values is not None:
            target_q_values = self._target_q_values(
                time_step.observation, time_step.step_type, policy_state
            )
            info['target_value'] = tf.reduce_max(target_q_values, axis=1)
        return policy_step.PolicyStep(self._greedy(q_values), next_state, info)


class EpsilonGreedyQPolicy(GreedyQPolicy):
    """With probability epsilon a uniformly random action, else the greedy one of a noisy draw."""

    _training = True  # noisy layers, where there are any, explore

    def __init__(self, time_step_spec, action_spec, q_network, epsilon: Callable[[], tf.Tensor]):
        """`epsilon` is called at every step and returns a float32 scalar."""
        super().__init__(time_step_spec, action_spec, q_network)
        self._epsilon = epsilon

    def _action(self, time_step, policy_state, seed):
        step = super()._action(time_step, policy_state, seed)
        shape = tf.shape(step.action)
        random_action = tf.random.uniform(
            shape, maxval=self.q_network.num_actions, dtype=step.action.dtype
        )
        explore = tf.random.uniform(shape) < self._epsilon()
        return step._replace(action=tf.where(explore, random_action, step.action))


class ActorPolicy(tf_policy.TFPolicy):
    """Acts by an actor network: its distribution's mode, or a draw."""

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec,
        actor_network: network.Network,
        distribution: action_distribution.Categorical | action_distribution.Gaussian,
        stochastic: bool,
        keep_sample: bool = False,
    ):
        """`keep_sample`: the policy info is what was drawn, before squashing."""
        super().__init__(
            time_step_spec,
            action_spec,
            info_spec=distribution.sample_spec if keep_sample else (),
            clip=False,
            automatic_state_reset=False,
        )
        self._network, self.action_distribution = actor_network, distribution
        self.stochastic, self._keep_sample = stochastic, keep_sample

    def _sample(self, time_step) -> tuple[tf.Tensor, dict]:
        outputs, _ = self._network(time_step.observation, time_step.step_type)
        draw = (
            self.action_distribution.sample if self.stochastic else (self.action_distribution.mode)
        )
        return draw(outputs), outputs

    def outputs(self, time_step: ts.TimeStep, policy_state=()) -> tuple[dict, object]:
        """(`action`, `probabilities` or `mu` and `sigma`, perhaps `value`; the policy state)."""
        sample, outputs = self._sample(time_step)
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
        raise NotImplementedError('use action()')
