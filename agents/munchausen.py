"""Munchausen DQN: the agent's own log-policy is added to the reward.

Source: Vieillard, Pietquin and Geist 2020, "Munchausen reinforcement learning", section 3 and,
for the clipping, appendix B.1 (https://arxiv.org/abs/2007.14430). One-step there and here. Not
here: acting by the softmax policy (the paper acts greedily too), M-IQN.
"""

from __future__ import annotations

from typing import Annotated, Any

import gin
import tensorflow as tf
from tf_agents.trajectories import trajectory

from agents import action_specs, ddqn, errors
from agents.ranges import Positive, Share, checked, number

NO_DOUBLE = 'its target is a soft maximum, which chooses no action'
ONE_STEP = 'each reward needs the policy at its own state, which longer transitions leave out'


@gin.configurable
@checked(errors.ConfigError)
class MunchausenQLearningAgent(ddqn.QLearningAgent):
    """Munchausen DQN, with the switches of `QLearningAgent` but `double`.

    The target of Q(s, a; theta) is, with q = Q(., .; theta-) and pi = softmax(q / tau),

        y = r + alpha * clip(tau * log pi(a|s), l0, 0)
              + discount * sum over a' of pi(a'|s') * (q(s', a') - tau * log pi(a'|s'))

    (Vieillard et al. 2020, section 3). The last sum is tau * logsumexp(q(s', .) / tau), a soft
    maximum: as tau goes to 0, this becomes DQN with a penalty on actions that theta- would not
    take. Where the observation has a mask, pi is a policy over legal actions.
    """

    def __init__(
        self,
        *args: Any,
        alpha: Share = 0.9,
        temperature: Positive = 0.03,
        log_policy_floor: Annotated[float, number(below=0.0)] = -1.0,
        **kwargs: Any,
    ):
        """Builds the agent.

        Args:
          *args: those of `QLearningAgent`.
          alpha: the share of the log-policy that is added to the reward, 0 to 1.
          temperature: the paper's tau, > 0, in the unit of the rewards.
          log_policy_floor: the paper's l0, < 0; the scaled log-policy is never less.
          **kwargs: those of `QLearningAgent`.

        Raises:
          ConfigError: a value out of its range, or `double`.
        """
        super().__init__(*args, **kwargs)
        if self._double:
            raise errors.ConfigError(
                f'double = True with munchausen: {NO_DOUBLE}; set double = False'
            )
        self._alpha, self._temperature, self._floor = alpha, temperature, log_policy_floor

    def targets(self, transition: trajectory.Transition, training: bool = False) -> tf.Tensor:
        """float32 [B]: y for each transition, with no gradient."""
        before, action_step, following = transition
        tau = self._temperature
        q, next_q = (
            self._legal_values(self._target_q_network, time_step, training)
            for time_step in (before, following)
        )  # [B, A]
        log_pi = tau * tf.nn.log_softmax(q / tau)  # [B, A]
        taken = action_specs.taken(log_pi, self._actions.index(action_step.action))  # [B]
        bonus = self._alpha * tf.clip_by_value(taken, self._floor, 0.0)
        bootstrap = tau * tf.reduce_logsumexp(next_q / tau, axis=1)  # [B]
        return tf.stop_gradient(following.reward + bonus + following.discount * bootstrap)
