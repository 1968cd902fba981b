"""Several actions at a time: one branch of values for each, the network and the agent.

Source: Tavakoli, Pardo and Kormushev 2018, "Action branching architectures for deep reinforcement
learning" (https://arxiv.org/abs/1711.08946). A joint action is D actions, each of its own
dimension. Nothing is enumerated: D dimensions of A actions need D A outputs, not A^D.

    observation -> torso -> branch 1: values of the actions of dimension 1     [B, A]
                         -> ...
                         -> branch D

Not here: scaling the gradient that enters the torso by 1 / (D + 1) (Adam takes out most of such a
factor), distributions over returns, Munchausen's targets.
"""

from __future__ import annotations

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.trajectories import trajectory

from agents import action_specs, ddqn, masks, q_network


class BranchingQNetwork(q_network.QNetwork):
    """Torso, then for each dimension a branch with its own hidden layers, if any.

    `outputs` has `q_values` float32 [B, D, A], where A is the largest number of actions of a
    dimension; what stands after the last action of a smaller one is `masks.NEVER`. A dueling
    network has one value stream, and each branch gives advantages, from which their own mean is
    taken (the paper's equation 1). Then `outputs` has `value` float32 [B, 1] and `advantage`
    [B, D, A] too, padded with 0.
    """

    takes_several = True

    def __init__(
        self,
        observation_spec: tf.TensorSpec,
        action_spec: tf.TensorSpec,
        settings: q_network.NetworkSettings = q_network.NetworkSettings(),  # noqa: B008, frozen
        dueling: bool = False,
        name: str = 'BranchingQNetwork',
    ):
        """Makes the network; `create_variables()` makes its weights.

        Args:
          observation_spec: of one observation (or one stack of them), without the batch.
          action_spec: discrete, of any shape with at least one dimension.
          settings: of torso, branches and value stream.
          dueling: a value stream, and branches of advantages.
          name: of the network.
        """
        super().__init__(observation_spec, action_spec, settings, name)
        self._branches = [self._stream(size) for size in self.actions.sizes]
        self._value_stream = self._stream(1) if dueling else None

    def _head(self, features: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        rows = [branch(features, training=training) for branch in self._branches]  # each [B, A_d]
        if self._value_stream is None:
            return {'q_values': self._by_dimension(rows, masks.NEVER)}
        value = self._value_stream(features, training=training)  # [B, 1]
        q_values = [q_network.dueling_aggregation(value, row) for row in rows]
        return {
            'q_values': self._by_dimension(q_values, masks.NEVER),
            'value': value,
            'advantage': self._by_dimension(rows, 0.0),
        }

    def _by_dimension(self, rows: list[tf.Tensor], padding: float) -> tf.Tensor:
        """[B, D, A] of D tensors [B, A_d]."""
        return self.actions.by_dimension(tf.concat(rows, axis=1), padding)


class BranchingQLearningAgent(ddqn.QLearningAgent):
    """DQN and Double DQN with a value for each action of each dimension.

    The target of all the branches is one number, with the mean of what each branch is worth at s',

        y = G + discount * mean over d of Q_d(s', a*_d; theta-)

    where a*_d is chosen in each dimension as `QLearningAgent` chooses (the paper's equation 6),
    and the loss is the mean of the branches' losses. `td_error`, by which replay is prioritised,
    is the sum over dimensions of |y - Q_d(s, a_d)| (the paper's section "Error for experience
    replay").
    """

    def targets(self, transition: trajectory.Transition, training: bool = False) -> tf.Tensor:
        """float32 [B]: y for each transition, with no gradient."""
        following = transition.next_time_step
        next_q = self._legal_values(self._target_q_network, following, training)  # [B, D, A]
        index = self._bootstrap_action(following, next_q, training)  # [B, D]
        bootstrap = tf.reduce_mean(action_specs.taken(next_q, index), axis=1)  # [B]
        return tf.stop_gradient(following.reward + following.discount * bootstrap)

    def _loss(
        self,
        experience: trajectory.Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """Mean loss of a minibatch [B, ...]; `weights` float32 [B] multiply the rows' losses."""
        q_taken = self._taken_values(experience, training)  # [B, D]
        td_errors = self.targets(experience, training)[:, tf.newaxis] - q_taken  # [B, D]
        losses = tf.reduce_mean(self._loss_fn_of_error(td_errors), axis=1)  # [B]
        if weights is not None:
            losses *= weights
        return tf_agent.LossInfo(
            tf.reduce_mean(losses),
            ddqn.QLossExtra(tf.reduce_sum(tf.abs(td_errors), axis=1), tf.reduce_mean(q_taken)),
        )
