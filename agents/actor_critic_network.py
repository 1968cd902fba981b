"""One network, two heads: a policy, and where it is wanted a state value (system S8).

    observation -> torso -> policy_units -> logits, or mu and sigma
                         -> value_units  -> value

Torso and units may be empty, so that a linear policy is `mlp_torso.units = ()`.
"""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf
from tf_agents.networks import network

from agents import action_distribution, errors, torsos
from agents.torsos import TorsoFactory


class ActorCriticNetwork(network.Network):
    """Outputs `logits` [B, A], or `mu` and `sigma` [B, D]; and `value` [B] where it has one."""

    def __init__(
        self,
        observation_spec: tf.TensorSpec,
        distribution: action_distribution.Categorical | action_distribution.Gaussian,
        value_head: bool,
        torso: TorsoFactory = torsos.mlp_torso,
        policy_units: Sequence[int] = (),
        value_units: Sequence[int] = (),
        initial_policy_scale: float = 1.0,
        free_sigma: bool = False,
        initial_sigma: float = 1.0,
        min_sigma: float = 1e-3,
        name: str = 'ActorCriticNetwork',
    ):
        """Makes the network; `create_variables()` makes its weights.

        Args:
          observation_spec: of one observation, without the batch.
          distribution: what the policy head stands for.
          value_head: whether there is one.
          torso: called with (observation_spec, dtype_policy); shared by both heads.
          policy_units: hidden layers of the policy head.
          value_units: hidden layers of the value head.
          initial_policy_scale: of the initial weights of the policy's outputs.
          free_sigma: sigma is a weight of its own, not a function of the state.
          initial_sigma: what sigma is near at first, above `min_sigma`.
          min_sigma: the floor below which sigma cannot fall.
          name: of the network.
        """
        super().__init__(input_tensor_spec=observation_spec, state_spec=(), name=name)
        self._torso = torso(observation_spec, 'float32')
        self._policy_hidden = tf.keras.Sequential(torsos.dense_stack(policy_units, 'float32'))
        self._min_sigma = min_sigma
        self._discrete = isinstance(distribution, action_distribution.Categorical)
        if isinstance(distribution, action_distribution.Categorical):
            self._logits = torsos.linear(distribution.num_actions, initial_policy_scale)
        else:
            size = distribution.num_dimensions
            self._mu = torsos.linear(size, initial_policy_scale)
            # softplus(x + shift) is `initial_sigma` above the floor where x is 0
            self._shift = float(tf.math.log(tf.math.expm1(initial_sigma - min_sigma)))
            self._free_sigma = free_sigma
            if free_sigma:
                self._sigma = tf.Variable(tf.zeros([size]), name='sigma')
            else:
                self._sigma = torsos.linear(size, initial_policy_scale)
        self._value = None
        if value_head:
            self._value = tf.keras.Sequential(
                [*torsos.dense_stack(value_units, 'float32'), torsos.linear(1)]
            )

    def call(self, observation, step_type=None, network_state=(), training=False):
        """Returns (outputs by name, network_state)."""
        del step_type
        features = self._torso(observation, training=training)
        hidden = self._policy_hidden(features)
        if self._discrete:
            outputs = {'logits': self._logits(hidden)}
        else:
            mu = self._mu(hidden)
            raw = (
                tf.broadcast_to(self._sigma, tf.shape(mu))
                if self._free_sigma
                else (self._sigma(hidden))
            )
            sigma = self._min_sigma + tf.nn.softplus(raw + self._shift)
            outputs = {'mu': mu, 'sigma': sigma}
        if self._value is not None:
            outputs['value'] = tf.squeeze(self._value(features), axis=-1)  # [B], not [B, 1]
        return outputs, network_state


@gin.configurable
def make_actor_critic_network(
    observation_spec: tf.TensorSpec,
    action_spec: tf.TensorSpec,
    value_head: bool,
    *,
    policy: str = 'auto',
    torso: TorsoFactory = torsos.mlp_torso,
    policy_units: Sequence[int] = (),
    value_units: Sequence[int] = (),
    initial_policy_scale: float = 1.0,
    free_sigma: bool = False,
    initial_sigma: float = 1.0,
    min_sigma: float = 1e-3,
) -> tuple[ActorCriticNetwork, action_distribution.Categorical | action_distribution.Gaussian]:
    """A network and the distribution that its outputs stand for.

    Args:
      observation_spec: of one observation.
      action_spec: of the environment.
      value_head: whether the network estimates state values too.
      policy: 'categorical', 'gaussian', 'squashed_gaussian', or 'auto': what fits the actions.
      torso: observation -> features.
      policy_units: hidden layers between the torso and the policy's outputs.
      value_units: hidden layers between the torso and the value.
      initial_policy_scale: of the initial weights of the policy's outputs; small ones make
        the first policy the same everywhere.
      free_sigma: sigma is a weight of its own, not a function of the state.
      initial_sigma: what sigma is near at first.
      min_sigma: the floor below which sigma cannot fall.

    Raises:
      ConfigError: a layer without units, a sigma out of range, or a policy that does not fit
        the actions.
    """
    torsos.check_units('make_actor_critic_network.policy_units', policy_units)
    torsos.check_units('make_actor_critic_network.value_units', value_units)
    if not 0.0 < min_sigma < initial_sigma:
        raise errors.ConfigError(
            f'make_actor_critic_network.min_sigma = {min_sigma}: must be positive and less than '
            f'initial_sigma = {initial_sigma}'
        )
    distribution = action_distribution.make(policy, action_spec)
    network_ = ActorCriticNetwork(
        observation_spec, distribution, value_head, torso, policy_units, value_units,
        initial_policy_scale, free_sigma, initial_sigma, min_sigma,
    )  # fmt: skip
    return network_, distribution
