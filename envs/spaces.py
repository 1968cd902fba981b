"""Observation spaces, and the arrays that an observation of them is made of.

A `Dict` or a `Tuple`, nested or not, becomes a flat dict of arrays, sorted by name:

    Dict(a=Dict(b=Box), c=Tuple(Discrete, Box))    a_b  c_0  c_1
    Tuple(Discrete, Box)                           observation_0  observation_1

Environment processes import this module, so nothing here imports TensorFlow.
"""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from envs import errors

_MAX_WORDS = 80  # characters of a value or a space in a message


class Part(NamedTuple):
    """One array of an observation."""

    name: str  # in the flat dict
    label: str  # in messages, such as "observation['image'][0]"
    path: tuple[Any, ...]  # keys from the top of the space to the array
    space: gym.Space  # Box, Discrete, MultiDiscrete or MultiBinary


def parts(space: gym.Space, env_name: str) -> list[Part]:
    """The arrays that an observation of `space` is made of, sorted by name.

    Raises:
      EnvError: a part is neither Box, Discrete, MultiDiscrete nor MultiBinary, two parts have
        one name, or there are none.
    """
    found = sorted(_walk(space, (), env_name), key=lambda part: part.name)
    if not found:
        raise errors.EnvError(f"environment '{env_name}': the observation space has no parts")
    for one, other in zip(found, found[1:], strict=False):
        if one.name == other.name:
            raise errors.EnvError(
                f"environment '{env_name}': {one.label} and {other.label} would both be called "
                f"'{one.name}': rename one"
            )
    return found


def _walk(space: Any, path: tuple[Any, ...], env_name: str) -> Iterator[Part]:
    label = label_of(path)
    if isinstance(space, Dict | Tuple):
        for key, below in children(space):
            yield from _walk(below, (*path, key), env_name)
    elif isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary):
        yield Part(_name(path), label, path, space)
    else:
        kind = f'{type(space).__module__}.{type(space).__qualname__}'
        raise errors.EnvError(
            f"environment '{env_name}': {label} has the space {in_short(space)} ({kind}): Box, "
            'Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of these are supported; '
            'encode it as one of them, or leave it out (gymnasium.wrappers.FilterObservation)'
        )


def children(space: Dict | Tuple) -> list[tuple[Any, gym.Space]]:
    """The keys and spaces one level below."""
    if isinstance(space, Dict):
        return list(space.spaces.items())
    return list(enumerate(space.spaces))


def label_of(path: tuple[Any, ...]) -> str:
    """What messages call the part of an observation that the keys `path` lead to."""
    return 'observation' + ''.join(f'[{key!r}]' for key in path) if path else 'the observation'


def _name(path: tuple[Any, ...]) -> str:
    """A name that Python takes as an argument's."""
    name = re.sub(r'\W', '_', '_'.join(map(str, path)), flags=re.ASCII)
    if not name or name[0].isdigit():
        name = f'observation_{name}' if name else 'observation'
    return f'{name}_' if keyword.iskeyword(name) else name


def bounds(space: Any) -> tuple[Any, Any]:
    """The smallest and the largest value of a space that is not Dict or Tuple, inclusive."""
    if isinstance(space, Box):
        return space.low, space.high
    if isinstance(space, Discrete):
        start: Any = space.start  # a NumPy integer
        return start, start + space.n - 1
    if isinstance(space, MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    return np.int8(0), np.int8(1)


def in_short(value: object) -> str:
    """A value or a space for a message: one line, and not a long one."""
    text = ' '.join(repr(value).split()) if not isinstance(value, np.ndarray) else str(value)
    return textwrap.shorten(text, _MAX_WORDS, placeholder=' ...')
