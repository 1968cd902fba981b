"""Strict gin: a misspelt or unused binding is an error that names it.

A binding is pardoned for being idle if a later line has replaced what would use it: in a user's
file, in a file that it includes, or on the command line. What this package's own files bind is
always pardoned, since each of them alone binds nothing in vain.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

import gin

from pipelines import files, gin_early, gin_files, gin_messages, gin_values, vocabulary
from pipelines.errors import UserError
from pipelines.gin_files import Bound

_bound: list[Bound] = []  # by the last call of `parse`, in order

# Switches that no binding of anything else depends on, `atari` apart.
_LONE_SWITCHES = ('env_name', 'x_axis', 'log_every_episode', 'overlap', 'fuse_train_steps')


def parse(gin_file: str | None, bindings: Sequence[str], program: str | None = None) -> None:
    """Parses a gin file (a path, or a name below pipelines/) and then the bindings.

    Args:
      gin_file: the file; None for none.
      bindings: from the command line, each one statement.
      program: the program that runs, 'train_ddqn' or 'train_reinforce', to refuse what only the
        other one understands; None for a program of another kind.

    Raises:
      UserError: the file, a configurable or a parameter does not exist (the message suggests
        what to write), or a value cannot be parsed.
    """
    gin.clear_config()
    _bound.clear()
    try:
        _bound.extend(_read(gin_file, bindings, gin_files.Reader()))
    except gin_files.GinError as e:
        raise UserError(gin_messages.in_one_line(e, program or 'train_ddqn')) from e
    try:
        gin.finalize()  # finds undefined macros
    except ValueError as e:
        source = ' '.join(bindings) or str(gin_file)
        raise UserError(gin_messages.undefined(e, source)) from e
    if program is not None:
        _check_program(_bound, program, gin_file)
    gin_values.check(_bound)


def check_early(gin_file: str | None, bindings: Sequence[str], program: str) -> None:
    """Raises what `parse` would, as far as it is known without importing what gin configures.

    Names are judged unless a user's module is imported, which may make more of them known.
    """
    reader, bound = gin_early.EarlyReader(), []
    try:
        for line in _read(gin_file, bindings, reader):
            bound.append(line)
    except gin_files.GinError as e:
        if reader.has_imports:
            return
        raise UserError(gin_messages.in_one_line(e, program)) from e
    _check_program(bound, program, gin_file)
    gin_values.check(bound)


def _read(
    gin_file: str | None, bindings: Sequence[str], reader: gin_files.Reader
) -> Iterator[Bound]:
    path = files.existing_file(gin_file) if gin_file else None
    if gin_file and path is None:
        shipped = ', '.join(sorted(p.name for p in (files.PACKAGE_DIR / 'configs').glob('*.gin')))
        raise UserError(f"--gin_file='{gin_file}' does not exist; configs/ has: {shipped}")
    if path is not None:
        yield from gin_files.bind_file(path, reader)
    for binding in bindings:
        yield from gin_files.bind_text(binding, reader)


def _check_program(lines: Sequence[Bound], program: str, gin_file: str | None) -> None:
    """Raises a UserError for a setting of the other program."""
    for bound in lines:
        other = bound.selector.rpartition('.')[2]
        if other not in vocabulary.PROGRAMS or other == program:
            continue
        if bound.path is not None:
            raise UserError(
                f"--gin_file='{gin_file}' configures {other}, and this is {program}: run "
                f'python -m pipelines.{other} --gin_file={gin_file}, or choose another file'
            )
        ours = vocabulary.what_to_type(program, bound.parameter, repr(bound.value))
        instead = f': write {ours}' if ours else ''
        raise UserError(f"gin: '{bound}' is for {other}, and this is {program}{instead}")


def is_bound(name: str, by_the_user: bool = False) -> bool:
    """Whether a line has bound a parameter, such as 'make_q_network.torso', in any scope.

    Args:
      name: the configurable and its parameter.
      by_the_user: lines of this package's own files do not count.
    """
    return any(
        _configured(name, _full_name(bound))
        for bound in _bound
        if not (by_the_user and bound.is_shipped)
    )


@contextlib.contextmanager
def values_come_from_gin() -> Iterator[None]:
    """Turns a TypeError or ValueError into a UserError, while gin's values build objects."""
    try:
        yield
    except (TypeError, ValueError) as e:
        from agents.errors import ConfigError
        from envs.errors import EnvError

        if isinstance(e, ConfigError | EnvError):
            raise
        where = re.search(r"In call to configurable '(\w+)'", str(e))
        name = f' of {where.group(1)}' if where else ''
        first_line = str(e).strip().split('\n')[0]
        raise UserError(f'gin: a value{name} does not fit: {first_line}') from e


def check_every_binding_used() -> None:
    """Raises a UserError for a binding whose configurable was never called.

    Call it when everything has been built. What is pardoned, the module says: with
    `adam.learning_rate=1e-3` on top of a file that sets a schedule, the schedule's bindings are
    not a mistake.
    """
    used = operative_bindings()
    pardoned = _pardoned(_bound)
    last = {bound.target: i for i, bound in enumerate(_bound)}
    for i in last.values():
        bound = _bound[i]
        if i in pardoned or any(_configured(_full_name(bound), other) for other in used):
            continue
        raise UserError(gin_messages.used_by_nothing(bound))


def _pardoned(bound: Sequence[Bound]) -> set[int]:
    """The places in `bound` of lines that may be used by nothing."""
    found = {i for i, line in enumerate(bound) if line.is_shipped}
    values: dict[tuple[str, str, str], Any] = {}
    for i, line in enumerate(bound):
        before = values.get(line.target, _default(line))
        values[line.target] = line.value
        if repr(before) == repr(line.value):
            continue
        found |= _configures(before, bound[:i])
        if _is_choice(line, before):
            found |= {j for j, other in enumerate(bound[:i]) if _may_depend(other, line)}
    return found


def _configures(value: Any, bound: Sequence[Bound]) -> set[int]:
    """The places in `bound` of what configures the references in `value`, and theirs."""
    found: set[int] = set()
    wanted = list(_references(value))
    while wanted:
        scope, selector = wanted.pop()
        for i, line in enumerate(bound):
            same = f'.{line.selector}'.endswith(f'.{selector}')
            if i not in found and same and gin_values.applies(line.scope, scope):
                found.add(i)
                wanted += _references(line.value)
    return found


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """(scope, selector) of each reference in a value; of a function that is a default, its name."""
    if inspect.isroutine(value) or inspect.isclass(value):
        yield '', value.__name__
    for reference in gin.config.iterate_references(value):
        yield reference.config_key


def _default(line: Bound) -> Any:
    """What the parameter is where nothing binds it."""
    if line.selector == 'gin.macro':
        return None
    parameters = inspect.signature(gin.get_configurable(line.selector)).parameters
    found = parameters.get(line.parameter)
    return None if found is None or found.default is found.empty else found.default


def _is_choice(line: Bound, before: Any) -> bool:
    """Whether what `line` replaces may have used something: a reference, a program's switch."""
    if line.selector.rpartition('.')[2] in vocabulary.PROGRAMS:
        return isinstance(before, bool | str)
    return any(_references(before))


def _may_depend(line: Bound, switch: Bound) -> bool:
    """Whether `line` may be idle because `switch`, a line of elsewhere, turned something off."""
    if line.path == switch.path:
        return False
    if switch.parameter == 'env_name':
        return line.selector.endswith('.atari')
    return switch.parameter not in _LONE_SWITCHES


def operative_bindings() -> dict[str, str]:
    """Returns all parameters that gin has set so far: {'configurable.parameter': value}."""
    return _bindings(gin.operative_config_str(max_line_length=10_000))


def _bindings(text: str) -> dict[str, str]:
    """Parses a gin config string into bindings, with continuation lines joined."""
    joined: list[str] = []
    for line in text.split('\n'):
        if not line.strip() or line.startswith(('#', 'import')):
            continue
        if line.startswith((' ', ')', ']', '}')) and joined:
            joined[-1] += ' ' + line.strip()
        else:
            joined.append(line.replace(' = \\', ' ='))
    return {name.strip(): value.strip() for name, value in (b.split(' =', 1) for b in joined)}


def _full_name(line: Bound) -> str:
    """As gin lists it, but with the complete selector."""
    if line.selector == 'gin.macro':
        return line.scope
    name = f'{line.selector}.{line.parameter}'
    return f'{line.scope}/{name}' if line.scope else name


def _configured(bound: str, used: str) -> bool:
    """Whether the binding `bound` set the parameter `used`.

    gin shortens names, so the common tail decides; a binding without a scope applies in every
    scope.
    """
    if '.' not in bound or '.' not in used:  # a macro
        return bound == used
    bound_scope, _, bound_name = bound.rpartition('/')
    used_scope, _, used_name = used.rpartition('/')
    return gin_values.applies(bound_scope, used_scope) and (
        f'.{bound_name}'.endswith(f'.{used_name}') or f'.{used_name}'.endswith(f'.{bound_name}')
    )
