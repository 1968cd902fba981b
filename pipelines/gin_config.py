"""Strict gin: a misspelt or unused binding is an error that names it."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import logging
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence

import gin

from pipelines import files
from pipelines.errors import UserError

# Bindings of a file for something that a file which includes it, or the command line, has replaced.
_orphans: set[str] = set()


def parse(gin_file: str | None, bindings: Sequence[str]) -> None:
    """Parses a gin file (a path, or a name below pipelines/) and then the bindings.

    Raises:
      UserError: the file, a configurable or a parameter does not exist (the message suggests
        the nearest parameter), or a value cannot be parsed.
    """
    gin.clear_config()
    path = files.existing_file(gin_file) if gin_file else None
    if gin_file and path is None:
        shipped = ', '.join(sorted(p.name for p in (files.PACKAGE_DIR / 'configs').glob('*.gin')))
        raise UserError(f"--gin_file='{gin_file}' does not exist; configs/ has: {shipped}")
    gin.add_config_file_search_path(str(files.PACKAGE_DIR))
    layers: list[dict[str, str]] = []  # the bindings of each file alone, the included ones first
    for file in [*_included(path), path] if path is not None else []:
        gin.clear_config()
        _parse(gin.parse_config_file, str(file))
        layers.append(_all_bindings())
    for binding in bindings:
        _parse(gin.parse_config, binding)
    # Finds undefined macros.
    _parse(lambda _: gin.finalize(), ' '.join(bindings) or str(gin_file))
    now = _all_bindings()
    of_files = [item for layer in layers for item in layer.items()]
    replaced = [value for name, value in of_files if now[name] != value]
    _orphans.clear()
    _orphans.update(
        name
        for name, _ in of_files
        if any('@' + name.rpartition('.')[0] in value for value in replaced)
    )


def _included(path: pathlib.Path, seen: tuple[pathlib.Path, ...] = ()) -> list[pathlib.Path]:
    """The files that a gin file includes, and those that they include, the deepest first."""
    text = path.read_text(errors='replace')  # whatever is wrong with it, gin says so
    found: list[pathlib.Path] = []
    for name in re.findall(r"^include\s+['\"](.+)['\"]", text, re.MULTILINE):
        included = files.existing_file(name)
        if included is not None and included not in (path, *seen, *found):
            below = _included(included, (path, *seen))
            found += [file for file in (*below, included) if file not in found]
    return found


def _parse(parse: Callable[[str], object], source: str) -> None:
    logging.disable(logging.ERROR)  # gin logs every directory that lacks an included file
    try:
        parse(source)
    except (ValueError, SyntaxError, TypeError, KeyError, ImportError, OSError) as e:
        raise UserError(f"gin: in '{source}': {_message(e)}") from e
    finally:
        logging.disable(logging.NOTSET)


# Renamed parameters, and the binding to use instead.
_RENAMED = {('train_ddqn', 'categorical'): "train_ddqn.distribution = 'categorical'"}


def _message(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().split('\n')]
    message = lines[0]
    bound = re.search(r"Configurable '([\w.]+)' doesn't have a parameter named '(\w+)'", message)
    if bound:
        name, parameter = bound.groups()
        return f"'{name}' has no parameter '{parameter}': {_cure(name, parameter)}"
    if message.startswith("No configurable matching 'atari'"):
        return "this needs ale-py: pip install -c constraints.txt -e '.[atari]'"
    where = next((line for line in lines[1:] if line.startswith('In file')), '')
    return f'{message} {where}'.strip()


def _cure(name: str, parameter: str) -> str:
    if renamed := _RENAMED.get((name, parameter)):
        return f'use {renamed} instead'
    parameters = inspect.signature(gin.get_configurable(name)).parameters
    near = difflib.get_close_matches(parameter, parameters, n=3, cutoff=0.4)
    return f'did you mean {", ".join(near)}?' if near else 'it takes ' + ', '.join(parameters)


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

    A file's bindings that the command line, or a file that includes it, made idle are accepted:
    with `adam.learning_rate=1e-3` on top of a file that sets a schedule, the schedule's bindings
    are not a mistake. Call it when everything has been built.
    """
    used = operative_bindings()
    for name, value in _all_bindings().items():
        if name not in _orphans and not any(_configured(name, other) for other in used):
            raise UserError(
                f"gin: the binding '{name} = {value}' is used by nothing in this run: remove it, "
                'or switch on what it configures'
            )


def operative_bindings() -> dict[str, str]:
    """Returns all parameters that gin has set so far: {'configurable.parameter': value}."""
    return _bindings(gin.operative_config_str(max_line_length=10_000))


def _all_bindings() -> dict[str, str]:
    return _bindings(gin.config_str(max_line_length=10_000))


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


def _configured(bound: str, used: str) -> bool:
    """Whether the binding `bound` set the parameter `used`.

    gin shortens names differently in its two listings, so the common tail decides; a binding
    without a scope applies in every scope.
    """
    bound_scope, _, bound_name = bound.rpartition('/')
    used_scope, _, used_name = used.rpartition('/')
    same_scope = bound_scope in ('', used_scope)
    return same_scope and (
        bound_name == used_name
        or bound_name.endswith('.' + used_name)
        or used_name.endswith('.' + bound_name)
    )
