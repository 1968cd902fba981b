"""Q-networks: observation [B, ...] in, one value per action [B, A] out.

`PlainQNetwork` is a torso and a head. `DuelingQNetwork` splits the head into a value and an
advantage stream. Networks that give more than one number per action (`categorical_q`), or values of
several actions at a time (`branching`), are subclasses in their own files. All take the same
`NetworkSettings`, and each can have noisy layers after its torso (`noisy_dense`), so one switch is
the only difference between two runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import gin
import tensorflow as tf

from agents import auto_torso, errors, layers, noisy_dense, torsos
from agents.action_specs import DiscreteActions
from agents.any_dtype import AnyDtypeNetwork
from agents.ranges import Initializer, Maker, Units, checked, one_of
from agents.torsos import TorsoFactory


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """What all Q-networks are made of."""

    torso: TorsoFactory = torsos.mlp_torso  # (observation_spec, dtype_policy) -> its layer
    hidden_units: Sequence[int] = ()  # of the layers between the features and each linear output
    dtype_policy: str = 'float32'  # of all layers but linear outputs, always float32; see `torsos`
    noisy: bool = False  # all layers after the torso have noise; it is on when `training` is true
    output_initializer: str = 'he_normal'  # of linear outputs without noise; see `torsos`


class QNetwork(AnyDtypeNetwork):
    """A torso; subclasses add the head."""

    takes_several = False  # a network of one action at a time

    def __init__(
        self,
        observation_spec: tf.TensorSpec,
        action_spec: tf.TensorSpec,
        settings: NetworkSettings,
        name: str | None = None,
    ):
        """Makes the network; `create_variables()` makes its weights.

        Args:
          observation_spec: of one observation (or one stack of them), without the batch.
          action_spec: discrete and scalar.
          settings: of torso and head.
          name: of the network.

        Raises:
          ConfigError: the actions are not discrete, there are several at a time and the class does
            not take them, or the torso does not take the observation.
        """
        super().__init__(input_tensor_spec=observation_spec, state_spec=(), name=name)
        self.actions = DiscreteActions(action_spec)
        if self.actions.are_several and not self.takes_several:
            raise errors.ConfigError(
                f'{type(self).__name__} needs one integer action at a time, and this environment '
                f'takes {len(self.actions.sizes)} (actions of shape {tuple(action_spec.shape)})'
            )
        self.num_actions = self.actions.num_in_all
        self._settings = settings
        self._torso = layers.made_by(settings.torso, observation_spec, settings.dtype_policy)

    @property
    def dtype_policy_name(self) -> str:
        """'float32', 'mixed_bfloat16' or 'bfloat16'; see `torsos`."""
        return self._settings.dtype_policy

    def copy(self, *, dtype_policy: str | None = None, **kwargs: Any) -> QNetwork:
        """A network of the same form, without variables yet.

        Args:
          dtype_policy: of the copy; None for the same.
          **kwargs: other constructor arguments to replace, such as `name`.
        """
        if dtype_policy is not None:
            kwargs['settings'] = dataclasses.replace(self._settings, dtype_policy=dtype_policy)
        copy = super().copy(**kwargs)
        if copy._torso is self._torso:
            raise errors.ConfigError(
                f'{layers.name_of(self._settings.torso)} returns the same layer again: it must '
                'make a new one at each call, for copies of the network with their own weights'
            )
        return copy

    def create_variables(self, input_tensor_spec: Any = None, **kwargs: Any) -> Any:
        """Creates the variables; returns the spec of the Q-values.

        Raises:
          ConfigError: the torso's layer does not take the observation, or gives no features.
        """
        with layers.blamed_on(self._settings.torso, self.input_tensor_spec):
            return super().create_variables(input_tensor_spec, **kwargs)

    def copy_for_use(self, name: str) -> QNetwork:
        """A copy that computes the same, its weights kept in the dtype they are used in.

        It saves casting every weight at every call. Its weights can be assigned, not trained.
        """
        copy = self.copy(name=name, dtype_policy=self.dtype_policy_name.removeprefix('mixed_'))
        copy.create_variables()
        return copy

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, Any]:
        """Returns (Q-values float32 [B, A], network_state)."""
        outputs, network_state = self.outputs(observation, step_type, network_state, training)
        return outputs['q_values'], network_state

    def outputs(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | None = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[dict[str, tf.Tensor], Any]:
        """Returns (`q_values` float32 [B, A] and what they are made of, network_state)."""
        del step_type
        features = layers.features(self._torso, observation, training)  # [B, F]
        return self._head(features, training), network_state

    def _head(self, features: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        raise NotImplementedError

    def _stream(self, num_outputs: int) -> tf.keras.Sequential:
        """Layers from the features [B, F] to [B, num_outputs]."""
        settings = self._settings
        if settings.noisy:
            stack = noisy_dense.noisy_stack(
                settings.hidden_units, num_outputs, settings.dtype_policy
            )
        else:
            hidden = torsos.dense_stack(settings.hidden_units, settings.dtype_policy)
            output = torsos.linear(num_outputs, initializer=settings.output_initializer)
            stack = [*hidden, output]
        return tf.keras.Sequential(stack)


class PlainQNetwork(QNetwork):
    """Torso, hidden layers if any, and one linear layer to the Q-values."""

    def __init__(
        self,
        observation_spec: tf.TensorSpec,
        action_spec: tf.TensorSpec,
        settings: NetworkSettings = NetworkSettings(),  # noqa: B008, frozen
        name: str = 'PlainQNetwork',
    ):
        super().__init__(observation_spec, action_spec, settings, name)
        self._q_values = self._stream(self.num_actions)

    def _head(self, features: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        return {'q_values': self._q_values(features, training=training)}


def dueling_aggregation(value: tf.Tensor, advantage: tf.Tensor) -> tf.Tensor:
    """Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a'), each row by itself.

    Source: Wang et al. 2016, "Dueling network architectures for deep reinforcement learning",
    equation 9 (https://arxiv.org/abs/1511.06581).

    Args:
      value: float32 [B, 1], or [B, 1, N] where each of N atoms is aggregated by itself.
      advantage: float32 [B, A], or [B, A, N].

    Returns:
      float32 like `advantage`.
    """
    return value + advantage - tf.reduce_mean(advantage, axis=1, keepdims=True)


class DuelingQNetwork(QNetwork):
    """Torso, then a value and an advantage stream, each with its own hidden layers.

    `outputs` has `q_values`, and `value` float32 [B, 1] and `advantage` float32 [B, A] as they
    are before their aggregation.
    """

    def __init__(
        self,
        observation_spec: tf.TensorSpec,
        action_spec: tf.TensorSpec,
        settings: NetworkSettings = NetworkSettings(hidden_units=(64,)),  # noqa: B008, frozen
        name: str = 'DuelingQNetwork',
    ):
        super().__init__(observation_spec, action_spec, settings, name)
        self._value_stream = self._stream(1)
        self._advantage_stream = self._stream(self.num_actions)

    def _head(self, features: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        value = self._value_stream(features, training=training)  # [B, 1]
        advantage = self._advantage_stream(features, training=training)  # [B, A]
        q_values = dueling_aggregation(value, advantage)
        return {'q_values': q_values, 'value': value, 'advantage': advantage}


# (observation_spec, action_spec, settings, dueling=...) -> the network.
NetworkFactory = Callable[..., QNetwork]


def value_network(
    observation_spec: tf.TensorSpec,
    action_spec: tf.TensorSpec,
    settings: NetworkSettings,
    dueling: bool,
) -> QNetwork:
    """A network whose head gives one value per action."""
    network_class = DuelingQNetwork if dueling else PlainQNetwork
    return network_class(observation_spec, action_spec, settings)


@gin.configurable(denylist=['factory', 'dueling', 'noisy'])
@checked(errors.ConfigError)
def make_q_network(
    observation_spec: tf.TensorSpec,
    action_spec: tf.TensorSpec,
    factory: NetworkFactory = value_network,
    *,
    dueling: bool,
    noisy: bool = False,
    torso: Maker = auto_torso.auto_torso,
    stream_units: Units = (64,),
    plain_units: Units = (),
    compute_dtype: Annotated[str, one_of('float32', 'bfloat16', 'auto')] = 'float32',
    output_initializer: Initializer = 'he_normal',
) -> QNetwork:
    """The Q-network that the switches choose.

    Args:
      observation_spec: of one observation, or one stack of them.
      action_spec: discrete, and scalar unless `factory` takes several at a time.
      factory: of the network; it says what the head gives.
      dueling: two streams instead of one head.
      noisy: noise on the weights of every layer after the torso.
      torso: observation -> features.
      stream_units: hidden layers of each of the two streams of a dueling network.
      plain_units: hidden layers between torso and head of a network without streams.
      compute_dtype: 'float32', 'bfloat16', or 'auto': bfloat16 where the machine has it.
      output_initializer: of the linear outputs, one of `torsos.INITIALIZERS`; noisy layers
        have their paper's.

    Raises:
      ConfigError: a layer without units, an unknown compute_dtype or initializer, an
        observation the torso does not take, or actions that are not discrete.
    """
    settings = NetworkSettings(
        torso=torso,
        hidden_units=stream_units if dueling else plain_units,
        dtype_policy=torsos.training_policy(compute_dtype),
        noisy=noisy,
        output_initializer=output_initializer,
    )
    return factory(observation_spec, action_spec, settings, dueling=dueling)
