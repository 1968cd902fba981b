"""Errors that a user can fix, and the ranges of settings.

A range is declared once, in the annotation of the field that it belongs to:

    gamma: Share = 0.99
    batch_size: Count = 64

`check_fields` checks every field of a settings object against its annotation.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any


class UserError(Exception):
    """An error that the user can fix: one line that names the culprit, the value and the cure."""


class Range(typing.NamedTuple):
    """The values that a parameter may have."""

    says: str  # completes 'must be ...'
    fits: Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or isinstance(value, float)


def _is_class_with_arguments(value: Any) -> bool:
    name, arguments = value if isinstance(value, list | tuple) and len(value) == 2 else (value, {})
    return isinstance(name, str) and isinstance(arguments, dict)


COUNT = Range('a whole number, at least 1', lambda value: _is_whole(value) and value >= 1)
POSITIVE = Range('a positive number', lambda value: _is_number(value) and value > 0)
SHARE = Range('a number between 0 and 1', lambda value: _is_number(value) and 0 <= value <= 1)
SWITCH = Range('True or False', lambda value: isinstance(value, bool))
MAKER = Range('a function that gin knows, such as @my_function', callable)
OPTIMIZER = Range(
    'a function that makes an optimizer, such as @my_optimizer',
    lambda value: callable(value) or hasattr(value, 'apply_gradients'),
)
NAME = Range('a name in quotes', lambda value: isinstance(value, str))
NAMES = Range(
    "a list of names in quotes, such as ['a', 'b']",
    lambda value: isinstance(value, list | tuple) and all(isinstance(v, str) for v in value),
)
CLASSES = Range(
    "a list of 'module:Class' or ('module:Class', {'argument': value})",
    lambda value: isinstance(value, list | tuple) and all(map(_is_class_with_arguments, value)),
)


def or_none(limits: Range) -> Range:
    """The range `limits`, with None allowed too."""
    return Range(f'{limits.says}, or None', lambda value: value is None or limits.fits(value))


Count = Annotated[int, COUNT]
OptionalSwitch = Annotated[bool | None, or_none(SWITCH)]
OptionalCount = Annotated[int | None, or_none(COUNT)]
Positive = Annotated[float, POSITIVE]
Share = Annotated[float, SHARE]
Switch = Annotated[bool, SWITCH]
Name = Annotated[str, NAME]
OptionalName = Annotated[str | None, or_none(NAME)]
Names = Annotated[Sequence[str], NAMES]
# 'module:Class' each, or with the arguments of its constructor: ('module:Class', {...}).
Classes = Annotated[Sequence[Any], CLASSES]
OptionalMaker = Annotated[Callable[..., Any] | None, or_none(MAKER)]
OptionalOptimizer = Annotated[Any, or_none(OPTIMIZER)]


def check(name: str, value: Any, limits: Range) -> None:
    """Raises a UserError that names the parameter if `value` is not within `limits`."""
    if not limits.fits(value):
        raise UserError(f'{name} = {value!r}: must be {limits.says}{_in_range(value, limits)}')


def _in_range(value: Any, limits: Range) -> str:
    """How the same value would be within `limits`: 1e6 as a whole number, '64' without quotes."""
    meant = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError, SyntaxError):
            meant = ast.literal_eval(value)
    if isinstance(meant, float) and meant.is_integer() and not limits.fits(meant):
        meant = int(meant)
    fits = meant is not value and limits.fits(meant)
    words = f'{meant:_}' if isinstance(meant, int) and not isinstance(meant, bool) else repr(meant)
    return f'; write {words}' if fits else ''


def check_fields(name: str, settings: Any) -> None:
    """Checks each field of a dataclass against the range in its annotation.

    Args:
      name: name of the configurable, such as 'train_ddqn'.
      settings: a dataclass instance; fields without a `Range` are not checked.

    Raises:
      UserError: a value is out of range.
    """
    hints = typing.get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        for limits in getattr(hints[field.name], '__metadata__', ()):
            if isinstance(limits, Range):
                check(f'{name}.{field.name}', getattr(settings, field.name), limits)
