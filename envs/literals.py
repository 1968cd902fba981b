"""Arguments that users give by binding, kept as JSON: constructor arguments of environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.errors import EnvError

_TUPLE = '__tuple__'  # JSON has lists alone, and a constructor may want a tuple


def to_json(name: str, value: Any) -> Any:
    """A value as JSON keeps it; `from_json` gives it back with its types.

    Args:
      name: of the binding, for the error.
      value: numbers, strings, True, False and None, in lists, tuples and dicts with string keys.

    Raises:
      EnvError: the value holds something else.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [to_json(name, each) for each in value]
    if type(value) is tuple:
        return {_TUPLE: [to_json(name, each) for each in value]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: to_json(name, each) for key, each in value.items()}
    raise EnvError(
        f'{name}: {value!r} cannot be kept for whoever plays the policy later: use numbers, '
        'strings, True, False and None, in lists, tuples and dicts with string keys'
    )


def from_json(value: Any) -> Any:
    """What `to_json` was given."""
    if isinstance(value, list):
        return [from_json(each) for each in value]
    if isinstance(value, dict):
        if value.keys() == {_TUPLE}:
            return tuple(from_json(each) for each in value[_TUPLE])
        return {key: from_json(each) for key, each in value.items()}
    return value


def check_arguments(name: str, kwargs: Any) -> None:
    """Raises an EnvError unless `kwargs` are arguments by their names, of values to keep."""
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise EnvError(
            f'{name} = {kwargs!r}: must be a dict of arguments by their names, such as '
            "{'length': 12}"
        )
    to_json(name, kwargs)
