"""A torso for pictures of any layout, size and dtype.

    [height, width]             grey                 [K, height, width]     stacked grey frames
    [height, width, channels]   channels last        [channels, height, width]
    [K, ...]                    stacked pictures with channels: K times as many channels

Of a picture [x, y, z], two neighbours of the same size are height and width, as in [84, 84, 3],
[3, 84, 84] and a board's [8, 8, 111]; otherwise the smaller end is the channels, the last one of
two of the same size. Numbers count as (x - low) / (high - low) between their bounds, bytes as
x / 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from agents import encodings, errors, torsos
from agents.ranges import Initializer, OptionalConvolutions, OptionalUnits, checked

# Mnih et al. 2015, "Human-level control through deep reinforcement learning", Methods
# (https://doi.org/10.1038/nature14236): (filters, kernel size, stride).
NATURE = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
# Young and Tian 2019, "MinAtar" (https://arxiv.org/abs/1903.03176): one convolution, and a dense
# layer of 128 units.
SMALL, SMALL_UNITS = ((16, 3, 1),), (128,)
_SMALLEST, _SMALLEST_GREY = 3, 8  # pixels per side


def convolves(network: tf.Module) -> bool:
    """Whether any of a network's layers is a convolution."""
    kinds = (tf.keras.layers.Conv1D, tf.keras.layers.Conv2D, tf.keras.layers.Conv3D)
    return any(isinstance(module, kinds) for module in network.submodules)


def is_picture(spec: Any) -> bool:
    """Whether `spec` is of a picture, not of numbers in some other array."""
    if not isinstance(spec, tf.TensorSpec) or spec.name == encodings.CATEGORIES:
        return False
    if spec.shape.rank == 2:  # grey; a small table, or numbers without bounds, are more likely not
        return min(spec.shape) >= _SMALLEST_GREY and encodings.bounds(spec) is not None
    if spec.shape.rank not in (3, 4):
        return False
    return min(_layout(spec)[0]) >= _SMALLEST


def _may_be_picture(spec: Any) -> bool:
    """Whether convolutions make sense if they are asked for."""
    if not isinstance(spec, tf.TensorSpec) or spec.shape.rank not in (2, 3, 4):
        return False
    return spec.shape.rank > 2 or min(spec.shape) >= 2 * _SMALLEST


def _layout(spec: tf.TensorSpec) -> tuple[list[int], list[int]]:
    """((height, width), the order of axes that puts them before the channels).

    The batch is axis 0 of the order, and each channel axis stands behind.
    """
    shape = spec.shape.as_list()
    if len(shape) == 2:
        return shape, [0, 1, 2]
    x, y, z = shape[-3:]
    first = len(shape) - 2  # the axis of x, behind the batch
    stack = list(range(1, first))
    channels_last = z <= x if (x == y) == (y == z) else x == y
    if channels_last:
        return shape[-3:-1], [0, first, first + 1, *stack, first + 2]
    return shape[-2:], [0, first + 1, first + 2, *stack, first]


@gin.configurable
@checked(errors.ConfigError)
def conv_torso(
    observation_spec: tf.TensorSpec,
    dtype_policy: str = 'float32',
    *,
    layers: OptionalConvolutions = None,
    units: OptionalUnits = None,
    kernel_initializer: Initializer = 'he_normal',
) -> tf.keras.layers.Layer:
    """Convolutions over a picture, or over stacked ones.

    Args:
      observation_spec: of a picture, see the module; of stacked frames the oldest first.
      dtype_policy: of the layers, see `torsos`.
      layers: (filters, kernel size, stride) of each, without padding, ReLU after each. None:
        `NATURE` where they fit, `SMALL` for smaller pictures.
      units: of dense ReLU layers after them. None: `SMALL_UNITS` after `SMALL`, else none.
      kernel_initializer: one of `torsos.INITIALIZERS`.

    Returns:
      The layer [B, ...] -> [B, F].

    Raises:
      ConfigError: the observation is not a picture, or too small for the layers, or a value is
        out of its range.
    """
    if not _may_be_picture(observation_spec):
        raise errors.ConfigError(
            'conv_torso needs a picture, such as uint8 [height, width, channels] or stacked '
            f'frames [K, height, width], and is given {_in_words(observation_spec)}: use '
            '@mlp_torso here'
        )
    size, order = _layout(observation_spec)
    small = layers is None and not _fits(NATURE, size)
    if layers is None:
        layers = SMALL if small else NATURE
    if units is None:
        units = SMALL_UNITS if small else ()
    _check_layers(layers, size)
    is_bytes = observation_spec.dtype == tf.uint8 and _all_bytes(observation_spec)
    torso = tf.keras.Sequential(
        [
            ChannelsLast(dtype_policy, order)
            if is_bytes
            else ScaledChannelsLast(dtype_policy, order, observation_spec)
        ]
    )
    for i, (filters, kernel, stride) in enumerate(layers):
        convolution = PixelConv2D if i == 0 and is_bytes else tf.keras.layers.Conv2D
        torso.add(
            convolution(
                filters,
                kernel,
                stride,
                activation='relu',
                kernel_initializer=torsos.make_initializer(kernel_initializer),
                dtype=dtype_policy,
            )
        )
    torso.add(tf.keras.layers.Flatten(dtype=dtype_policy))
    for layer in torsos.dense_stack(units, dtype_policy, kernel_initializer):
        torso.add(layer)
    return torso


def _in_words(spec: Any) -> str:
    if isinstance(spec, tf.TensorSpec):
        return f'{spec.dtype.name} {list(spec.shape)}'
    return f'the parts {", ".join(sorted(spec))}'


def _all_bytes(spec: tf.TensorSpec) -> bool:
    found = encodings.bounds(spec)
    return found is None or (found[0].min() == 0 and found[1].max() == 255)


def _fits(layers: Sequence[Sequence[int]], size: Sequence[int]) -> bool:
    for _, kernel, stride in layers:
        if min(size) < kernel:
            return False
        size = [(n - kernel) // stride + 1 for n in size]
    return True


def _check_layers(layers: Any, frame_size: list[int]) -> None:
    size = list(frame_size)
    for i, (_, kernel, stride) in enumerate(layers):
        if min(size) < kernel:
            raise errors.ConfigError(
                f'conv_torso.layers = {layers}: frames of {frame_size[0]}x{frame_size[1]} are '
                f'{size[0]}x{size[1]} before layer {i + 1}, whose kernel is {kernel}x{kernel}; '
                'use larger frames (atari.frame_height, atari.frame_width) or smaller kernels'
            )
        size = [(n - kernel) // stride + 1 for n in size]


class ChannelsLast(tf.keras.layers.Layer):
    """uint8 [B, ...] -> [B, H, W, C] in the dtype of the products; 0 to 255 stay exact."""

    def __init__(self, dtype_policy: str, order: Sequence[int]):
        super().__init__(dtype=dtype_policy, autocast=False)
        self._order = list(order)

    def call(self, frames: tf.Tensor) -> tf.Tensor:
        """Casts, then moves the channels to the last axis."""
        # Transposing uint8 takes three times as long as transposing bfloat16. `abs` changes
        # nothing, but without it TensorFlow's optimiser would transpose first and cast afterwards.
        return self._moved(tf.abs(tf.cast(frames, self.compute_dtype)))

    def _moved(self, frames: tf.Tensor) -> tf.Tensor:
        if self._order != sorted(self._order):
            frames = tf.transpose(frames, self._order)
        if frames.shape.rank == 3:
            return frames[..., tf.newaxis]
        if frames.shape.rank == 4:
            return frames
        shape = frames.shape.as_list()
        return tf.reshape(frames, [-1, *shape[1:3], int(np.prod(shape[3:]))])


class ScaledChannelsLast(ChannelsLast):
    """Numbers of any dtype, from 0 to 1 between their bounds, as `ChannelsLast` orders them."""

    def __init__(self, dtype_policy: str, order: Sequence[int], spec: tf.TensorSpec):
        super().__init__(dtype_policy, order)
        self._offset, self._divisor = encodings.scaling(spec, floats=True)

    def call(self, frames: tf.Tensor) -> tf.Tensor:
        """Casts, scales, and moves the channels to the last axis."""
        numbers = tf.cast(frames, tf.float32)
        numbers = (numbers - np.float32(self._offset)) / np.float32(self._divisor)
        return self._moved(tf.cast(numbers, self.compute_dtype))


class PixelConv2D(tf.keras.layers.Conv2D):
    """A convolution over x / 255: the small kernel is divided instead of every pixel."""

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """What Keras calls with the layer's inputs and kernel."""
        return super().convolution_op(inputs, kernel / 255)
