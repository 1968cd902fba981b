"""Holds every value that gin's lines bind against what its parameter declares.

The lines are read twice: before TensorFlow is imported, when the declarations of this project are
known from their source, and by gin itself, when a user's own modules have been imported too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import gin

from agents import ranges
from pipelines import declared
from pipelines.errors import UserError
from pipelines.gin_files import Bound

_MACRO = 'gin.macro'


class Reference(NamedTuple):
    """`@scope/name` or, if it is called, `@scope/name()`, read without gin's knowing the name."""

    scope: str
    selector: str
    is_called: bool

    def __repr__(self) -> str:
        if self.selector == _MACRO:
            return f'%{self.scope}'
        scope = f'{self.scope}/' if self.scope else ''
        return f'@{scope}{self.selector}{"()" * self.is_called}'

    @classmethod
    def to(cls, scoped: str, is_called: bool) -> Reference:
        """The reference to 'scope/name'."""
        scope, _, selector = scoped.rpartition('/')
        return cls(scope, selector, is_called)


class _Unknown(Exception):
    """A value holds what a function returns, which is not known before it is called."""


def check(bound: Sequence[Bound]) -> None:
    """Raises a UserError for the first value that its parameter does not take.

    Args:
      bound: all lines; of two that bind the same parameter the later one counts.
    """
    last = {line.target: line for line in bound}
    for line in last.values():
        limits = _limits(line)
        if limits is None:
            continue
        if limits.of_schedule is not None and (schedule := _called(line.value)):
            _check_schedule(line, limits.of_schedule, schedule, last.values())
            continue
        try:
            value = _resolved(line.value, last, limits.of_schedule is None)
        except _Unknown:
            continue
        _check(line, value, limits)


def _check(line: Bound, value: Any, limits: ranges.Range, because: str = '') -> None:
    if limits.fits(value):
        return
    words = ranges.problem(line.name, line.value if references(line.value) else value, limits)
    place = f" (it stands in '{line.path}', line {line.line})" if line.path is not None else ''
    raise UserError(f'{words}{because}{place}')


def _check_schedule(taker: Bound, limits: ranges.Range, schedule: Reference, lines: Any) -> None:
    """Holds the values of a schedule against what takes it."""
    name = schedule.selector.rpartition('.')[2]
    found = declared.configurables().get(name)
    for parameter in found.of_schedule if found else ():
        about = [
            line
            for line in lines
            if (_name(line), line.parameter) == (name, parameter)
            and applies(line.scope, schedule.scope)
        ]
        if about:
            narrowest = max(about, key=lambda line: len(line.scope))
            if not references(narrowest.value):
                _check(narrowest, narrowest.value, limits, f', because {taker.name} takes it')


def applies(scope: str, within: str) -> bool:
    """Whether what is bound in `scope` holds in the scope `within`: it, or one around it."""
    return not scope or f'{within}/'.startswith(f'{scope}/')


def _limits(line: Bound) -> ranges.Range | None:
    """What the parameter of a line takes; None if that is not declared."""
    if line.selector == _MACRO:
        return None
    if declared.is_ours(line.selector):
        return declared.parameters(_name(line)).get(line.parameter)
    try:
        return dict(ranges.declared(gin.get_configurable(line.selector))).get(line.parameter)
    except (ValueError, TypeError):  # not known, or not yet
        return None


def _name(line: Bound) -> str:
    return line.selector.rpartition('.')[2]


def _reference(value: Any) -> Reference | None:
    """A reference, gin's own included, as ours."""
    if isinstance(value, Reference):
        return value
    if isinstance(value, gin.config.ConfigurableReference):
        scope, selector = value.config_key
        return Reference(scope, selector, value.evaluate)
    return None


def _called(value: Any) -> Reference | None:
    found = _reference(value)
    return found if found and found.is_called and found.selector != _MACRO else None


def references(value: Any) -> list[Reference]:
    """All references in a value."""
    if found := _reference(value):
        return [found]
    inner: Iterator[Any] = iter(())
    if isinstance(value, Mapping):
        inner = iter([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        inner = iter(value)
    return [each for part in inner for each in references(part)]


def _function() -> None:
    """Stands for any function that a line refers to."""


def _resolved(value: Any, last: Mapping[Any, Bound], takes_functions: bool) -> Any:
    """A value with its macros replaced, and with a function for each reference to one."""
    found = _reference(value)
    if found is not None:
        if found.selector == _MACRO:
            line = last.get((found.scope, _MACRO, 'value'))
            if line is None or found in references(line.value):
                raise _Unknown
            return _resolved(line.value, last, takes_functions)
        if found.is_called:
            raise _Unknown
        return _function if takes_functions else found
    if isinstance(value, Mapping):
        return {k: _resolved(v, last, takes_functions) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_resolved(each, last, takes_functions) for each in value)
    return value
