"""Strict gin: a misspelt or unused binding is an error that names it."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import io
import logging
import pathlib
import re
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence

import gin

from pipelines import files, vocabulary
from pipelines.errors import UserError

# Bindings of a file that a later layer (a file that includes it, or the command line) made idle.
_orphans: set[str] = set()
_INCLUDE = re.compile(r"^(\s*include\s+)(['\"])(.+?)\2", re.MULTILINE)
_OURS = 'included:'  # before a path that gin is to read by `_open`
_PLAIN = re.compile(r'[-+.\d(\[]')  # how numbers and tuples of them begin


def parse(gin_file: str | None, bindings: Sequence[str]) -> None:
    """Parses a gin file (a path, or a name below pipelines/) and then the bindings.

    A file that another one includes is looked for beside that one, then in the working directory,
    then below pipelines/.

    Raises:
      UserError: the file, a configurable or a parameter does not exist (the message suggests
        what to write), or a value cannot be parsed.
    """
    gin.clear_config()
    path = files.existing_file(gin_file) if gin_file else None
    if gin_file and path is None:
        shipped = ', '.join(sorted(p.name for p in (files.PACKAGE_DIR / 'configs').glob('*.gin')))
        raise UserError(f"--gin_file='{gin_file}' does not exist; configs/ has: {shipped}")
    gin.config.register_file_reader(_open, lambda name: name.startswith(_OURS))
    layers: list[dict[str, str]] = []  # the bindings of each file alone, the included ones first
    for file in [*_included(path), path] if path is not None else []:
        gin.clear_config()
        _parse(gin.parse_config_file, f'{_OURS}{file}', str(file))
        layers.append(_all_bindings())
    for binding in bindings:
        _parse(gin.parse_config, _resolved(binding, pathlib.Path('.')), binding)
    # Finds undefined macros.
    _parse(lambda _: gin.finalize(), '', ' '.join(bindings) or str(gin_file))
    _orphans.clear()
    _orphans.update(_made_idle([*layers, _all_bindings()]))


def _made_idle(layers: Sequence[Mapping[str, str]]) -> set[str]:
    """The bindings that may have become idle because a later layer chose something else.

    A choice is whatever is not a number: a reference, a switch, a name. With
    `train_ddqn.noisy = False` on top of a file that is about noisy layers, what the file binds
    for them is not a mistake.
    """
    idle: set[str] = set()
    before: dict[str, str] = {}
    for layer in layers:
        for name, value in layer.items():
            was = before[name] if name in before else _default(name)
            if was != value and not (_PLAIN.match(value) and _PLAIN.match(was)):
                idle |= before.keys()
                break
        before |= layer
    return idle


def _default(name: str) -> str:
    """A parameter's default as gin writes it, or '' where it has none."""
    configurable, _, parameter = name.rpartition('/')[2].rpartition('.')
    try:
        parameters = inspect.signature(gin.get_configurable(configurable)).parameters
    except ValueError:  # a macro
        return ''
    default = parameters[parameter].default if parameter in parameters else inspect.Parameter.empty
    return '' if default is inspect.Parameter.empty else repr(default)


@contextlib.contextmanager
def _open(name: str) -> Iterator[io.StringIO]:
    """Opens a gin file, whose includes gin then finds where `_find` does."""
    path = pathlib.Path(name.removeprefix(_OURS))
    text = io.StringIO(_resolved(path.read_text(), path.parent))
    text.name = str(path)  # for gin's messages
    yield text


def _resolved(text: str, directory: pathlib.Path) -> str:
    """Gin's text, each file that it includes found."""

    def found(match: re.Match[str]) -> str:
        path = _find(match.group(3), directory)
        return match.group(0) if path is None else f"{match.group(1)}'{_OURS}{path}'"

    return _INCLUDE.sub(found, text)


def _find(name: str, directory: pathlib.Path) -> pathlib.Path | None:
    """The file that a gin file in `directory` includes by this name."""
    beside = directory / name
    return beside if beside.is_file() else files.existing_file(name)


def _included(path: pathlib.Path, above: tuple[pathlib.Path, ...] = ()) -> list[pathlib.Path]:
    """The files that a gin file includes, and those that they include, the deepest first.

    Raises:
      UserError: a file does not exist, or includes itself.
    """
    text = path.read_text(errors='replace')  # whatever is wrong with it, gin says so
    found: list[pathlib.Path] = []
    for _, _, name in _INCLUDE.findall(text):
        included = _find(name, path.parent)
        if included is None:
            raise UserError(
                f"gin: '{path}' includes '{name}', which is neither beside it nor in the working "
                'directory nor below pipelines/'
            )
        if included.resolve() in [file.resolve() for file in (path, *above)]:
            raise UserError(f"gin: '{path}' includes '{name}', which leads back to itself")
        below = _included(included, (path, *above))
        found += [file for file in (*below, included) if file not in found]
    return found


def _parse(parse: Callable[[str], object], text: str, source: str) -> None:
    logging.disable(logging.ERROR)  # gin logs every directory that lacks an included file
    try:
        parse(text)
    except (
        ValueError, SyntaxError, TypeError, KeyError, ImportError, OSError, tokenize.TokenError,
    ) as e:  # fmt: skip
        raise UserError(f"gin: in '{source}': {_message(e, source)}") from e
    finally:
        logging.disable(logging.NOTSET)


# Renamed parameters, and the binding to use instead.
_RENAMED = {('train_ddqn', 'categorical'): "train_ddqn.distribution = 'categorical'"}


def _message(error: Exception, source: str) -> str:
    lines = [line.strip() for line in str(error).strip().split('\n')]
    message = lines[0]
    name, has_value, value = (part.strip() for part in source.partition('='))
    bound = re.search(r"Configurable '([\w.]+)' doesn't have a parameter named '(\w+)'", message)
    if bound:
        configurable, parameter = bound.groups()
        cure = _cure(configurable, parameter, value if has_value else None)
        return f"'{configurable}' has no parameter '{parameter}': {cure}"
    if message.startswith("No configurable matching 'atari'"):
        return "this needs ale-py: pip install -c constraints.txt -e '.[atari]'"
    where = next((line for line in lines[1:] if line.startswith('In file')), '')
    if message.startswith(('malformed node', 'Unable to parse', "('EOF", 'Expected newline')):
        if not where and re.fullmatch(r'[\w./]+', name) and re.fullmatch(r'[\w./:\'"-]+', value):
            if _is_configurable(value):
                return f'{value} needs an @: write --gin_bindings="{name} = @{value}"'
            return (
                f'{value} is not a Python value (a shell takes quotes away): write '
                f'{vocabulary.binding(name, value)}'
            )
        message = (
            'the value is not a Python value: text needs quotes, brackets come in pairs, and '
            'commas between what they hold'
        )
    if not where and not has_value and message.startswith("Couldn't parse statement"):
        name, _, value = source.strip().partition(' ')
        cure = vocabulary.binding(name, value) if value else f'--gin_bindings="{name} = VALUE"'
        return f'it has no "=": write {cure}'
    return f'{message} {where}'.strip()


def _cure(name: str, parameter: str, value: str | None) -> str:
    if renamed := _RENAMED.get((name, parameter)):
        return f'use {renamed} instead'
    program = name if name in vocabulary.PROGRAMS else vocabulary.PROGRAM_OF.get(name, 'train_ddqn')
    if cure := vocabulary.what_to_type(program, parameter, value):
        return f'write {cure}'
    signature = inspect.signature(gin.get_configurable(name)).parameters
    parameters = [name for name, p in signature.items() if p.default is not p.empty]
    near = difflib.get_close_matches(parameter, parameters, n=3, cutoff=0.6)
    return f'did you mean {", ".join(near)}?' if near else 'it takes ' + ', '.join(parameters)


def _is_configurable(name: str) -> bool:
    try:
        gin.get_configurable(name)
    except ValueError:
        return False
    return True


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
    are not a mistake (see `_made_idle`). Call it when everything has been built.
    """
    used = operative_bindings()
    for name, value in _all_bindings().items():
        if name not in _orphans and not any(_configured(name, other) for other in used):
            if '.' not in name and (cure := vocabulary.what_to_type('train_ddqn', name, value)):
                raise UserError(f"gin: '{name} = {value}' names no setting: write {cure}")
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
        if not line.strip() or line.startswith(('#', 'import ', 'from ')):
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
    if '.' not in bound:  # a macro
        return bound == used
    bound_scope, _, bound_name = bound.rpartition('/')
    used_scope, _, used_name = used.rpartition('/')
    same_scope = bound_scope in ('', used_scope)
    return same_scope and (
        bound_name == used_name
        or bound_name.endswith('.' + used_name)
        or used_name.endswith('.' + bound_name)
    )
