"""One network, two heads: a policy and, if it is wanted, a state value.

    observation -> torso -> policy_units -> logits, or mu and sigma
                         -> value_units  -> value

Torso and units may be empty: a linear policy is `mlp_torso.units = ()`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import gin
import tensorflow as tf

from agents import action_distribution, auto_torso, errors, layers, masks, torsos
from agents.action_distribution import Categorical, Distribution
from agents.any_dtype import AnyDtypeNetwork
from agents.ranges import Initializer, Maker, Name, NotNegative, Positive, Switch, Units, checked
from agents.torsos import TorsoFactory


@dataclasses.dataclass(frozen=True)
class ActorCriticSettings:
    """What an `ActorCriticNetwork` is made of; `make_actor_critic_network` explains the fields."""

    torso: TorsoFactory
    policy_units: Sequence[int]
    value_units: Sequence[int]
    initial_policy_scale: float
    output_initializer: str
    free_sigma: bool
    initial_sigma: float
    min_sigma: float


class ActorCriticNetwork(AnyDtypeNetwork):
    """A policy's outputs, and `value` [B] if it has that head.

    They are `logits` [B, A], or [B, D, A] where D discrete actions are taken at a time (padding is
    `masks.UNLIKELY`), or `mu` and `sigma` [B, D].
    """

    def __init__(
        self,
        observation_spec: tf.TensorSpec,
        distribution: Distribution,
        value_head: bool,
        settings: ActorCriticSettings,
        name: str = 'ActorCriticNetwork',
    ):
        """Makes the network; `create_variables()` makes its weights.

        Args:
          observation_spec: of one observation, without the batch.
          distribution: what the policy head stands for.
          value_head: whether the network has a value head too.
          settings: of torso and heads.
          name: of the network.
        """
        super().__init__(input_tensor_spec=observation_spec, state_spec=(), name=name)
        self._torso = layers.made_by(settings.torso, observation_spec, 'float32')
        self._policy_hidden = tf.keras.Sequential(
            torsos.dense_stack(settings.policy_units, 'float32')
        )
        self._settings = settings
        outputs = settings.initial_policy_scale, settings.output_initializer
        self._actions = distribution.actions
        if isinstance(distribution, Categorical):
            self._logits = torsos.linear(distribution.actions.num_in_all, *outputs)
        else:
            size = distribution.num_dimensions
            self._mu = torsos.linear(size, *outputs)
            # softplus(x + shift) is `initial_sigma - min_sigma` where x is 0
            above_floor = settings.initial_sigma - settings.min_sigma
            self._shift = float(tf.math.log(tf.math.expm1(above_floor)))
            if settings.free_sigma:
                self._sigma = tf.Variable(tf.zeros([size]), name='sigma')
            else:
                self._sigma = torsos.linear(size, *outputs)
        self._value = None
        if value_head:
            value = torsos.linear(1, initializer=settings.output_initializer)
            self._value = tf.keras.Sequential(
                [*torsos.dense_stack(settings.value_units, 'float32'), value]
            )

    def create_variables(self, input_tensor_spec: Any = None, **kwargs: Any) -> Any:
        """Creates the variables; returns the specs of the outputs.

        Raises:
          ConfigError: the torso's layer does not take the observation, or gives no features.
        """
        with layers.blamed_on(self._settings.torso, self.input_tensor_spec):
            return super().create_variables(input_tensor_spec, **kwargs)

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[dict[str, tf.Tensor], Any]:
        """Returns (outputs by name, network_state)."""
        del step_type
        features = layers.features(self._torso, observation, training)  # [B, F]
        hidden = self._policy_hidden(features)
        if self._actions is not None:
            logits = self._actions.by_dimension(self._logits(hidden), masks.UNLIKELY)
            outputs = {'logits': logits}
        else:
            mu = self._mu(hidden)  # [B, D]
            if self._settings.free_sigma:
                raw = tf.broadcast_to(self._sigma, tf.shape(mu))
            else:
                raw = self._sigma(hidden)
            sigma = self._settings.min_sigma + tf.nn.softplus(raw + self._shift)
            outputs = {'mu': mu, 'sigma': sigma}
        if self._value is not None:
            outputs['value'] = tf.squeeze(self._value(features), axis=-1)  # [B], not [B, 1]
        return outputs, network_state


@gin.configurable
@checked(errors.ConfigError)
def make_actor_critic_network(
    observation_spec: tf.TensorSpec,
    action_spec: tf.TensorSpec,
    value_head: bool,
    *,
    policy: Name = 'auto',
    torso: Maker = auto_torso.auto_torso,
    policy_units: Units = (),
    value_units: Units = (),
    initial_policy_scale: NotNegative = 1.0,
    output_initializer: Initializer = 'he_normal',
    free_sigma: Switch = False,
    initial_sigma: Positive = 1.0,
    min_sigma: NotNegative = 1e-3,
) -> tuple[ActorCriticNetwork, Distribution]:
    """A network and the distribution that its outputs stand for.

    Args:
      observation_spec: of one observation, without the batch.
      action_spec: of the environment.
      value_head: whether the network estimates state values too.
      policy: 'categorical', 'gaussian', 'squashed_gaussian', or 'auto': what fits the actions.
      torso: called with (observation_spec, dtype_policy), returns the layer observation ->
        features, which both heads share.
      policy_units: hidden layers between the torso and the policy's outputs.
      value_units: hidden layers between the torso and the value.
      initial_policy_scale: >= 0, multiplies the initial weights of the policy's outputs; small
        ones make the first policy nearly the same everywhere, and 0 exactly the same.
      output_initializer: of the outputs of both heads, one of `torsos.INITIALIZERS`.
      free_sigma: sigma is a weight, the same in all states, not a function of the state.
      initial_sigma: what sigma is near at first, more than `min_sigma`.
      min_sigma: >= 0, the floor below which sigma cannot fall.

    Raises:
      ConfigError: a layer without units, a number out of range, an unknown initializer, or a
        policy that does not fit the actions.
    """
    if min_sigma >= initial_sigma:
        raise errors.ConfigError(
            f'make_actor_critic_network.min_sigma = {min_sigma}: must be less than '
            f'initial_sigma = {initial_sigma}'
        )
    distribution = action_distribution.make(policy, action_spec)
    settings = ActorCriticSettings(
        torso=torso,
        policy_units=policy_units,
        value_units=value_units,
        initial_policy_scale=initial_policy_scale,
        output_initializer=output_initializer,
        free_sigma=free_sigma,
        initial_sigma=initial_sigma,
        min_sigma=min_sigma,
    )
    return ActorCriticNetwork(observation_spec, distribution, value_head, settings), distribution
