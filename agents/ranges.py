"""What a parameter may be, declared once, in the annotation where the parameter is.

    gamma: Share = 0.99
    batch_size: Count = 64
    tau: Annotated[float, number(above=0.0, most=1.0)] = 0.005
    epsilon: Annotated[float | Schedule, scheduled(SHARE)] = 0.05

`agents`, `envs` and `pipelines` all declare theirs so. A declaration imports nothing that takes
time and is evaluated from its text, so `pipelines.declared` knows all of them before TensorFlow is
imported. `checked` holds them wherever a class or function is called.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import math
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

_Made = TypeVar('_Made', bound=Callable[..., Any])


class Range(typing.NamedTuple):
    """The values that a parameter may have."""

    says: str  # completes 'must be ...'
    fits: Callable[[Any], bool]
    of_schedule: Range | None = None  # of what a schedule may give, if one may stand here


def is_whole(value: Any) -> bool:
    """Whether it is a whole number; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a finite number; True and False are not."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def count(least: int = 1, most: int = 10**15) -> Range:
    """Whole numbers from `least` to `most`; beyond 10^15 nothing could be counted."""
    says = f'a whole number, at least {least:_}'
    return Range(
        says if most == 10**15 else f'{says} and at most {most:_}',
        lambda value: is_whole(value) and least <= value <= most,
    )


def number(
    above: float = -math.inf, *, least: float = -math.inf, below: float = math.inf,
    most: float = math.inf,
) -> Range:  # fmt: skip
    """Finite numbers more than `above`, at least `least`, less than `below` and at most `most`."""
    limits = (
        ('more than', above, -math.inf), ('at least', least, -math.inf),
        ('less than', below, math.inf), ('at most', most, math.inf),
    )  # fmt: skip
    words = [f'{words} {limit:g}' for words, limit, none in limits if limit != none]
    return Range(
        ' '.join(['a finite number' if not words else 'a number', ' and '.join(words)]).strip(),
        lambda value: is_number(value) and above < value < below and least <= value <= most,
    )


def one_of(*names: str) -> Range:
    """One of these names."""
    return Range(f'one of {names}', lambda value: isinstance(value, str) and value in names)


def or_none(limits: Range) -> Range:
    """The range `limits`, with None allowed too."""
    return limits._replace(
        says=f'{limits.says}, or None', fits=lambda value: value is None or limits.fits(value)
    )


def scheduled(limits: Range, of_schedule: Range | None = None) -> Range:
    """A number within `limits`, or a schedule whose values are within `of_schedule`.

    Args:
      limits: of a number.
      of_schedule: of a schedule's values, if they may be others.
    """
    inner = of_schedule or limits

    def fits(value: Any) -> bool:
        ends = getattr(value, 'ends', ())
        return limits.fits(value) or (callable(value) and all(map(inner.fits, ends)))

    says = f'{limits.says}, or a schedule of such numbers, as in @a/LinearSchedule()'
    return Range(says, fits, inner)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_class_with_arguments(value: Any) -> bool:
    name, arguments = value if _is_sequence(value) and len(value) == 2 else (value, {})
    return isinstance(name, str) and isinstance(arguments, dict)


def _are_widths(value: Any) -> bool:
    return _is_sequence(value) and len(value) <= 64 and all(map(_WIDTH.fits, value))


def _are_convolutions(value: Any) -> bool:
    return (
        _is_sequence(value)
        and 1 <= len(value) <= 64
        and all(_is_sequence(row) and len(row) == 3 and all(map(_WIDTH.fits, row)) for row in value)
    )


_WIDTH = count(most=16_384)
COUNT = count()
POSITIVE = Range('a positive number', lambda value: is_number(value) and value > 0)
NOT_NEGATIVE = number(least=0.0)._replace(says='a number, 0 or more')
FINITE = number()
SHARE = Range('a number between 0 and 1', lambda value: is_number(value) and 0 <= value <= 1)
SWITCH = Range('True or False', lambda value: isinstance(value, bool))
SECONDS = number(above=0.0, most=10_000_000.0)
MAKER = Range('a function that gin knows, such as @my_function', callable)
MAKERS = Range(
    'a list of functions that gin knows, such as [@my_function]',
    lambda value: _is_sequence(value) and all(map(callable, value)),
)
MAKERS_BY_NAME = Range(
    "a dict of functions that gin knows, such as {'image': @conv_torso}",
    lambda value: isinstance(value, Mapping) and all(map(callable, value.values())),
)
OPTIMIZER = Range(
    'a function that makes an optimizer, such as @my_optimizer',
    lambda value: callable(value) or hasattr(value, 'apply_gradients'),
)
NAME = Range('a name in quotes', lambda value: isinstance(value, str))
NAMES = Range(
    "a list of names in quotes, such as ['a', 'b']",
    lambda value: _is_sequence(value) and all(isinstance(v, str) for v in value),
)
CLASSES = Range(
    "a list of 'module:Class' or ('module:Class', {'argument': value})",
    lambda value: _is_sequence(value) and all(map(_is_class_with_arguments, value)),
)
LIST = Range('a list, such as [first, second]', _is_sequence)
ARGUMENTS = Range(
    "a dict of arguments by their names, such as {'length': 12}",
    lambda value: isinstance(value, Mapping) and all(isinstance(name, str) for name in value),
)
UNITS = Range(
    'whole numbers >= 1, one per layer, such as (64, 64), at most 64 of at most 16_384', _are_widths
)
CONVOLUTIONS = Range(
    '(filters, kernel size, stride) for each layer, whole numbers >= 1, at most 16_384',
    _are_convolutions,
)
SCHEDULE_VALUE = FINITE._replace(says='a finite number, within what takes the schedule')

Count = Annotated[int, COUNT]
Counted = Annotated[int, count(least=0)]  # from 0 on
OptionalCount = Annotated[int | None, or_none(COUNT)]
Positive = Annotated[float, POSITIVE]
OptionalPositive = Annotated[float | None, or_none(POSITIVE)]
NotNegative = Annotated[float, NOT_NEGATIVE]
Finite = Annotated[float, FINITE]
Share = Annotated[float, SHARE]
OptionalShare = Annotated[float | None, or_none(SHARE)]
Seconds = Annotated[float, SECONDS]
Switch = Annotated[bool, SWITCH]
OptionalSwitch = Annotated[bool | None, or_none(SWITCH)]
Name = Annotated[str, NAME]
OptionalName = Annotated[str | None, or_none(NAME)]
Names = Annotated[Sequence[str], NAMES]
# 'module:Class' each, or with the arguments of its constructor: ('module:Class', {...}).
Classes = Annotated[Sequence[Any], CLASSES]
OptionalArguments = Annotated[Mapping[str, Any] | None, or_none(ARGUMENTS)]
OptionalMaker = Annotated[Callable[..., Any] | None, or_none(MAKER)]
Maker = Annotated[Callable[..., Any], MAKER]
Makers = Annotated[Sequence[Any], MAKERS]
OptionalMakersByName = Annotated[Mapping[str, Any] | None, or_none(MAKERS_BY_NAME)]
List = Annotated[Sequence[Any], LIST]
OptionalOptimizer = Annotated[Any, or_none(OPTIMIZER)]
Units = Annotated[Sequence[int], UNITS]
OptionalUnits = Annotated[Sequence[int] | None, or_none(UNITS)]
OptionalConvolutions = Annotated[Sequence[Sequence[int]] | None, or_none(CONVOLUTIONS)]
# Of weights; the second is Keras's default for its layers.
Initializer = Annotated[str, one_of('he_normal', 'glorot_uniform')]
ScheduleValue = Annotated[float, SCHEDULE_VALUE]  # what takes the schedule says more


def problem(name: str, value: Any, limits: Range) -> str | None:
    """One line that names parameter, value and cure; None if `value` is within `limits`."""
    if limits.fits(value):
        return None
    shown = repr(value)
    shown = shown if len(shown) <= 200 else f'{shown[:200]} ...'
    return f'{name} = {shown}: must be {limits.says}{_in_range(value, limits)}'


def _in_range(value: Any, limits: Range) -> str:
    """How the same value would be within `limits`: 1e6 as a whole number, '64' without quotes."""
    meant = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            meant = ast.literal_eval(value)
    if isinstance(meant, float) and meant.is_integer() and not limits.fits(meant):
        meant = int(meant)
    fits = meant is not value and limits.fits(meant)
    words = f'{meant:_}' if is_whole(meant) else repr(meant)
    return f'; write {words}' if fits else ''


def of_annotation(text: str, names: Mapping[str, Any]) -> Range | None:
    """The range in an annotation; None if it has none, or its names are not known.

    Args:
      text: of the annotation.
      names: what names mean in its module.
    """
    try:
        hint = eval(text, {**names})
    except Exception:  # a name that only type checkers import, for example
        return None
    return next((m for m in getattr(hint, '__metadata__', ()) if isinstance(m, Range)), None)


def declared(function: Callable[..., Any]) -> Iterator[tuple[str, Range]]:
    """(parameter, range) of each parameter of a function, or of a class's constructor."""
    made_by = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
    annotations = getattr(made_by, '__annotations__', {})
    names = getattr(made_by, '__globals__', {})
    for parameter, hint in annotations.items():
        text = hint if isinstance(hint, str) else 'hint'
        limits = of_annotation(text, names if isinstance(hint, str) else {'hint': hint})
        if limits is not None and parameter != 'return':
            yield parameter, limits


def checked(error: type[Exception]) -> Callable[[_Made], _Made]:
    """A decorator: calls with an argument out of its declared range raise `error`.

    Args:
      error: raised with one line that names 'function.parameter', the value and the cure.
    """

    def decorate(made: _Made) -> _Made:
        function: Any = made.__init__ if inspect.isclass(made) else made  # type: ignore[misc]
        signature, limits = inspect.signature(function), dict(declared(function))

        @functools.wraps(function)
        def check_and_call(*args: Any, **kwargs: Any) -> Any:
            with contextlib.suppress(TypeError):  # the call itself says what is missing
                given = signature.bind(*args, **kwargs).arguments
                for parameter in filter(limits.__contains__, given):
                    name = f'{made.__name__}.{parameter}'
                    words = problem(name, given[parameter], limits[parameter])
                    if words is not None:
                        raise error(words)
            return function(*args, **kwargs)

        if not inspect.isclass(made):
            return typing.cast(_Made, check_and_call)
        made.__init__ = check_and_call  # type: ignore[misc]
        return made  # type: ignore[return-value]

    return decorate
