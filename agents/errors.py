"""The one error of this package that a user can fix."""

from __future__ import annotations


class ConfigError(ValueError):
    """A value that no agent can be built from.

    The message is one line: the parameter, its value, and what to do. A parameter that gin binds
    on a class or function of this package is named with it (`QLearningAgent.tau = 2.0: ...`); one
    that the caller passes is named alone (`target = 'hrad': ...`), and a program may put its own
    name in front.
    """


def is_count(value: object, least: int = 1) -> bool:
    """Whether `value` is a whole number (True is not one) of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_count(name: str, value: object, least: int = 1) -> None:
    """Raises a ConfigError that starts with `name` unless `is_count(value, least)`."""
    if not is_count(value, least):
        cure = ''
        if isinstance(value, float) and value.is_integer() and value >= least:
            cure = f'; write {int(value):_}'  # 1e3 is not whole in Python
        raise ConfigError(f'{name} = {value!r}: must be a whole number, at least {least}{cure}')
