"""Q-networks: observation [B, ...] in, one value per action [B, A] out.

`PlainQNetwork` is a torso and a head. `DuelingQNetwork` splits the head into a value and
an advantage stream (Wang et al. 2016, "Dueling network architectures for deep
reinforcement learning", equation 9). `C51Network`, with either head, gives a
distribution over returns, and its mean as the value (Bellemare, Dabney and Munos 2017).
All share the torso's settings, and each can have noisy layers after it (`noisy_dense`),
so that one switch is the only difference between two runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec

from agents import errors, noisy_dense, torsos
from agents.torsos import TorsoFactory


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


class QNetwork(network.Network):
    """A torso; subclasses add the head."""

    def __init__(
        self,
        observation_spec: tf.TensorSpec,
        action_spec: tf.TensorSpec,
        torso: TorsoFactory = torsos.mlp_torso,
        hidden_units: Sequence[int] = (),
        dtype_policy: str = 'float32',
        noisy: bool = False,
        name: str | None = None,
    ):
        """Makes the network; `create_variables()` makes its weights.

        Args:
          observation_spec: of one observation (or one stack of them), without the batch.
          action_spec: discrete and scalar, counting from 0.
          torso: called with (observation_spec, dtype_policy), returns the layer
            observation -> features.
          hidden_units: of the layers between the features and each linear output.
          dtype_policy: of all layers but the linear outputs, which are float32 always; see
            `torsos`.
          noisy: all layers after the torso have noise; it is on where `training` is true.
          name: of the network.
        """
        super().__init__(input_tensor_spec=observation_spec, state_spec=(), name=name)
        self.num_actions = num_actions(action_spec)
        self._torso = torso(observation_spec, dtype_policy)
        self._hidden_units, self._dtype_name, self._noisy = hidden_units, dtype_policy, noisy

    @property
    def dtype_policy_name(self) -> str:
        """'float32', 'mixed_bfloat16' or 'bfloat16'; see `torsos`."""
        return self._dtype_name

    def copy_for_use(self, name: str) -> QNetwork:
        """A copy that computes the same, its weights kept in the dtype they are used in.

        It spares the cast of every weight at every call, and can only be assigned to.
        """
        copy = self.copy(name=name, dtype_policy=self._dtype_name.removeprefix('mixed_'))
        copy.create_variables()
        return copy

    def _stream(self, outputs: int) -> tf.keras.Sequential:
        if self._noisy:
            return tf.keras.Sequential(
                noisy_dense.noisy_stack(self._hidden_units, outputs, self._dtype_name)
            )
        hidden = torsos.dense_stack(self._hidden_units, self._dtype_name)
        return tf.keras.Sequential([*hidden, torsos.linear(outputs)])

    def call(self, observation, step_type=None, network_state=(), training=False):
        """Returns (Q-values float32 [B, A], network_state)."""
        del step_type
        return self.outputs(observation, training)['q_values'], network_state

    def outputs(self, observation, training=False) -> dict[str, tf.Tensor]:
        """`q_values` float32 [B, A], and what they are made of."""
        features = self._torso(observation, training=training)  # [B, F]
        return self._head(features, training)

    def _head(self, features: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        raise NotImplementedError


class PlainQNetwork(QNetwork):
    """Torso, hidden layers if any, and one linear layer to the Q-values."""

    def __init__(
        self,
        observation_spec,
        action_spec,
        torso=torsos.mlp_torso,
        hidden_units=(),
        dtype_policy='float32',
        noisy=False,
        name='PlainQNetwork',
    ):
        super().__init__(
            observation_spec, action_spec, torso, hidden_units, dtype_policy, noisy, name
        )
        self._q_values = self._stream(self.num_actions)

    def _head(self, features, training):
        return {'q_values': self._q_values(features, training=training)}


def dueling_aggregation(value: tf.Tensor, advantage: tf.Tensor) -> tf.Tensor:
    """Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a'), per row.

    Args:
      value: float32 [B, 1], or [B, 1, N] where each of N atoms is aggregated by itself.
      advantage: float32 [B, A], or [B, A, N].

    Returns:
      float32 like `advantage`. A row depends on that row alone (Wang et al. 2016, equation 9).
    """
    return value + advantage - tf.reduce_mean(advantage, axis=1, keepdims=True)


class DuelingQNetwork(QNetwork):
    """Torso, then a value and an advantage stream, each with hidden layers of its own.

    `outputs` has `value` float32 [B, 1] and `advantage` float32 [B, A] beside `q_values`,
    as they are before their aggregation.
    """

    def __init__(
        self,
        observation_spec,
        action_spec,
        torso=torsos.mlp_torso,
        hidden_units=(64,),
        dtype_policy='float32',
        noisy=False,
        name='DuelingQNetwork',
    ):
        super().__init__(
            observation_spec, action_spec, torso, hidden_units, dtype_policy, noisy, name
        )
        self._value_stream = self._stream(1)
        self._advantage_stream = self._stream(self.num_actions)

    def _head(self, features, training):
        value = self._value_stream(features, training=training)
        advantage = self._advantage_stream(features, training=training)
        q_values = dueling_aggregation(value, advantage)
        return {'q_values': q_values, 'value': value, 'advantage': advantage}


@gin.configurable
class C51Network(QNetwork):
    """Torso, then for each action the logits of N returns, the atoms z_1 .. z_N.

    `outputs` has `logits` float32 [B, A, N] beside `q_values`, their distributions' means.
    A dueling head aggregates the logits, atom by atom (Hessel et al. 2018, "Rainbow").
    """

    def __init__(
        self,
        observation_spec,
        action_spec,
        torso=torsos.mlp_torso,
        hidden_units=(),
        dtype_policy='float32',
        noisy=False,
        dueling: bool = False,
        v_min: float = -10.0,
        v_max: float = 10.0,
        num_atoms: int = 51,
        name='C51Network',
    ):
        """Makes the network; the atoms' defaults are the paper's, for clipped Atari rewards.

        Args, beside those of `QNetwork`:
          dueling: two streams instead of one head.
          v_min: the smallest atom; a discounted return below it counts as it.
          v_max: the largest atom; they are evenly spaced.
          num_atoms: N, at least 2.

        Raises:
          ConfigError: no such atoms.
        """
        super().__init__(
            observation_spec, action_spec, torso, hidden_units, dtype_policy, noisy, name
        )
        if not -np.inf < v_min < v_max < np.inf:
            raise errors.ConfigError(
                f'C51Network.v_max = {v_max}: must be finite and more than v_min = {v_min}'
            )
        if isinstance(num_atoms, bool) or not isinstance(num_atoms, int) or num_atoms < 2:
            raise errors.ConfigError(
                f'C51Network.num_atoms = {num_atoms!r}: must be a whole number, at least 2'
            )
        self.support = np.linspace(v_min, v_max, num_atoms, dtype=np.float32)
        self._value_stream = self._stream(num_atoms) if dueling else None
        self._advantage_stream = self._stream(self.num_actions * num_atoms)

    def _head(self, features, training):
        logits = tf.reshape(
            self._advantage_stream(features, training=training),
            [-1, self.num_actions, len(self.support)],
        )
        if self._value_stream is not None:
            value = self._value_stream(features, training=training)[:, tf.newaxis]  # [B, 1, N]
            logits = dueling_aggregation(value, logits)
        q_values = tf.reduce_sum(tf.nn.softmax(logits) * self.support, axis=2)
        return {'q_values': q_values, 'logits': logits}


@gin.configurable
def make_q_network(
    observation_spec: tf.TensorSpec,
    action_spec: tf.TensorSpec,
    dueling: bool,
    categorical: bool = False,
    noisy: bool = False,
    *,
    torso: TorsoFactory = torsos.mlp_torso,
    stream_units: Sequence[int] = (64,),
    plain_units: Sequence[int] = (),
    compute_dtype: str = 'float32',
) -> QNetwork:
    """The Q-network that the switches choose.

    Args:
      observation_spec: of one observation, or one stack of them.
      action_spec: discrete and scalar.
      dueling: two streams instead of one head.
      categorical: distributions over returns, whose means are the values.
      noisy: noise on the weights of every layer after the torso.
      torso: observation -> features.
      stream_units: hidden layers of each of the two streams of a dueling network.
      plain_units: hidden layers between torso and head of a plain one.
      compute_dtype: 'float32', 'bfloat16', or 'auto': bfloat16 where the machine has it.

    Raises:
      ConfigError: a layer without units, an unknown compute_dtype, an observation the torso
        does not take, or actions that are not discrete.
    """
    torsos.check_units('make_q_network.stream_units', stream_units)
    torsos.check_units('make_q_network.plain_units', plain_units)
    units = stream_units if dueling else plain_units
    dtype_policy = torsos.training_policy(compute_dtype)
    settings = (observation_spec, action_spec, torso, units, dtype_policy, noisy)
    if categorical:
        return C51Network(*settings, dueling)
    return DuelingQNetwork(*settings) if dueling else PlainQNetwork(*settings)
