"""Errors that a user can fix, and checks of values that raise them."""

from __future__ import annotations

import dataclasses
from typing import Any

from agents import ranges


class UserError(Exception):
    """An error that the user can fix: one line that names the culprit, the value and the cure."""


def check(name: str, value: Any, limits: ranges.Range) -> None:
    """Raises a UserError that names the parameter if `value` is not within `limits`."""
    words = ranges.problem(name, value, limits)
    if words is not None:
        raise UserError(words)


def check_fields(name: str, settings: Any) -> None:
    """Checks each field of a dataclass against the range in its annotation.

    Args:
      name: name of the configurable, such as 'train_ddqn'.
      settings: a dataclass instance; fields without a `Range` are not checked.

    Raises:
      UserError: a value is out of range.
    """
    limits = dict(ranges.declared(type(settings)))
    for field in dataclasses.fields(settings):
        if field.name in limits:
            check(f'{name}.{field.name}', getattr(settings, field.name), limits[field.name])
