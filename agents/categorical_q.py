"""C51: Q-learning on distributions over returns.

Source: Bellemare, Dabney and Munos 2017, "A distributional perspective on reinforcement
learning", equation 7 and algorithm 1; with Double DQN, n-step returns and dueling streams as
in Hessel et al. 2018 ("Rainbow"). The network is `q_network.C51Network`; its
values are means of distributions, so that all that acts or shows values is as it was.
"""

from __future__ import annotations

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.trajectories import trajectory

from agents import ddqn


def project(probabilities: tf.Tensor, returns: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
    """Moves a distribution onto the support, each return's mass to its two neighbours.

    A return that lies a third of the way from one atom to the next gives two thirds of its
    mass to the former; one beyond the ends gives all to the end. Where none is, the mean
    stays what it was (equation 7 of the paper).

    Args:
      probabilities: float32 [B, N].
      returns: float32 [B, N], what each of them is the probability of.
      support: float32 [N], evenly spaced.

    Returns:
      float32 [B, N]: the probabilities of the atoms.
    """
    returns = tf.clip_by_value(returns, support[0], support[-1])
    distance = tf.abs(returns[:, :, tf.newaxis] - support) / (support[1] - support[0])
    share = tf.maximum(1.0 - distance, 0.0)  # [B, N, N]: from return to atom
    return tf.reduce_sum(probabilities[:, :, tf.newaxis] * share, axis=1)


class CategoricalQLearningAgent(ddqn.QLearningAgent):
    """C51, with the switches of `QLearningAgent`, all but `loss`.

    The target of the distribution of (s, a) is that of G + discount * Z(s', a*; theta-),
    projected, where a* is what `QLearningAgent` would choose by the means; the loss is the
    cross-entropy. `td_error` is the divergence KL(target || prediction), >= 0, by which
    Rainbow prioritises.
    """

    def targets(self, transition: trajectory.Transition, training: bool = False) -> tf.Tensor:
        """float32 [B, N]: the target's probabilities for each transition, with no gradient."""
        following = transition.next_time_step
        outputs = self._target_q_network.outputs(following.observation, training)
        action = self._bootstrap_action(following, outputs['q_values'], training)  # [B]
        logits = tf.gather(outputs['logits'], action, axis=1, batch_dims=1)  # [B, N]
        support = tf.constant(self._q_network.support)
        returns = following.reward[:, tf.newaxis] + following.discount[:, tf.newaxis] * support
        return tf.stop_gradient(project(tf.nn.softmax(logits), returns, support))

    def _loss(self, experience, weights=None, training=False):
        """Mean loss of a minibatch [B, ...]; `weights` float32 [B] multiply the rows' losses."""
        time_step, action_step, _ = experience
        outputs = self._q_network.outputs(time_step.observation, training)
        logits = tf.gather(outputs['logits'], action_step.action, axis=1, batch_dims=1)  # [B, N]
        q_taken = tf.gather(outputs['q_values'], action_step.action, axis=1, batch_dims=1)  # [B]
        target = self.targets(experience, training)  # [B, N]
        losses = -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=1)  # [B]
        divergence = losses + tf.reduce_sum(tf.math.xlogy(target, target), axis=1)  # [B]
        if weights is not None:
            losses *= weights
        return tf_agent.LossInfo(
            tf.reduce_mean(losses), ddqn.QLossExtra(divergence, tf.reduce_mean(q_taken))
        )
