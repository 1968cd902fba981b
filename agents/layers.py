"""Layers that a function of the user's may make: made, called, and blamed for what goes wrong."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from agents import errors

_LAYER_FAILED = 'Exception encountered when calling'  # how Keras begins


def made_by(
    make: Callable[..., Any], observation_spec: Any, dtype_policy: str
) -> tf.keras.layers.Layer:
    """The layer that a torso's factory makes.

    Raises:
      ConfigError: it makes something else.
    """
    made = make(observation_spec, dtype_policy)
    if not isinstance(made, tf.keras.layers.Layer):
        raise errors.ConfigError(f'{name_of(make)} returns {made!r}: it must return a Keras layer')
    return made


def features(torso: tf.keras.layers.Layer, observation: Any, training: bool) -> tf.Tensor:
    """[B, F]: what a torso gives; raises what `checked` raises."""
    return checked(apply(torso, observation, training))


def checked(given: Any, of: str = 'it') -> tf.Tensor:
    """[B, F]: what a torso has given; a ConfigError, which begins with `of`, for another form."""
    if not tf.is_tensor(given) or given.shape.rank != 2:
        shape = f'[B, {", ".join(map(str, given.shape[1:]))}]' if tf.is_tensor(given) else given
        raise errors.ConfigError(f'{of} gives {shape}, and must give features [B, F]')
    return given


@contextlib.contextmanager
def blamed_on(make: Callable[..., Any], observation_spec: Any) -> Iterator[None]:
    """What a torso's layer raises within it becomes a ConfigError of one line that names both."""
    try:
        yield
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as e:
        lines = [line.strip() for line in str(e).splitlines() if line.strip()]
        reason = next((x for x in lines if not x.startswith(_LAYER_FAILED)), type(e).__name__)
        raise errors.ConfigError(
            f'{name_of(make)} on the observation {in_words(observation_spec)}: {reason}'
        ) from e


def name_of(make: Callable[..., Any]) -> str:
    """What a binding calls a torso or a network, such as '@mlp_torso'."""
    return f'@{getattr(make, "__name__", make)}'


def apply(layer: tf.keras.layers.Layer, inputs: Any, training: bool) -> tf.Tensor:
    """What a layer gives, be it one that is told whether it is trained or one that is not."""
    if 'training' in inspect.signature(layer.call).parameters:
        return layer(inputs, training=training)
    return layer(inputs)


def in_words(spec: Any) -> str:
    """An observation's spec for a message, such as 'uint8 [84, 84, 3]'."""
    if isinstance(spec, Mapping):
        return 'a dict of ' + ', '.join(f'{name}: {in_words(part)}' for name, part in spec.items())
    return f'{spec.dtype.name} {spec.shape.as_list()}'
