"""The torso that fits an observation, whatever it is made of.

a picture         conv_torso
any other array   mlp_torso
a dict            conv_torso for each picture; mlp_torso for all other parts together;
                  then everything side by side, and a dense layer over it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gin
import tensorflow as tf

from agents import conv_torso as conv
from agents import errors, layers, torsos
from agents.ranges import OptionalMakersByName, Units, checked


@gin.configurable
def auto_torso(observation_spec: Any, dtype_policy: str = 'float32') -> tf.keras.layers.Layer:
    """`conv_torso` for a picture, `mlp_torso` for other arrays, `dict_torso` for a dict.

    Args:
      observation_spec: of one observation, without the batch: an array's, or a dict of them.
      dtype_policy: of the layers, see `torsos`.
    """
    if isinstance(observation_spec, Mapping):
        return dict_torso(observation_spec, dtype_policy)
    if conv.is_picture(observation_spec):
        return conv.conv_torso(observation_spec, dtype_policy)
    return torsos.mlp_torso(observation_spec, dtype_policy)


@gin.configurable
@checked(errors.ConfigError)
def dict_torso(
    observation_spec: Any,
    dtype_policy: str = 'float32',
    *,
    torsos_of: OptionalMakersByName = None,
    units: Units = (128,),
) -> tf.keras.layers.Layer:
    """A torso for each part of an observation, and what they give side by side.

    Args:
      observation_spec: a dict of parts, without the batch.
      dtype_policy: of the layers, see `torsos`.
      torsos_of: torsos for parts by name, such as {'image': @conv_torso}. Parts that are not
        named: `conv_torso` for each picture, and `mlp_torso` for all others together.
      units: of dense ReLU layers over everything, if it comes from more than one torso: without
        any, linear outputs could not make what one part says depend on another.

    Raises:
      ConfigError: a part that does not exist, or whose torso does not take it; a layer without
        units.
    """
    if not isinstance(observation_spec, Mapping):
        raise errors.ConfigError(
            'dict_torso needs an observation that is a dict, and is given '
            f'{observation_spec.dtype.name} {list(observation_spec.shape)}: use @auto_torso here'
        )
    chosen = dict(torsos_of or {})
    for name in chosen:
        if name not in observation_spec:
            raise errors.ConfigError(
                f"dict_torso.torsos_of = {sorted(chosen)}: the observation has no part '{name}'; "
                f'it has {", ".join(sorted(observation_spec))}'
            )
    for name, spec in observation_spec.items():
        if name not in chosen and conv.is_picture(spec):
            chosen[name] = conv.conv_torso
    rest = {name: spec for name, spec in observation_spec.items() if name not in chosen}
    made = {
        name: layers.made_by(chosen[name], observation_spec[name], dtype_policy)
        for name in sorted(chosen)
    }
    joint = torsos.mlp_torso(rest, dtype_policy) if rest else None
    several = len(made) + bool(rest) > 1
    dense = torsos.dense_stack(units if several else (), dtype_policy)
    return _SideBySide(made, joint, sorted(rest), dense)


class _SideBySide(tf.keras.layers.Layer):
    """The features of all torsos [B, F], in the order of their parts' names."""

    def __init__(
        self,
        made: Mapping[str, tf.keras.layers.Layer],
        joint: tf.keras.layers.Layer | None,
        joint_parts: Sequence[str],
        dense: Sequence[tf.keras.layers.Layer],
    ):
        super().__init__(autocast=False)
        self._made, self._joint, self._joint_parts = dict(made), joint, list(joint_parts)
        self._dense = list(dense)

    def call(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """[B, F]."""
        features = [
            layers.checked(torso(observation[name]), f"the torso of '{name}'")
            for name, torso in self._made.items()
        ]
        if self._joint is not None:
            rest = {name: observation[name] for name in self._joint_parts}
            features.append(self._joint(rest))
        dtype = features[0].dtype
        together = tf.concat([tf.cast(part, dtype) for part in features], axis=1)
        for layer in self._dense:
            together = layer(together)
        return together
