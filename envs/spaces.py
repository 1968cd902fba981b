"""Spaces: the arrays that an agent is given of observations, and what its actions are.

A `Dict` or a `Tuple`, nested or not, becomes a flat dict of arrays, sorted by name:

    Dict(a=Dict(b=Box), c=Tuple(Discrete, Box))    a_b  c_0  c_1
    Tuple(Discrete, Box)                           observation_0  observation_1

An array keeps its dtype where TensorFlow can carry it: bool, int8 to int64, uint8, uint16 and
float32. float16 and float64 become float32, uint32 becomes int64, and so does uint64 unless its
bounds are too large: then it becomes float32. A `MultiDiscrete` has a spec by the name
'categories', of rank 1: each of its elements stands for a category, where any other array of
numbers is a measurement.
"""

from __future__ import annotations

import dataclasses
import functools
import keyword
import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from envs import errors

if TYPE_CHECKING:
    from tf_agents.specs import array_spec

_CARRIED = tuple(
    np.dtype(name)
    for name in ('bool', 'int8', 'uint8', 'int16', 'uint16', 'int32', 'int64', 'float32')
)
_MAX_WORDS = 80  # characters of a value or a space in a message


@dataclasses.dataclass(frozen=True)
class Part:
    """One array of an observation."""

    name: str  # in the flat dict
    label: str  # in messages, such as "observation['image'][0]"
    path: tuple[Any, ...]  # keys from the top of the space to the array
    space: gym.Space  # Box, Discrete, MultiDiscrete or MultiBinary

    @functools.cached_property
    def spec(self) -> array_spec.ArraySpec:
        """What TF-Agents is told of it."""
        return _spec(self.space)


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


def _spec(space: Any) -> array_spec.ArraySpec:
    from tf_agents.specs import array_spec  # environment processes do without TensorFlow

    low, high = (np.asarray(bound) for bound in bounds(space))
    dtype = np.dtype(space.dtype)
    if dtype not in _CARRIED:
        whole = dtype.kind == 'u' and int(high.max(initial=0)) <= np.iinfo(np.int64).max
        dtype = np.dtype(np.int64 if whole else np.float32)
    if dtype.kind == 'b':  # has no bounds
        return array_spec.ArraySpec(space.shape, dtype, name='observation')
    with np.errstate(over='ignore'):  # float64's bounds become float32 infinities
        low, high = low.astype(dtype), high.astype(dtype)
    if isinstance(space, MultiDiscrete):
        low, high = low.ravel(), high.ravel()
        return array_spec.BoundedArraySpec(low.shape, dtype, low, high, name='categories')
    return array_spec.BoundedArraySpec(space.shape, dtype, low, high, name='observation')


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


def action_spec(space: gym.Space, env_name: str) -> array_spec.BoundedArraySpec:
    """The spec of one environment's actions, in the environment's own numbers.

    Raises:
      EnvError: the space is not Discrete, MultiDiscrete, MultiBinary or Box.
    """
    from tf_agents.specs import array_spec

    if not isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary):
        raise errors.EnvError(
            f"environment '{env_name}' has the action space {space}: Discrete, MultiDiscrete, "
            'MultiBinary and Box are supported'
        )
    low, high = (np.asarray(bound) for bound in bounds(space))
    dtype = np.dtype(space.dtype)
    if dtype.kind == 'f':
        dtype = np.dtype(np.float32)
    with np.errstate(over='ignore'):  # float64's bounds become float32 infinities
        low, high = low.astype(dtype), high.astype(dtype)
    return array_spec.BoundedArraySpec(space.shape, dtype, low, high, name='action')
