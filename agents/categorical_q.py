"""C51: Q-learning on distributions over returns, the network and the agent.

Source: Bellemare, Dabney and Munos 2017, "A distributional perspective on reinforcement
learning" (https://arxiv.org/abs/1707.06887), with Double DQN, n-step returns and dueling streams
as in Hessel et al. 2018, "Rainbow" (https://arxiv.org/abs/1710.02298). The network's values are
the means of its distributions, so whatever acts by values or shows them needs no change.
"""

from __future__ import annotations

from typing import Annotated

import gin
import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.trajectories import trajectory

from agents import action_specs, ddqn, errors, masks, q_network
from agents.ranges import Finite, checked, count


@gin.configurable
@checked(errors.ConfigError)
class C51Network(q_network.QNetwork):
    """Torso, then for each action the logits of N returns, the atoms z_1 .. z_N.

    `outputs` has `logits` float32 [B, A, N], and `q_values`, the means of their distributions.
    A dueling head aggregates the logits atom by atom (Hessel et al. 2018, section "The
    integrated agent").
    """

    def __init__(
        self,
        observation_spec: tf.TensorSpec,
        action_spec: tf.TensorSpec,
        settings: q_network.NetworkSettings = q_network.NetworkSettings(),  # noqa: B008, frozen
        dueling: bool = False,
        v_min: Finite = -10.0,
        v_max: Finite = 10.0,
        num_atoms: Annotated[int, count(least=2, most=10_001)] = 51,
        name: str = 'C51Network',
    ):
        """Makes the network; the default atoms are the paper's, for clipped Atari rewards.

        Args:
          observation_spec: of one observation (or one stack of them), without the batch.
          action_spec: discrete and scalar.
          settings: of torso and head.
          dueling: two streams instead of one head.
          v_min: the smallest atom; a smaller discounted return counts as this one.
          v_max: the largest atom; the atoms are evenly spaced.
          num_atoms: N, 2 to 10 001.
          name: of the network.

        Raises:
          ConfigError: the atoms cannot be.
        """
        super().__init__(observation_spec, action_spec, settings, name)
        if v_min >= v_max:
            raise errors.ConfigError(
                f'C51Network.v_max = {v_max}: must be more than v_min = {v_min}'
            )
        self.support = np.linspace(v_min, v_max, num_atoms, dtype=np.float32)  # [N]
        self._value_stream = self._stream(num_atoms) if dueling else None
        self._advantage_stream = self._stream(self.num_actions * num_atoms)

    def _head(self, features: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        logits = tf.reshape(
            self._advantage_stream(features, training=training),
            [-1, self.num_actions, len(self.support)],
        )  # [B, A, N]
        if self._value_stream is not None:
            value = self._value_stream(features, training=training)[:, tf.newaxis]  # [B, 1, N]
            logits = q_network.dueling_aggregation(value, logits)
        q_values = tf.reduce_sum(tf.nn.softmax(logits) * self.support, axis=2)  # [B, A]
        return {'q_values': q_values, 'logits': logits}


def project(probabilities: tf.Tensor, returns: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
    """Moves a distribution onto the support, each return's mass to its two neighbours.

    A return that lies a third of the way from one atom to the next gives two thirds of its
    mass to the former; one beyond either end gives all of it to that end. If no return is beyond
    the ends, the mean stays what it was (Bellemare et al. 2017, equation 7).

    Args:
      probabilities: float32 [B, N].
      returns: float32 [B, N], the returns that have these probabilities.
      support: float32 [N], evenly spaced.

    Returns:
      float32 [B, N]: the probabilities of the atoms.
    """
    returns = tf.clip_by_value(returns, support[0], support[-1])
    distance = tf.abs(returns[:, :, tf.newaxis] - support) / (support[1] - support[0])
    share = tf.maximum(1.0 - distance, 0.0)  # [B, N, N]: from return to atom
    return tf.reduce_sum(probabilities[:, :, tf.newaxis] * share, axis=1)


class CategoricalQLearningAgent(ddqn.QLearningAgent):
    """C51 (Bellemare et al. 2017, algorithm 1), with the switches of `QLearningAgent` but `loss`.

    The target of the distribution of (s, a) is that of G + discount * Z(s', a*; theta-),
    projected, where a* is what `QLearningAgent` would choose by the means; the loss is the
    cross-entropy. `td_error` is the divergence KL(target || prediction), >= 0, by which
    Rainbow prioritises.
    """

    def targets(self, transition: trajectory.Transition, training: bool = False) -> tf.Tensor:
        """float32 [B, N]: the target's probabilities for each transition, with no gradient."""
        following = transition.next_time_step
        observation, mask = masks.split(following.observation, self._actions)
        outputs, _ = self._target_q_network.outputs(
            observation, following.step_type, training=training
        )
        next_q = masks.legal_values(outputs['q_values'], mask)  # [B, A]
        index = self._bootstrap_action(following, next_q, training)  # [B]
        logits = action_specs.taken(outputs['logits'], index)  # [B, N]
        support = tf.constant(self._q_network.support)  # [N]
        returns = following.reward[:, tf.newaxis] + following.discount[:, tf.newaxis] * support
        return tf.stop_gradient(project(tf.nn.softmax(logits), returns, support))

    def _loss(
        self,
        experience: trajectory.Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """Mean loss of a minibatch [B, ...]; `weights` float32 [B] multiply the rows' losses."""
        time_step, action_step, _ = experience
        observation, _ = masks.split(time_step.observation, self._actions)
        outputs, _ = self._q_network.outputs(observation, time_step.step_type, training=training)
        index = self._actions.index(action_step.action)  # [B]
        logits = action_specs.taken(outputs['logits'], index)  # [B, N]
        q_taken = action_specs.taken(outputs['q_values'], index)  # [B]
        target = self.targets(experience, training)  # [B, N]
        losses = -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=1)  # [B]
        divergence = losses + tf.reduce_sum(tf.math.xlogy(target, target), axis=1)  # [B]
        if weights is not None:
            losses *= weights
        return tf_agent.LossInfo(
            tf.reduce_mean(losses), ddqn.QLossExtra(divergence, tf.reduce_mean(q_taken))
        )


def notes(network: C51Network) -> list[str]:
    """What a run with this network prints at its start."""
    low, *_, high = network.support
    return [
        f'returns count as within [{low:g}, {high:g}]: C51Network.v_min, v_max; the loss is the '
        'cross-entropy, whatever QLearningAgent.loss says'
    ]
