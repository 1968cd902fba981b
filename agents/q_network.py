"""Q-networks: observation [B, ...] in, one value per action [B, A] out.

`PlainQNetwork` is a torso and a linear head. `DuelingQNetwork` splits the head into
a value and an advantage stream (Wang et al. 2016, "Dueling network architectures for
deep reinforcement learning", equation 9). Both share the torso's settings, so that
dueling on or off is the only difference between two runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gin
import numpy as np
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec

from agents import errors

TorsoFactory = Callable[[tf.TensorSpec, str], tf.keras.layers.Layer]


def _he_normal() -> tf.keras.initializers.Initializer:
    return tf.keras.initializers.HeNormal()


def _dense_stack(units: Sequence[int], compute_dtype: str) -> list[tf.keras.layers.Layer]:
    return [
        tf.keras.layers.Dense(
            n, activation='relu', kernel_initializer=_he_normal(), dtype=_policy(compute_dtype)
        )
        for n in units
    ]


def _policy(compute_dtype: str) -> tf.keras.mixed_precision.Policy:
    """Weights are float32 whatever the products are computed in."""
    name = compute_dtype if compute_dtype == 'float32' else f'mixed_{compute_dtype}'
    return tf.keras.mixed_precision.Policy(name)


def _linear(units: int) -> tf.keras.layers.Layer:
    # The head computes in float32 always: its outputs are compared with each other.
    return tf.keras.layers.Dense(units, kernel_initializer=_he_normal(), dtype='float32')


class _EncodeObservation(tf.keras.layers.Layer):
    """Any supported observation as float32 features [B, F]."""

    def __init__(self, spec: tf.TensorSpec):
        super().__init__(dtype='float32', autocast=False)
        self._spec = spec
        self._one_hot = spec.dtype.is_integer and spec.shape.rank == 0
        if self._one_hot:
            self._minimum = int(np.min(spec.minimum))
            self._depth = int(np.max(spec.maximum)) - self._minimum + 1

    def call(self, observation: tf.Tensor) -> tf.Tensor:
        if self._one_hot:
            return tf.one_hot(observation - self._minimum, self._depth)
        batch_size = tf.shape(observation)[0]
        num_features = int(np.prod(self._spec.shape))
        features = tf.cast(tf.reshape(observation, [batch_size, num_features]), tf.float32)
        return features / 255.0 if self._spec.dtype == tf.uint8 else features


def _check_units(name: str, units: Sequence[int]):
    if isinstance(units, int) or any(not isinstance(n, int) or n < 1 for n in units):
        raise errors.ConfigError(
            f'{name} = {units}: must be whole numbers >= 1, one per layer, such as (64, 64)'
        )


@gin.configurable
def mlp_torso(
    observation_spec: tf.TensorSpec,
    compute_dtype: str = 'float32',
    *,
    units: Sequence[int] = (256, 256),
) -> tf.keras.layers.Layer:
    """Dense ReLU layers of the given `units` over the flattened (or one-hot) observation.

    float32 observations are taken as they are, uint8 is divided by 255, a single integer
    becomes a one-hot vector.
    """
    _check_units('mlp_torso.units', units)
    return tf.keras.Sequential(
        [_EncodeObservation(observation_spec), *_dense_stack(units, compute_dtype)]
    )


def num_actions(action_spec: tf.TensorSpec) -> int:
    """The number of actions of a discrete, scalar action spec that counts from 0.

    Raises:
      ConfigError: any other spec.
    """
    if not tensor_spec.is_bounded(action_spec) or not action_spec.dtype.is_integer:
        raise errors.ConfigError(
            'Q-learning needs discrete actions, and this environment has continuous ones of '
            f'shape {tuple(action_spec.shape)}: choose an environment with a Discrete action '
            'space'
        )
    if action_spec.shape.rank != 0 or np.min(action_spec.minimum) != 0:
        raise errors.ConfigError(
            f'Q-learning needs one integer action that counts from 0; the spec is {action_spec}'
        )
    return int(np.max(action_spec.maximum)) + 1


class _QNetwork(network.Network):
    """A torso; subclasses add the head."""

    def __init__(
        self,
        observation_spec: tf.TensorSpec,
        action_spec: tf.TensorSpec,
        torso: TorsoFactory = mlp_torso,
        compute_dtype: str = 'float32',
        name: str | None = None,
    ):
        """Makes the network; `create_variables()` makes its weights.

        Args:
          observation_spec: of one observation, without the batch.
          action_spec: discrete and scalar, counting from 0.
          torso: called with (observation_spec, compute_dtype), returns the layer
            observation -> features.
          compute_dtype: 'float32' or 'bfloat16', of the torso's products. Weights and
            outputs are float32 always.
          name: of the network.
        """
        super().__init__(input_tensor_spec=observation_spec, state_spec=(), name=name)
        self.num_actions = num_actions(action_spec)
        self._torso = torso(observation_spec, compute_dtype)

    def call(self, observation, step_type=None, network_state=(), training=False):
        """Returns (Q-values float32 [B, A], network_state)."""
        del step_type
        features = self._torso(observation, training=training)  # [B, F]
        return self._head(tf.cast(features, tf.float32)), network_state

    def _head(self, features: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError


class PlainQNetwork(_QNetwork):
    """Torso, then one linear layer to the Q-values."""

    def __init__(
        self,
        observation_spec,
        action_spec,
        torso=mlp_torso,
        compute_dtype='float32',
        name='PlainQNetwork',
    ):
        super().__init__(observation_spec, action_spec, torso, compute_dtype, name)
        self._q_values = _linear(self.num_actions)

    def _head(self, features):
        return self._q_values(features)


def dueling_aggregation(value: tf.Tensor, advantage: tf.Tensor) -> tf.Tensor:
    """Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a'), per row.

    Args:
      value: float32 [B, 1].
      advantage: float32 [B, A].

    Returns:
      float32 [B, A]. A row depends on that row alone (Wang et al. 2016, equation 9).
    """
    return value + advantage - tf.reduce_mean(advantage, axis=1, keepdims=True)


class DuelingQNetwork(_QNetwork):
    """Torso, then a value and an advantage stream, each with hidden layers of its own."""

    def __init__(
        self,
        observation_spec,
        action_spec,
        torso=mlp_torso,
        compute_dtype='float32',
        name='DuelingQNetwork',
        stream_units: Sequence[int] = (64,),
    ):
        """As `PlainQNetwork`; `stream_units`: hidden layers of each of the two streams."""
        super().__init__(observation_spec, action_spec, torso, compute_dtype, name)
        self._value_stream = tf.keras.Sequential(
            [*_dense_stack(stream_units, 'float32'), _linear(1)]
        )
        self._advantage_stream = tf.keras.Sequential(
            [*_dense_stack(stream_units, 'float32'), _linear(self.num_actions)]
        )

    def value_and_advantage(self, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """V float32 [B, 1] and A float32 [B, A], before their aggregation."""
        return self._value_stream(features), self._advantage_stream(features)

    def _head(self, features):
        return dueling_aggregation(*self.value_and_advantage(features))


@gin.configurable
def make_q_network(
    observation_spec: tf.TensorSpec,
    action_spec: tf.TensorSpec,
    dueling: bool,
    *,
    torso: TorsoFactory = mlp_torso,
    stream_units: Sequence[int] = (64,),
    compute_dtype: str = 'float32',
) -> PlainQNetwork | DuelingQNetwork:
    """The Q-network that `dueling` chooses; `stream_units` matter to a dueling one alone.

    Raises:
      ConfigError: a layer without units, an unknown compute_dtype, or actions that are not
        discrete.
    """
    _check_units('make_q_network.stream_units', stream_units)
    if compute_dtype not in ('float32', 'bfloat16'):
        raise errors.ConfigError(
            f"make_q_network.compute_dtype = {compute_dtype!r}: must be 'float32' or 'bfloat16'"
        )
    if not dueling:
        return PlainQNetwork(observation_spec, action_spec, torso, compute_dtype)
    return DuelingQNetwork(
        observation_spec, action_spec, torso, compute_dtype, stream_units=stream_units
    )
