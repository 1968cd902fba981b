"""Torsos: the layers that turn an observation into features, shared by every network.

A torso is a factory, called with (observation_spec, dtype_policy), that returns the Keras
layer observation [B, ...] -> features [B, F]. The dtype policies, by Keras's names:

    float32          everything
    mixed_bfloat16   float32 weights, products in bfloat16: for weights that are trained
    bfloat16         weights too: for copies that are only ever used in products

Hidden weights start as He et al. 2015 propose (https://arxiv.org/abs/1502.01852).
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from agents import errors

TorsoFactory = Callable[[tf.TensorSpec, str], tf.keras.layers.Layer]
COMPUTE_DTYPES = ('float32', 'bfloat16', 'auto')
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


def dense_stack(units: Sequence[int], dtype_policy: str) -> list[tf.keras.layers.Layer]:
    """Dense ReLU layers, one for each of the `units`."""
    return [
        tf.keras.layers.Dense(
            n, activation='relu', kernel_initializer=_he_normal(), dtype=dtype_policy
        )
        for n in units
    ]


def linear(units: int, initial_scale: float = 1.0) -> tf.keras.layers.Layer:
    """A linear output layer, always in float32 because its outputs are compared with each other.

    `initial_scale` multiplies its initial, He-normal weights.
    """
    initializer = tf.keras.initializers.VarianceScaling(2.0 * initial_scale**2)
    return tf.keras.layers.Dense(units, kernel_initializer=initializer, dtype='float32')


def check_units(name: str, units: Any) -> None:
    """Raises a ConfigError that names the parameter unless `units` is a sequence of widths."""
    if isinstance(units, int) or not all(errors.is_count(n) for n in units):
        raise errors.ConfigError(
            f'{name} = {units}: must be whole numbers >= 1, one per layer, such as (64, 64)'
        )


def _he_normal() -> tf.keras.initializers.Initializer:
    return tf.keras.initializers.HeNormal()


@gin.configurable
def mlp_torso(
    observation_spec: tf.TensorSpec,
    dtype_policy: str = 'float32',
    *,
    units: Sequence[int] = (256, 256),
) -> tf.keras.layers.Layer:
    """Dense ReLU layers over the flattened observation.

    float32 observations are taken as they are, uint8 is divided by 255, and a single integer
    becomes a one-hot vector.

    Args:
      observation_spec: of one observation, without the batch.
      dtype_policy: of the layers, see the module.
      units: the width of each layer; () for none.

    Raises:
      ConfigError: a layer without units.
    """
    check_units('mlp_torso.units', units)
    return tf.keras.Sequential(
        [_EncodeObservation(observation_spec), *dense_stack(units, dtype_policy)]
    )


class _EncodeObservation(tf.keras.layers.Layer):
    """Any supported observation [B, ...] as float32 features [B, F]."""

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


@gin.configurable
def conv_torso(
    observation_spec: tf.TensorSpec,
    dtype_policy: str = 'float32',
    *,
    layers: Sequence[Sequence[int]] = ((32, 8, 4), (64, 4, 2), (64, 3, 1)),
) -> tf.keras.layers.Layer:
    """Convolutions over stacked frames.

    The default layers are those of Mnih et al. 2015, "Human-level control through deep
    reinforcement learning", Methods (https://doi.org/10.1038/nature14236).

    Args:
      observation_spec: uint8 [K, height, width], the oldest frame first.
      dtype_policy: of the layers, see the module.
      layers: (filters, kernel size, stride) of each, without padding, ReLU after each.

    Returns:
      The layer uint8 [B, K, height, width] -> [B, F]; pixels count as x / 255.

    Raises:
      ConfigError: the observation is not a stack of frames, or the frames are too small.
    """
    if observation_spec.shape.rank != 3 or observation_spec.dtype != tf.uint8:
        raise errors.ConfigError(
            'conv_torso needs stacked uint8 frames [K, height, width] (an Atari game with '
            f'frame_stack = 4), and is given {observation_spec.dtype.name} '
            f'{list(observation_spec.shape)}: use @mlp_torso here'
        )
    _check_layers(layers, observation_spec.shape[1:].as_list())
    torso = tf.keras.Sequential([ChannelsLast(dtype_policy)])
    for i, (filters, size, stride) in enumerate(layers):
        convolution = PixelConv2D if i == 0 else tf.keras.layers.Conv2D
        torso.add(
            convolution(
                filters,
                size,
                stride,
                activation='relu',
                kernel_initializer=_he_normal(),
                dtype=dtype_policy,
            )
        )
    torso.add(tf.keras.layers.Flatten(dtype=dtype_policy))
    return torso


def _check_layers(layers: Any, frame_size: list[int]) -> None:
    rows = [tuple(layer) if isinstance(layer, tuple | list) else (layer,) for layer in layers]
    if not rows or any(len(row) != 3 or not all(map(errors.is_count, row)) for row in rows):
        raise errors.ConfigError(
            f'conv_torso.layers = {layers}: must be (filters, kernel size, stride) for each layer, '
            'whole numbers >= 1'
        )
    size = list(frame_size)
    for i, (_, kernel, stride) in enumerate(rows):
        if min(size) < kernel:
            raise errors.ConfigError(
                f'conv_torso.layers = {layers}: frames of {frame_size[0]}x{frame_size[1]} are '
                f'{size[0]}x{size[1]} before layer {i + 1}, whose kernel is {kernel}x{kernel}; '
                'use larger frames (atari.frame_height, atari.frame_width) or smaller kernels'
            )
        size = [(n - kernel) // stride + 1 for n in size]


class ChannelsLast(tf.keras.layers.Layer):
    """uint8 [B, K, H, W] -> [B, H, W, K] in the dtype of the products; 0 to 255 stay exact."""

    def __init__(self, dtype_policy: str):
        super().__init__(dtype=dtype_policy, autocast=False)

    def call(self, frames: tf.Tensor) -> tf.Tensor:
        """Casts, then moves the frames to the last axis."""
        # Transposing uint8 takes three times as long as transposing bfloat16. `abs` changes
        # nothing, but without it TensorFlow's optimiser would transpose first and cast afterwards.
        return tf.transpose(tf.abs(tf.cast(frames, self.compute_dtype)), [0, 2, 3, 1])


class PixelConv2D(tf.keras.layers.Conv2D):
    """A convolution over x / 255: the small kernel is divided instead of every pixel."""

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """What Keras calls with the layer's inputs and kernel."""
        return super().convolution_op(inputs, kernel / 255)
