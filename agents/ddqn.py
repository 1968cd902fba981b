"""Q-learning with a deep network: DQN, Double DQN, and the switches between them.

Sources:
  Mnih et al. 2015, "Human-level control through deep reinforcement learning": DQN
    (https://doi.org/10.1038/nature14236).
  van Hasselt, Guez and Silver 2016, "Deep reinforcement learning with double Q-learning": Double
    DQN (https://arxiv.org/abs/1509.06461).
  Wang et al. 2016: dueling, the network's part; see `q_network`.
  Sutton and Barto 2018, section 7.1: n-step returns
    (http://incompleteideas.net/book/the-book-2nd.html).
  Lillicrap et al. 2016, "Continuous control with deep reinforcement learning": soft target updates
    (https://arxiv.org/abs/1509.02971).

Not here: reward or TD-error clipping (use the Huber loss). Other targets and losses are
subclasses: `categorical_q`, `munchausen`; several actions at a time: `branching`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import gin
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from agents import action_specs, errors, masks, optimizers, policies
from agents.action_specs import DiscreteActions
from agents.frame_stack_network import FrameStackNetwork
from agents.q_network import QNetwork
from agents.ranges import SHARE, Count, OptionalPositive, checked, number, one_of, scheduled

TARGETS = ('none', 'soft', 'hard')


def huber(error: tf.Tensor) -> tf.Tensor:
    """Half the square of an error within 1, linear beyond; of each element."""
    return tf.where(tf.abs(error) <= 1.0, 0.5 * tf.square(error), tf.abs(error) - 0.5)


LOSSES: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {'mse': tf.math.square, 'huber': huber}


class QLossExtra(NamedTuple):
    """What the loss reports in addition to its mean."""

    td_error: tf.Tensor  # float32 [B], target minus Q(s, a): how wrong each row is
    mean_q: tf.Tensor  # float32 [], mean over the minibatch of Q(s, a)


@gin.configurable
@checked(errors.ConfigError)
class QLearningAgent(tf_agent.TFAgent):
    """DQN and Double DQN on n-step transitions.

    The target of Q(s, a; theta) is

        y = G + discount * Q(s', a*; theta-),   a* = argmax_a Q(s', a; theta)   (double)
                                                a* = argmax_a Q(s', a; theta-)  (else)

    (van Hasselt et al. 2016, equations 4 and 3). A transition holds G, the sum of its discounted
    rewards, `discount`, gamma to the power of their number or 0 after termination, and s', the
    state after them. a* is legal in s' (see `masks`). theta- is a copy made every
    `target_update_period_train_steps` ('hard'), a moving average with rate `tau` per train step
    ('soft'), or theta itself ('none', which is to have no target network).
    """

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: tf.TensorSpec,
        q_network: QNetwork,
        optimizer: tf.keras.optimizers.Optimizer,
        env_steps: tf.Variable,
        *,
        frame_stack: int | None = None,
        acts_on_a_copy: bool = False,
        double: bool,
        target: str,
        tau: Annotated[float, number(above=0.0, most=1.0)] = 0.005,
        target_update_period_train_steps: Count = 1_000,
        loss: Annotated[str, one_of('huber', 'mse')] = 'huber',
        gradient_clip_norm: OptionalPositive = None,
        epsilon: Annotated[Any, scheduled(SHARE)] = 0.05,
        name: str = 'QLearningAgent',
    ):
        """Builds the agent; `initialize()` makes its target equal to its network.

        Args:
          time_step_spec: of the environment.
          action_spec: discrete.
          q_network: Q(s, .; theta); it takes observations without their masks.
          optimizer: of theta.
          env_steps: int64 [], the environment steps so far; epsilon follows it.
          frame_stack: K, if `q_network` takes stacks [K, ...] of observations; then the policies
            stack them (see `frame_stack_network`) and training expects stacks. None: single ones.
          acts_on_a_copy: the collect policy has its own weights, renewed by `publish`, and may
            act while another thread trains.
          double: choose a* with theta (Double DQN) or with theta- (DQN).
          target: 'none', 'soft' or 'hard'.
          tau: in (0, 1], the rate of target 'soft'.
          target_update_period_train_steps: >= 1, between the copies of target 'hard'.
          loss: 'mse' (error squared) or 'huber' (half of it within 1, linear beyond).
          gradient_clip_norm: > 0, the gradient's largest global norm; None for no limit.
          epsilon: the share of random actions while collecting, a number or a schedule
            over environment steps.
          name: of the module.

        Raises:
          ConfigError: a value out of its range.
        """
        tf.Module.__init__(self, name=name)
        check_target(target)
        self._q_network = q_network
        q_network.create_variables()
        self._target_q_network = _target_network(q_network, target)
        self._acting_q_network = q_network
        if acts_on_a_copy:
            self._acting_q_network = q_network.copy_for_use('ActingQNetwork')
        self._optimizer = optimizer
        self._double, self._target, self._tau = double, target, tau
        self._actions = DiscreteActions(action_spec)
        self._period = target_update_period_train_steps
        self._loss_fn_of_error = LOSSES[loss]
        self._clip_norm = gradient_clip_norm
        self._epsilon_schedule = epsilon
        self._env_steps = env_steps
        policy, collect_policy = self._policies(time_step_spec, action_spec, frame_stack)
        super().__init__(
            time_step_spec,
            action_spec,
            policy=policy,
            collect_policy=collect_policy,
            train_sequence_length=None,
            train_step_counter=tf.Variable(0, dtype=tf.int64, name='train_steps'),
        )

    def _policies(
        self, time_step_spec: ts.TimeStep, action_spec: tf.TensorSpec, frame_stack: int | None
    ) -> tuple[policies.ValuedQPolicy, policies.EpsilonGreedyQPolicy]:
        """(the greedy policy, the one that collects), both on single observations."""

        seen = masks.seen_spec(time_step_spec.observation, action_spec)

        def stacking(network: QNetwork) -> QNetwork | FrameStackNetwork:
            if frame_stack is None:
                return network
            return FrameStackNetwork(seen, network)

        target = None if self._target == 'none' else stacking(self._target_q_network)
        return (
            policies.ValuedQPolicy(time_step_spec, action_spec, stacking(self._q_network), target),
            policies.EpsilonGreedyQPolicy(
                time_step_spec, action_spec, stacking(self._acting_q_network), self.epsilon
            ),
        )

    @property
    def q_network(self) -> QNetwork:
        """The online network, theta."""
        return self._q_network

    @property
    def target_q_network(self) -> QNetwork:
        """theta-; with target 'none' the online network itself."""
        return self._target_q_network

    def epsilon(self) -> tf.Tensor:
        """float32 []: the share of random actions at the present environment step."""
        if callable(self._epsilon_schedule):
            return self._epsilon_schedule(self._env_steps)
        return tf.constant(self._epsilon_schedule, tf.float32)

    def _initialize(self) -> None:
        self._copy_to_target()
        self.publish()
        optimizers.create_variables(self._optimizer, self._q_network.trainable_variables)

    def publish(self) -> None:
        """Gives the collect policy the newest weights."""
        self._copy_to(self._acting_q_network)

    def _copy_to_target(self) -> None:
        self._copy_to(self._target_q_network)

    def _copy_to(self, network: QNetwork) -> None:
        # What is not trained (the count of a noisy layer's draws) stays each network's own.
        pairs = zip(self._q_network.trainable_variables, network.trainable_variables, strict=True)
        for online, copy in pairs:
            if copy is not online:
                copy.assign(tf.cast(online, copy.dtype))

    def targets(self, transition: trajectory.Transition, training: bool = False) -> tf.Tensor:
        """float32 [B]: y for each transition, with no gradient."""
        following = transition.next_time_step
        next_q = self._legal_values(self._target_q_network, following, training)  # [B, A]
        index = self._bootstrap_action(following, next_q, training)  # [B]
        bootstrap = action_specs.taken(next_q, index)  # [B]
        return tf.stop_gradient(following.reward + following.discount * bootstrap)

    def _taken_values(self, transition: trajectory.Transition, training: bool) -> tf.Tensor:
        """float32 [B]: Q(s, a; theta)."""
        time_step, action_step, _ = transition
        observation, _ = masks.split(time_step.observation, self._actions)
        q_values, _ = self._q_network(observation, time_step.step_type, training=training)  # [B, A]
        return action_specs.taken(q_values, self._actions.index(action_step.action))

    def _legal_values(self, network: QNetwork, time_step: ts.TimeStep, training: bool) -> tf.Tensor:
        """float32 [B, A]: the network's Q(s, .), `masks.NEVER` where an action is illegal."""
        observation, mask = masks.split(time_step.observation, self._actions)
        q_values, _ = network(observation, time_step.step_type, training=training)
        return masks.legal_values(q_values, mask)

    def _bootstrap_action(
        self, following: ts.TimeStep, next_q: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """int64 [B]: the index of a*, where `next_q` [B, A] is Q(s', .; theta-), legal ones."""
        if self._double and self._target != 'none':
            next_q = self._legal_values(self._q_network, following, training)
        return tf.argmax(next_q, axis=-1)

    def _loss(
        self,
        experience: trajectory.Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """Mean loss of a minibatch [B, ...]; `weights` float32 [B] multiply the rows' losses."""
        q_taken = self._taken_values(experience, training)  # [B]
        td_error = self.targets(experience, training) - q_taken  # [B]
        losses = self._loss_fn_of_error(td_error)  # [B]
        if weights is not None:
            losses *= weights
        return tf_agent.LossInfo(
            tf.reduce_mean(losses), QLossExtra(td_error, tf.reduce_mean(q_taken))
        )

    def _train(
        self, experience: trajectory.Transition, weights: tf.Tensor | None = None
    ) -> tf_agent.LossInfo:
        variables = self._q_network.trainable_variables
        with tf.GradientTape() as tape:
            info = self._loss(experience, weights, training=True)
        gradients = tape.gradient(info.loss, variables)
        if self._clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.train_step_counter.assign_add(1)
        self._update_target()
        return info

    def _update_target(self) -> None:
        if self._target == 'hard':
            due = tf.equal(self.train_step_counter % self._period, 0)
            tf.cond(due, self._copy_to_target, lambda: None)
        elif self._target == 'soft':
            pairs = zip(
                self._q_network.trainable_variables,
                self._target_q_network.trainable_variables,
                strict=True,
            )
            for online, target in pairs:
                target.assign_add(self._tau * (online - target))


def _target_network(q_network: QNetwork, target: str) -> QNetwork:
    """The network of theta-: a copy with variables, or with target 'none' the network itself."""
    if target == 'hard':
        return q_network.copy_for_use('TargetQNetwork')
    if target == 'soft':  # a moving average needs float32
        copy = q_network.copy(name='TargetQNetwork')
        copy.create_variables()
        return copy
    return q_network


def check_target(target: str) -> None:
    """Raises a ConfigError unless `target` is one of `TARGETS`."""
    if target not in TARGETS:
        raise errors.ConfigError(f'target = {target!r}: must be one of {TARGETS}')
