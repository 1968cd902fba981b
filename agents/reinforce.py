"""REINFORCE on whole episodes: the Monte-Carlo policy gradient, with a choice of baselines.

    grad J = E[ sum_t grad log pi(a_t | s_t) * (G_t - b(s_t)) ]

Sources:
  Williams 1992, "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning" (https://doi.org/10.1007/BF00992696).
  Sutton and Barto 2018, sections 13.3 and 13.4 (http://incompleteideas.net/book/the-book-2nd.html),
    without the factor gamma^t, as is usual.
  Pardo et al. 2018, "Time limits in reinforcement learning" (https://arxiv.org/abs/1712.00378).

G_t is the return-to-go within one episode. Where a time limit cut the episode and the network
has a value head, its value of the last state stands for what was cut off; without a value head
G_t ends there.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import gin
import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from agents import errors, masks, optimizers, policies
from agents.action_distribution import Distribution
from agents.ranges import NotNegative, OptionalPositive, Positive, Switch, checked, one_of

BASELINES = ('none', 'episode', 'batch', 'value')
_TINY = 1e-8  # added to a standard deviation, which is zero where all values are equal


class Steps(NamedTuple):
    """The real steps of a batch of episodes, padding and final rows left out."""

    index: tf.Tensor  # int64 [N, 2]: (episode, time)
    returns: tf.Tensor  # float32 [N], G_t, standardised by baselines 'episode' and 'batch'


def is_row(step_type: tf.Tensor) -> tf.Tensor:
    """bool [B, T]: whether a row is the episode's and not padding.

    An episode is FIRST MID ... LAST; it is padded with zeros, which look like FIRST.
    """
    later = tf.range(tf.shape(step_type)[1]) > 0
    return ~(later & tf.equal(step_type, ts.StepType.FIRST))


def returns_to_go(
    step_type: tf.Tensor,
    reward: tf.Tensor,
    discount: tf.Tensor,
    last_value: tf.Tensor,
    gamma: float,
) -> tf.Tensor:
    """G_t of each row, 0 where a row is not a step.

    Args:
      step_type: int32 [B, T] of padded episodes.
      reward: float32 [B, T]; row t holds the reward for leaving it.
      discount: float32 [B, T]; 0 where leaving row t terminates the episode.
      last_value: float32 [B], of the LAST row's state; counts where the episode was cut.
      gamma: the discount factor per step.

    Returns:
      float32 [B, T]. G_t = r_{t+1} + gamma d_{t+1} G_{t+1}, and G_T = last_value.
    """
    is_last = tf.equal(step_type, ts.StepType.LAST)
    is_step = is_row(step_type) & ~is_last

    def back(following, row):
        reward_t, discount_t, is_step_t, is_last_t = row
        through = reward_t + gamma * discount_t * following
        return tf.where(is_step_t, through, tf.where(is_last_t, last_value, 0.0))

    rows = tuple(tf.transpose(x) for x in (reward, discount, is_step, is_last))  # [T, B]
    by_time = tf.scan(back, rows, initializer=tf.zeros_like(last_value), reverse=True)
    return tf.where(is_step, tf.transpose(by_time), 0.0)


def standardise(values: tf.Tensor, mask: tf.Tensor, axis: int | None) -> tf.Tensor:
    """(x - mean) / (std + tiny) over the masked entries; 0 elsewhere.

    Args:
      values: float32 [...].
      mask: bool, of the same shape.
      axis: along which mean and standard deviation are taken; None for all axes.
    """
    weights = tf.cast(mask, values.dtype)
    count = tf.reduce_sum(weights, axis, keepdims=True)
    mean = tf.reduce_sum(values * weights, axis, keepdims=True) / count
    centred = (values - mean) * weights
    std = tf.sqrt(tf.reduce_sum(tf.square(centred), axis, keepdims=True) / count)
    return centred / (std + _TINY)


@gin.configurable
@checked(errors.ConfigError)
class PolicyGradientAgent(tf_agent.TFAgent):
    """REINFORCE with one of four baselines.

    'none'     the return itself
    'episode'  returns standardised within each episode
    'batch'    returns standardised over all real steps of the batch
    'value'    the return less a learned state value, which is trained along with the policy
               (Sutton and Barto 2018, section 13.4)
    """

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: tf.TensorSpec,
        actor_network: network.Network,
        distribution: Distribution,
        optimizer: tf.keras.optimizers.Optimizer,
        *,
        baseline: str,
        gamma: float,
        entropy_coefficient: NotNegative = 0.0,
        value_coefficient: Positive = 0.5,
        standardise_advantages: Switch = False,
        loss_per: Annotated[str, one_of('step', 'episode')] = 'step',
        density_offset: NotNegative = 0.0,
        gradient_clip_norm: OptionalPositive = None,
        name: str = 'PolicyGradientAgent',
    ):
        """Builds the agent.

        Args:
          time_step_spec: of the environment.
          action_spec: of the environment.
          actor_network: gives what `distribution` needs, and `value` for baseline 'value'.
          distribution: of actions.
          optimizer: of all weights.
          baseline: one of `BASELINES`.
          gamma: the discount factor per step.
          entropy_coefficient: >= 0, of the entropy bonus.
          value_coefficient: > 0, of the value loss (half the squared error).
          standardise_advantages: with baseline 'value', scale the batch's advantages to mean 0
            and deviation 1, which takes out the size of the rewards.
          loss_per: 'step': the mean over the batch's real steps; 'episode': the sum over an
            episode's steps, averaged over episodes, which is the formula and unbiased.
          density_offset: >= 0, added to an action's probability (density) before its logarithm,
            as some programs do to avoid log 0; it weakens what unlikely actions teach.
          gradient_clip_norm: > 0, the gradient's largest global norm; None for no limit.
          name: of the module.

        Raises:
          ConfigError: a value out of its range.
        """
        tf.Module.__init__(self, name=name)
        if baseline not in BASELINES:
            raise errors.ConfigError(f'baseline = {baseline!r}: must be one of {BASELINES}')
        if standardise_advantages and baseline != 'value':
            raise errors.ConfigError(
                'PolicyGradientAgent.standardise_advantages = True: this belongs to baseline '
                f"'value', and the baseline is '{baseline}'; set it to False"
            )
        actor_network.create_variables()
        self._network, self._distribution = actor_network, distribution
        self._optimizer, self._clip_norm = optimizer, gradient_clip_norm
        self._baseline, self._gamma = baseline, gamma
        self._entropy_coefficient = entropy_coefficient
        self._value_coefficient = value_coefficient
        self._standardise_advantages = standardise_advantages
        self._loss_per, self._density_offset = loss_per, density_offset
        policy = (time_step_spec, action_spec, actor_network, distribution)
        super().__init__(
            time_step_spec,
            action_spec,
            policy=policies.ActorPolicy(*policy, stochastic=False),
            collect_policy=policies.ActorPolicy(*policy, stochastic=True, keep_sample=True),
            train_sequence_length=None,
            train_step_counter=tf.Variable(0, dtype=tf.int64, name='train_steps'),
        )

    @property
    def actor_network(self) -> network.Network:
        """The network of the policy and, if it has that head, of the value."""
        return self._network

    def _initialize(self) -> None:
        optimizers.create_variables(self._optimizer, self._network.trainable_variables)

    def steps(self, episodes: trajectory.Trajectory) -> Steps:
        """The real steps of padded episodes [B, T, ...], and what their actions are credited."""
        last_value = tf.zeros(tf.shape(episodes.step_type)[:1])
        if self._baseline == 'value':
            last_row = tf.argmax(tf.equal(episodes.step_type, ts.StepType.LAST), axis=1)  # [B]
            observation = tf.nest.map_structure(
                lambda t: tf.gather(t, last_row, axis=1, batch_dims=1), episodes.observation
            )
            observation, _ = masks.split(observation, self._distribution.actions)
            last_value = tf.stop_gradient(self._network(observation)[0]['value'])  # [B]
        returns = returns_to_go(
            episodes.step_type, episodes.reward, episodes.discount, last_value, self._gamma
        )
        is_step = is_row(episodes.step_type) & (episodes.step_type != ts.StepType.LAST)
        if self._baseline in ('episode', 'batch'):
            returns = standardise(returns, is_step, axis=1 if self._baseline == 'episode' else None)
        index = tf.where(is_step)
        return Steps(index, tf.gather_nd(returns, index))

    def _loss(
        self,
        experience: trajectory.Trajectory,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """The loss of padded episodes [B, T, ...]; the samples drawn are the `policy_info`.

        The extra of the `LossInfo` is what it is made of, by name, float32 [].
        """
        steps = self.steps(experience)
        observation = tf.nest.map_structure(
            lambda t: tf.gather_nd(t, steps.index), experience.observation
        )
        observation, mask = masks.split(observation, self._distribution.actions)
        outputs, _ = self._network(observation, training=training)  # [N, ...]
        outputs = self._distribution.legal(outputs, mask)
        log_prob = self._distribution.log_prob(
            outputs, tf.gather_nd(experience.policy_info, steps.index)
        )  # [N]
        if self._density_offset:
            log_prob = tf.math.log(tf.exp(log_prob) + self._density_offset)
        entropy = self._distribution.entropy(outputs)  # [N]
        advantage, value_losses = steps.returns, tf.zeros_like(steps.returns)
        if self._baseline == 'value':
            error = steps.returns - outputs['value']  # [N] - [N]
            advantage, value_losses = tf.stop_gradient(error), 0.5 * tf.square(error)
            if self._standardise_advantages:
                advantage = standardise(advantage, tf.ones_like(advantage, tf.bool), axis=0)
        policy_losses = -log_prob * advantage  # [N]
        losses = (
            policy_losses
            + self._value_coefficient * value_losses
            - self._entropy_coefficient * entropy
        )
        if weights is not None:  # one per episode
            losses *= tf.gather(weights, steps.index[:, 0])
        num_steps = tf.cast(tf.shape(losses)[0], tf.float32)
        num_episodes = tf.cast(tf.shape(experience.step_type)[0], tf.float32)
        divisor = num_steps if self._loss_per == 'step' else num_episodes
        return tf_agent.LossInfo(
            tf.reduce_sum(losses) / divisor,
            {
                'policy_loss': tf.reduce_sum(policy_losses) / divisor,
                'value_loss': tf.reduce_sum(value_losses) / divisor,
                'entropy': tf.reduce_mean(entropy),
                **self._distribution.metrics(outputs),
            },
        )

    def gradients(
        self, experience: trajectory.Trajectory
    ) -> tuple[tf_agent.LossInfo, list[tf.Tensor]]:
        """The loss of padded episodes [B, T, ...] and its gradient, before any clipping."""
        with tf.GradientTape() as tape:
            info = self._loss(experience, training=True)
        variables = self._network.trainable_variables
        gradients = tape.gradient(
            info.loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return info, gradients

    def _train(
        self, experience: trajectory.Trajectory, weights: tf.Tensor | None = None
    ) -> tf_agent.LossInfo:
        if weights is not None:
            raise NotImplementedError('train() takes no weights')
        info, gradients = self.gradients(experience)
        if self._clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        variables = self._network.trainable_variables
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.train_step_counter.assign_add(1)
        return info
