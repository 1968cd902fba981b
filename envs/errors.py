"""The one error of this package that users can put right, and a check that raises it."""

from __future__ import annotations

from agents import ranges


class EnvError(ValueError):
    """An environment that does not exist, cannot be made, or does not fit; says what would.

    Where an environment's own code raised, `traceback` is its traceback as text; elsewhere None.
    """

    def __init__(self, message: object, traceback: str | None = None):
        super().__init__(message)
        # Not an attribute of the class: gin's copies of exceptions would show that one.
        self.traceback = traceback


def check_whole_number(name: str, value: object, at_least: int) -> None:
    """Raises an EnvError that names the parameter unless `value` is an int >= `at_least`.

    True and False do not count as numbers.
    """
    if words := ranges.problem(name, value, ranges.count(at_least)):
        raise EnvError(words)
