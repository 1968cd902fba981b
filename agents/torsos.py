"""Torsos: the layers that turn an observation into features, shared by every network.

A torso is a factory, called with (observation_spec, dtype_policy), that returns the Keras
layer observation [B, ...], or a dict of such parts, -> features [B, F]. Here is `mlp_torso`;
`conv_torso` is for pictures, and `auto_torso` chooses. The dtype policies, by Keras's names:

    float32          everything
    mixed_bfloat16   float32 weights, products in bfloat16: for weights that are trained
    bfloat16         weights too: for copies that are only ever used in products

Weights start as He et al. 2015 propose (https://arxiv.org/abs/1502.01852) unless a configuration
says otherwise; `INITIALIZERS` has the choices, by Keras's names. Biases start at 0.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import gin
import tensorflow as tf

from agents import encodings, errors
from agents.ranges import Initializer, Units, checked, count

TorsoFactory = Callable[[tf.TensorSpec, str], tf.keras.layers.Layer]
COMPUTE_DTYPES = ('float32', 'bfloat16', 'auto')
INITIALIZERS = ('he_normal', 'glorot_uniform')  # the second is Keras's default for its layers
_BFLOAT16_CPU_FLAGS = ('avx512_bf16', 'amx_bf16')


def training_policy(compute_dtype: str) -> str:
    """The dtype policy of weights that are trained.

    Args:
      compute_dtype: 'float32', 'bfloat16', or 'auto': bfloat16 where this machine multiplies in it.

    Returns:
      'float32' or 'mixed_bfloat16'.

    Raises:
      ConfigError: another name.
    """
    if compute_dtype not in COMPUTE_DTYPES:
        raise errors.ConfigError(
            f'make_q_network.compute_dtype = {compute_dtype!r}: must be one of {COMPUTE_DTYPES}'
        )
    native = _multiplies_in_bfloat16() if compute_dtype == 'auto' else compute_dtype == 'bfloat16'
    return 'mixed_bfloat16' if native else 'float32'


def _multiplies_in_bfloat16() -> bool:
    gpus = tf.config.list_physical_devices('GPU')
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return details.get('compute_capability', (0, 0)) >= (8, 0)
    cpu = pathlib.Path('/proc/cpuinfo').read_text()
    return any(flag in cpu for flag in _BFLOAT16_CPU_FLAGS)


def dense_stack(
    units: Sequence[int], dtype_policy: str, initializer: str = 'he_normal'
) -> list[tf.keras.layers.Layer]:
    """Dense ReLU layers, one for each of the `units`, whose weights start as `initializer` says."""
    return [
        tf.keras.layers.Dense(
            n,
            activation='relu',
            kernel_initializer=make_initializer(initializer),
            dtype=dtype_policy,
        )
        for n in units
    ]


def linear(
    units: int, initial_scale: float = 1.0, initializer: str = 'he_normal'
) -> tf.keras.layers.Layer:
    """A linear output layer, always in float32 because its outputs are compared with each other.

    `initial_scale` (>= 0) multiplies its initial weights.
    """
    return tf.keras.layers.Dense(
        units, kernel_initializer=make_initializer(initializer, initial_scale), dtype='float32'
    )


def make_initializer(name: str, scale: float = 1.0) -> tf.keras.initializers.Initializer:
    """The initializer of `INITIALIZERS` with this name, its numbers multiplied by `scale`."""
    if scale == 0.0:
        return tf.keras.initializers.Zeros()
    if name == 'he_normal':
        return tf.keras.initializers.VarianceScaling(2.0 * scale**2)
    return tf.keras.initializers.VarianceScaling(scale**2, 'fan_avg', 'uniform')


@gin.configurable
@checked(errors.ConfigError)
def mlp_torso(
    observation_spec: tf.TensorSpec,
    dtype_policy: str = 'float32',
    *,
    units: Units = (256, 256),
    kernel_initializer: Initializer = 'he_normal',
    max_one_hot: Annotated[int, count(least=0, most=1_000_000)] = encodings.MAX_ONE_HOT,
    embedding_units: Annotated[int, count(most=16_384)] = encodings.EMBEDDING_UNITS,
) -> tf.keras.layers.Layer:
    """Dense ReLU layers over the flattened observation.

    Args:
      observation_spec: of one observation, without the batch; or a dict of parts, which are
        joined. `encodings` says what becomes of each kind of number.
      dtype_policy: of the layers, see the module.
      units: the width of each layer; () for none.
      kernel_initializer: one of `INITIALIZERS`.
      max_one_hot: an integer that is one of so many values, or fewer, becomes a one-hot vector, of
        more values a learned one.
      embedding_units: the length of a learned vector.

    Raises:
      ConfigError: a layer without units, a count that is none, or an unknown initializer.
    """
    options = max_one_hot, embedding_units
    layers = dense_stack(units, dtype_policy, kernel_initializer)
    if isinstance(observation_spec, Mapping):
        return _JointMlp(encodings.EncodeParts(observation_spec, *options), layers)
    return tf.keras.Sequential([encodings.Encode(observation_spec, *options), *layers])


class _JointMlp(tf.keras.layers.Layer):
    """Dense layers over all parts of an observation, joined: [B, F]."""

    def __init__(self, encode: encodings.EncodeParts, layers: Sequence[tf.keras.layers.Layer]):
        super().__init__(autocast=False)
        self._encode, self._dense = encode, list(layers)

    def call(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """[B, F]."""
        features = self._encode(observation)
        for layer in self._dense:
            features = layer(features)
        return features
