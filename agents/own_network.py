"""A whole Q-network of the user's: a Keras layer from observations to values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from agents import errors, masks, q_network

# (observation_spec, action_spec) -> the layer [B, ...] -> [B, A].
LayerMaker = Callable[[Any, tf.TensorSpec], tf.keras.layers.Layer]


class OwnQNetwork(q_network.QNetwork):
    """Its Q-values are what a layer gives, whatever it is made of.

    The layer takes observations (of a dict the dict) and gives a number for each action, [B, A];
    where several actions are taken at a time, one dimension's after the other's.
    """

    takes_several = True

    def __init__(
        self,
        observation_spec: Any,
        action_spec: tf.TensorSpec,
        settings: q_network.NetworkSettings,
        name: str = 'OwnQNetwork',
    ):
        """Makes the network; `create_variables()` makes its weights.

        Args:
          observation_spec: of one observation (or one stack of them), without the batch.
          action_spec: discrete.
          settings: its torso makes the whole layer.
          name: of the network.
        """
        super().__init__(observation_spec, action_spec, settings, name)

    def _head(self, features: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        if features.shape.as_list()[1:] != [self.num_actions]:
            raise errors.ConfigError(
                f'it gives numbers {features.shape.as_list()[1:]}, and must give '
                f'[{self.num_actions}], one for each action'
            )
        q_values = tf.cast(features, tf.float32)
        return {'q_values': self.actions.by_dimension(q_values, masks.NEVER)}


def make(observation_spec: Any, action_spec: tf.TensorSpec, factory: LayerMaker) -> OwnQNetwork:
    """The network whose layer `factory` makes, anew for each copy of it.

    Raises:
      ConfigError: it does not return a layer, or later, when variables are created: the layer does
        not take the observation, or gives something else than a number for each action.
    """

    def layer(spec: Any, dtype_policy: str) -> tf.keras.layers.Layer:
        del dtype_policy  # a layer of the user's is float32, or what it makes itself
        return factory(spec, action_spec)

    layer.__name__ = getattr(factory, '__name__', 'network')
    return OwnQNetwork(observation_spec, action_spec, q_network.NetworkSettings(torso=layer))
