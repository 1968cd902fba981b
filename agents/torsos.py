"""Torsos: the layers that turn an observation into features, shared by every network.

A torso is a factory, called with (observation_spec, dtype_policy), that returns the Keras
layer observation [B, ...] -> features [B, F]. The dtype policies, by Keras's names:

    float32          everything
    mixed_bfloat16   float32 weights, products in bfloat16: for weights that are trained
    bfloat16         weights too: for copies that are only ever used in products

Weights start as He et al. 2015 propose (https://arxiv.org/abs/1502.01852) unless a configuration
says otherwise; `INITIALIZERS` has the choices, by Keras's names. Biases start at 0.
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
            n, activation='relu', kernel_initializer=_initializer(initializer), dtype=dtype_policy
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
        units, kernel_initializer=_initializer(initializer, initial_scale), dtype='float32'
    )


def check_units(name: str, units: Any) -> None:
    """Raises a ConfigError that names the parameter unless `units` is a sequence of widths."""
    if isinstance(units, int) or not all(errors.is_count(n) for n in units):
        raise errors.ConfigError(
            f'{name} = {units}: must be whole numbers >= 1, one per layer, such as (64, 64)'
        )


def check_initializer(name: str, initializer: Any) -> None:
    """Raises a ConfigError that names the parameter unless `initializer` is known."""
    if initializer not in INITIALIZERS:
        raise errors.ConfigError(f'{name} = {initializer!r}: must be one of {INITIALIZERS}')


def _initializer(name: str, scale: float = 1.0) -> tf.keras.initializers.Initializer:
    """The initializer of `INITIALIZERS` with this name, its numbers multiplied by `scale`."""
    if scale == 0.0:
        return tf.keras.initializers.Zeros()
    if name == 'he_normal':
        return tf.keras.initializers.VarianceScaling(2.0 * scale**2)
    return tf.keras.initializers.VarianceScaling(scale**2, 'fan_avg', 'uniform')


@gin.configurable
def mlp_torso(
    observation_spec: tf.TensorSpec,
    dtype_policy: str = 'float32',
    *,
    units: Sequence[int] = (256, 256),
    kernel_initializer: str = 'he_normal',
) -> tf.keras.layers.Layer:
    """Dense ReLU layers over the flattened observation.

    float32 observations are taken as they are, uint8 is divided by 255, and a single integer
    becomes a one-hot vector.

    Args:
      observation_spec: of one observation, without the batch.
      dtype_policy: of the layers, see the module.
      units: the width of each layer; () for none.
      kernel_initializer: one of `INITIALIZERS`.

    Raises:
      ConfigError: a layer without units, or an unknown initializer.
    """
    check_units('mlp_torso.units', units)
    check_initializer('mlp_torso.kernel_initializer', kernel_initializer)
    layers = dense_stack(units, dtype_policy, kernel_initializer)
    return tf.keras.Sequential([_EncodeObservation(observation_spec), *layers])


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
            # TensorFlow has no one-hot vectors of int16 and uint16.
            return tf.one_hot(tf.cast(observation, tf.int64) - self._minimum, self._depth)
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
    kernel_initializer: str = 'he_normal',
) -> tf.keras.layers.Layer:
    """Convolutions over stacked frames.

    The default layers are those of Mnih et al. 2015, "Human-level control through deep
    reinforcement learning", Methods (https://doi.org/10.1038/nature14236).

    Args:
      observation_spec: uint8 [K, height, width], the oldest frame first.
      dtype_policy: of the layers, see the module.
      layers: (filters, kernel size, stride) of each, without padding, ReLU after each.
      kernel_initializer: one of `INITIALIZERS`.

    Returns:
      The layer uint8 [B, K, height, width] -> [B, F]; pixels count as x / 255.

    Raises:
      ConfigError: the observation is not a stack of frames, the frames are too small, or the
        initializer is unknown.
    """
    check_initializer('conv_torso.kernel_initializer', kernel_initializer)
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
                kernel_initializer=_initializer(kernel_initializer),
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
