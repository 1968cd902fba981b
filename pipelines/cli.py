"""What every driver does before and around its work: flags, gin, errors, exit codes.

Flags are a run's identity; everything else is gin. Nothing here imports TensorFlow, so
that `--help` and a misspelt flag are answered at once.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import logging
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence

import gin
from absl import flags

_PACKAGE_DIR = pathlib.Path(__file__).parent
_STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
_STORAGE_WORDS = ('No space left on device', 'Disk quota exceeded')


class UserError(Exception):
    """Something the user can mend: one line that names the culprit, the value and the cure."""


def run(
    main: Callable[[], None],
    doc: str,
    flag_values: flags.FlagValues,
    argv: Sequence[str] | None = None,
) -> int:
    """Parses the flags, runs `main`, and returns the exit code.

    0: done, or help was asked for. 2: a user's error, said in one line on standard error.
    130: interrupted before there was anything to save.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(arg in ('-h', '-help', '--help', '--helpfull', '--helpshort') for arg in argv[1:]):
        print(doc.strip() + '\n\nFlags:\n' + _flag_help(flag_values))
        return 0
    try:
        _parse_flags(flag_values, argv)
        main()
    except UserError as e:
        return _fail(e)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    except Exception as e:
        # The packages below know nothing of this one; their errors for users are these.
        from agents.errors import ConfigError
        from envs.errors import EnvError

        if isinstance(e, ConfigError | EnvError):
            return _fail(e)
        if (reason := storage_failure(e)) is not None:
            where = getattr(e, 'filename', None) or 'a file'
            return _fail(
                f'{where} could not be written: {reason}; make room and run the same command: it '
                'goes on from its newest checkpoint'
            )
        raise
    return 0


def define_run_flags(flag_values: flags.FlagValues, gin_file: str) -> tuple[flags.FlagHolder, ...]:
    """A run's identity: --root_dir, --gin_file (its default is given), --gin_bindings, --seed."""
    return (
        flags.DEFINE_string(
            'root_dir', None, 'Directory of this run; made, or gone on with.',
            flag_values=flag_values,
        ),
        flags.DEFINE_string(
            'gin_file', gin_file, 'A gin file: a path, or a name below pipelines/.',
            flag_values=flag_values,
        ),
        flags.DEFINE_multi_string(
            'gin_bindings', [], 'Wins over the file; may be given many times.',
            flag_values=flag_values,
        ),
        flags.DEFINE_integer(
            'seed', 0, 'Of networks, environments and exploration.', lower_bound=0,
            upper_bound=2**31 - 1, flag_values=flag_values,
        ),
    )  # fmt: skip


def define_check_only(flag_values: flags.FlagValues) -> flags.FlagHolder:
    """--check_only: what `compare` asks of every cell before it runs the first."""
    return flags.DEFINE_boolean(
        'check_only', False, 'Make everything, check every binding, and stop: nothing is written.',
        flag_values=flag_values,
    )  # fmt: skip


def existing_file(name: str) -> pathlib.Path | None:
    """The file of that path, or of that name below pipelines/; None where neither is there."""
    candidates = (pathlib.Path(name), _PACKAGE_DIR / name)
    return next((path for path in candidates if path.is_file()), None)


def storage_failure(error: Exception) -> str | None:
    """The disk's words where the disk, not the program, is at fault; else None."""
    if isinstance(error, OSError) and error.errno in _STORAGE_ERRORS:
        return error.strerror
    # TensorFlow wraps the system's message in errors of its own.
    return next((words for words in _STORAGE_WORDS if words in str(error)), None)


def _fail(error: Exception | str) -> int:
    # gin adds lines about which configurable was being called; the first line is ours.
    print(f'error: {_first_line(error)}', file=sys.stderr)
    return 2


def _first_line(error: Exception | str) -> str:
    return str(error).strip().split('\n')[0]


def _parse_flags(flag_values: flags.FlagValues, argv: Sequence[str]) -> None:
    for name in flag_values:
        flag_values[name].unparse()  # what an earlier call in this process was given
    try:
        rest = flag_values(argv)
    except flags.Error as e:
        raise UserError(str(e).replace('\n', ' ')) from e
    if len(rest) > 1:
        raise UserError(f"unexpected argument '{rest[1]}': flags look like --name=value")


def _flag_help(flag_values: flags.FlagValues) -> str:
    rows = []
    for name in sorted(flag_values):
        flag = flag_values[name]
        default = '' if flag.default in (None, []) else f' (default: {flag.default})'
        rows.append(f'  --{name}\n      {flag.help}{default}')
    return '\n'.join(rows)


def check_positive(name: str, value: float) -> None:
    """Raises a UserError that names the parameter where `value` is no number > 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise UserError(f'{name} = {value!r}: must be a positive number')


def check_count(name: str, value: int) -> None:
    """Raises a UserError that names the parameter where `value` is no whole number >= 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f'{name} = {value!r}: must be a whole number, at least 1')


@contextlib.contextmanager
def values_come_from_gin() -> Iterator[None]:
    """While everything is being made: a TypeError or ValueError is a bad value's."""
    try:
        yield
    except (TypeError, ValueError) as e:
        from agents.errors import ConfigError
        from envs.errors import EnvError

        if isinstance(e, ConfigError | EnvError):
            raise
        where = re.search(r"In call to configurable '(\w+)'", str(e))
        name = f' of {where.group(1)}' if where else ''
        raise UserError(f'gin: a value{name} does not fit: {_first_line(e)}') from e


def parse_gin(gin_file: str | None, bindings: Sequence[str]) -> None:
    """Reads a gin file (a path, or a name below pipelines/) and then the bindings.

    Raises:
      UserError: no such file, a configurable or parameter that does not exist (the
        nearest is named), or a value that is not Python.
    """
    gin.clear_config()
    path = existing_file(gin_file) if gin_file else None
    if gin_file and path is None:
        shipped = ', '.join(sorted(p.name for p in (_PACKAGE_DIR / 'configs').glob('*.gin')))
        raise UserError(f"--gin_file='{gin_file}' does not exist; configs/ has: {shipped}")
    gin.add_config_file_search_path(str(_PACKAGE_DIR))
    if path is not None:
        _parse(gin.parse_config_file, str(path))
    from_file = _all_bindings()
    for binding in bindings:
        _parse(gin.parse_config, binding)
    _parse(lambda _: gin.finalize(), ' '.join(bindings) or str(gin_file))  # undefined macros
    now = _all_bindings()
    replaced = [value for name, value in from_file.items() if now[name] != value]
    _orphans.clear()
    _orphans.update(
        name
        for name in from_file
        if any('@' + name.rpartition('.')[0] in value for value in replaced)
    )


# What the file says of things that the command line has put something else in the place of.
_orphans: set[str] = set()


def _parse(parse: Callable[[str], object], source: str):
    logging.disable(logging.ERROR)  # gin logs each place where an included file is not
    try:
        parse(source)
    except (ValueError, SyntaxError, TypeError, KeyError, ImportError, OSError) as e:
        raise UserError(f"gin: in '{source}': {_gin_message(e)}") from e
    finally:
        logging.disable(logging.NOTSET)


def _all_bindings() -> dict[str, str]:
    return _bindings(gin.config_str(max_line_length=10_000))


def _gin_message(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().split('\n')]
    message = lines[0]
    bound = re.search(r"Configurable '([\w.]+)' doesn't have a parameter named '(\w+)'", message)
    if bound:
        import inspect

        name, parameter = bound.groups()
        signature = inspect.signature(gin.get_configurable(name))
        near = difflib.get_close_matches(parameter, signature.parameters, n=3, cutoff=0.4)
        hint = (
            f'did you mean {", ".join(near)}?'
            if near
            else 'it takes ' + ', '.join(signature.parameters)
        )
        return f"'{name}' has no parameter '{parameter}': {hint}"
    if message.startswith("No configurable matching 'atari'"):
        return "this needs ale-py: pip install -c constraints.txt -e '.[atari]'"
    where = next((line for line in lines[1:] if line.startswith('In file')), '')
    return f'{message} {where}'.strip()


def check_every_binding_used() -> None:
    """Raises a UserError for a binding whose configurable was never called.

    What the command line has replaced is forgiven: with `adam.learning_rate=1e-3` on top of
    a file that sets a schedule, the schedule's own bindings are no mistake. Call it when
    everything that will ever be made has been made.
    """
    used = operative_bindings()
    for name, value in _all_bindings().items():
        if name not in _orphans and not any(_configured(name, other) for other in used):
            raise UserError(
                f"gin: the binding '{name} = {value}' is used by nothing in this run: remove it, "
                'or turn on what it configures'
            )


def operative_bindings() -> dict[str, str]:
    """Every parameter that configured something so far: {'configurable.parameter': value}."""
    return _bindings(gin.operative_config_str(max_line_length=10_000))


def _bindings(text: str) -> dict[str, str]:
    """The bindings of a gin config string, continuation lines joined."""
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
    """Whether the binding `bound` is what set the parameter `used`.

    gin shortens names differently in its two listings, so that the common tail decides; a
    binding without a scope holds in every scope.
    """
    bound_scope, _, bound_name = bound.rpartition('/')
    used_scope, _, used_name = used.rpartition('/')
    same_scope = bound_scope in ('', used_scope)
    return same_scope and (
        bound_name == used_name
        or bound_name.endswith('.' + used_name)
        or used_name.endswith('.' + bound_name)
    )


@contextlib.contextmanager
def quiet_native_stderr() -> Iterator[None]:
    """Drops what C++ libraries write to file descriptor 2 meanwhile."""
    sys.stderr.flush()
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)
