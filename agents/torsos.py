"""Torsos: what turns an observation into features, shared by every network.

A torso is a factory, called with (observation_spec, dtype_policy), that returns the Keras
layer observation [B, ...] -> features [B, F]. The policies, by Keras' names:

    float32          everything
    mixed_bfloat16   float32 weights, products in bfloat16: for weights that are trained
    bfloat16         weights too: for copies that are only ever used in products
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

import gin
import numpy as np
import tensorflow as tf

from agents import errors

TorsoFactory = Callable[[tf.TensorSpec, str], tf.keras.layers.Layer]
COMPUTE_DTYPES = ('float32', 'bfloat16', 'auto')
_BFLOAT16_CPU_FLAGS = ('avx512_bf16', 'amx_bf16')


def training_policy(compute_dtype: str) -> str:
    """'float32' or 'mixed_bfloat16'; 'auto' is the latter where this machine multiplies in it.

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
    """Dense ReLU layers."""
    return [
        tf.keras.layers.Dense(
            n, activation='relu', kernel_initializer=_he_normal(), dtype=dtype_policy
        )
        for n in units
    ]


def linear(units: int, initial_scale: float = 1.0) -> tf.keras.layers.Layer:
    """A head: it computes in float32 always, for its outputs are compared with each other.

    `initial_scale` multiplies its initial, He-normal weights.
    """
    initializer = tf.keras.initializers.VarianceScaling(2.0 * initial_scale**2)
    return tf.keras.layers.Dense(units, kernel_initializer=initializer, dtype='float32')


def check_units(name: str, units: Sequence[int]) -> None:
    """Raises a ConfigError that names the parameter where `units` is no list of widths."""
    if isinstance(units, int) or any(not isinstance(n, int) or n < 1 for n in units):
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
    """Dense ReLU layers of the given `units` over the flattened (or one-hot) observation.

    float32 observations are taken as they are, uint8 is divided by 255, a single integer
    becomes a one-hot vector.
    """
    check_units('mlp_torso.units', units)
    return tf.keras.Sequential(
        [_EncodeObservation(observation_spec), *dense_stack(units, dtype_policy)]
    )


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


@gin.configurable
def conv_torso(
    observation_spec: tf.TensorSpec,
    dtype_policy: str = 'float32',
    *,
    layers: Sequence[Sequence[int]] = ((32, 8, 4), (64, 4, 2), (64, 3, 1)),
) -> tf.keras.layers.Layer:
    """Convolutions over stacked frames; by default those of Mnih et al. 2015.

    Args:
      observation_spec: uint8 [K, height, width], the oldest frame first.
      dtype_policy: see above.
      layers: (filters, kernel size, stride) of each, without padding, ReLU after each.

    Returns:
      The layer uint8 [B, K, height, width] -> [B, F]; pixels count as x / 255.

    Raises:
      ConfigError: the observation is no stack of frames, or the frames are too small.
    """
    if observation_spec.shape.rank != 3 or observation_spec.dtype != tf.uint8:
        raise errors.ConfigError(
            'conv_torso needs stacked uint8 frames [K, height, width] (an Atari game with '
            f'train_ddqn.frame_stack = 4), and is given {observation_spec.dtype.name} '
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


def _check_layers(layers, frame_size: list[int]):
    rows = [tuple(layer) if isinstance(layer, tuple | list) else (layer,) for layer in layers]
    if not rows or any(len(row) != 3 or not all(_is_count(n) for n in row) for row in rows):
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


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class ChannelsLast(tf.keras.layers.Layer):
    """uint8 [B, K, H, W] -> [B, H, W, K] in the dtype of the products; 0 to 255 stay exact."""

    def __init__(self, dtype_policy: str):
        super().__init__(dtype=dtype_policy, autocast=False)

    def call(self, frames: tf.Tensor) -> tf.Tensor:
        # Transposing uint8 takes three times as long as transposing bfloat16. Without `abs`,
        # which changes nothing, TensorFlow's optimiser would transpose first and cast then.
        return tf.transpose(tf.abs(tf.cast(frames, self.compute_dtype)), [0, 2, 3, 1])


class PixelConv2D(tf.keras.layers.Conv2D):
    """A convolution over x / 255: the small kernel is divided instead of every pixel."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel / 255)
