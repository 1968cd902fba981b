"""Flags, error messages and exit codes, the same in every program.

Flags identify a run; gin configures everything else. Nothing here imports TensorFlow, so
`--help` and a misspelt flag are answered at once.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import select
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from absl import flags

from pipelines import files, other_words
from pipelines.errors import UserError

CHECKED = 'every binding is used, and everything can be built'  # printed by --check_only


def run(
    main: Callable[[], None],
    doc: str | None,
    flag_values: flags.FlagValues,
    argv: Sequence[str] | None = None,
) -> int:
    """Parses the flags and runs `main`.

    Returns:
      The exit code. 0: success, or help. 2: a user's error, printed as one line on standard
      error. 130: interrupted before there was anything to save. 141: whoever read the output has
      gone, as in `... | head`, which the shell reports of any program that a closed pipe ends.
    """
    try:
        code = _run(main, doc, flag_values, list(sys.argv if argv is None else argv))
        sys.stdout.flush()  # or Python would find out later, and complain
        return code
    except BrokenPipeError:
        if not _silence_closed_outputs():
            raise  # another pipe's, such as that to a process of ours
        return 128 + signal.SIGPIPE


def _run(
    main: Callable[[], None], doc: str | None, flag_values: flags.FlagValues, argv: list[str]
) -> int:
    if any(arg in ('-h', '-help', '--help', '--helpfull', '--helpshort') for arg in argv[1:]):
        print((doc or '').strip() + '\n\nFlags:\n' + _flag_help(flag_values))
        return 0
    try:
        _parse_flags(flag_values, argv)
        _check_nothing_hides_ours()
        main()
    except UserError as e:
        return _fail(e)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    except Exception as e:
        # `agents` and `envs` cannot import UserError; these take its place there.
        from agents.errors import ConfigError
        from envs.errors import EnvError

        if isinstance(e, ConfigError | EnvError):
            return _fail(e)
        if (reason := files.storage_failure(e)) is not None:
            where = getattr(e, 'filename', None) or 'a file'
            return _fail(
                f'{where} could not be written: {reason}; make room and run the same command '
                'to resume from the newest checkpoint'
            )
        raise
    return 0


def _silence_closed_outputs() -> bool:
    """Sends what is still to be printed nowhere, where the reader of an output has gone.

    Returns:
      Whether the reader of any has gone.
    """
    found = False
    for stream in (sys.stdout, sys.stderr):
        try:
            output = stream.fileno()
        except (OSError, ValueError):  # not a file
            continue
        closed = select.poll()
        closed.register(output, 0)  # POLLERR is always reported
        if any(event & select.POLLERR for _, event in closed.poll(0)):
            found = True
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, output)
            os.close(nowhere)
    return found


class RunFlags(NamedTuple):
    """The flags that identify a run, and --check_only."""

    root_dir: flags.FlagHolder
    gin_file: flags.FlagHolder
    gin_bindings: flags.FlagHolder
    seed: flags.FlagHolder
    check_only: flags.FlagHolder

    def check(self) -> None:
        """Raises a UserError if --root_dir is missing."""
        if not self.root_dir.value:
            raise UserError('--root_dir is missing: name a directory for the run')


def define_run_flags(flag_values: flags.FlagValues, gin_file: str) -> RunFlags:
    """Defines a training program's flags; `gin_file` is the default of --gin_file."""

    def define(define_flag: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
        return define_flag(name, *args, flag_values=flag_values, **kwargs)

    return RunFlags(
        root_dir=define(
            flags.DEFINE_string, 'root_dir', None,
            'Directory of the run: created if it is missing, resumed if it holds a run.',
        ),
        gin_file=define(
            flags.DEFINE_string, 'gin_file', gin_file,
            'A gin file: a path, or a name below pipelines/.',
        ),
        gin_bindings=define(
            flags.DEFINE_multi_string, 'gin_bindings', [],
            'A binding that overrides the file',
        ),
        seed=define(
            flags.DEFINE_integer, 'seed', 0, 'Seed of networks, environments and exploration.',
            lower_bound=0, upper_bound=2**31 - 1,
        ),
        check_only=define(
            flags.DEFINE_boolean, 'check_only', False,
            'Build everything, check every binding, and stop without writing anything.',
        ),
    )  # fmt: skip


def _check_nothing_hides_ours() -> None:
    """Raises a UserError if another `agents` or `envs` would be imported instead of ours."""
    for name in ('agents', 'envs'):
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec else None
        ours = files.PACKAGE_DIR.parent / name / '__init__.py'
        if origin is None or pathlib.Path(origin).resolve() != ours.resolve():
            where = origin or (list(spec.submodule_search_locations or ['?'])[0] if spec else '?')
            raise UserError(
                f"{where} hides this project's own package '{name}': rename it, or run from "
                'another directory'
            )


def _fail(error: Exception | str) -> int:
    # gin appends lines that name the configurable; the first line is the message.
    first_line = str(error).strip().split('\n')[0]
    print(f'error: {first_line}', file=sys.stderr)
    return 2


def _parse_flags(flag_values: flags.FlagValues, argv: Sequence[str]) -> None:
    for name in flag_values:
        flag_values[name].unparse()  # drops the values of an earlier call in this process
    try:
        rest = flag_values(argv)
    except flags.UnrecognizedFlagError as e:
        raise UserError(_instead_of_flag(e, flag_values, argv)) from e
    except flags.Error as e:
        raise UserError(str(e).replace('\n', ' ')) from e
    if len(rest) > 1:
        raise UserError(f"unexpected argument '{rest[1]}': {_instead_of_word(rest, flag_values)}")


def _instead_of_flag(
    error: flags.UnrecognizedFlagError, flag_values: flags.FlagValues, argv: Sequence[str]
) -> str:
    """The message for a flag that the program does not have: what to type instead."""
    name, value = error.flagname, error.flagvalue
    if not value:  # --env CartPole-v1
        following = argv[next(i for i, arg in enumerate(argv) if arg.lstrip('-') == name) + 1 :]
        value = following[0] if following and not following[0].startswith('-') else ''
    if 'gin_bindings' in flag_values:
        program = _program(flag_values)
        if '.' in name:  # --train_ddqn.gamma=0.9
            written = f'{name} = {other_words.python_value(value) or value or "VALUE"}'
            return f'--{name} is not a flag, but a binding: {other_words.as_argument(written)}'
        if binding := other_words.binding(name, value, program):
            return f'--{name} is not a flag, but a binding: {other_words.as_argument(binding)}'
    if flag := other_words.flag(name, list(flag_values)):
        return f'there is no flag --{name}: write --{flag}' + (f'={value}' if value else '')
    everything = '; all others are bindings' if 'gin_bindings' in flag_values else ''
    known = ', '.join(f'--{flag}' for flag in sorted(flag_values))
    return str(error).replace('\n', ' ') + f' (the flags: {known}{everything})'


def _instead_of_word(rest: Sequence[str], flag_values: flags.FlagValues) -> str:
    """What to type instead of the words that are neither flags nor values of flags."""
    if 'gin_bindings' not in flag_values:
        return 'flags look like --name=value'
    words = ' '.join(rest[1:])
    given = flag_values['gin_bindings'].value
    if words.startswith('=') and given:  # --gin_bindings=train_ddqn.gamma = 0.9
        words = f'{given[-1]} {words}'
    name, equals, value = (part.strip() for part in words.partition('='))
    if not equals or '.' not in name:
        return 'flags look like --name=value'
    value = other_words.python_value(value) or value
    return f'a binding is one argument, in quotes: {other_words.as_argument(f"{name} = {value}")}'


def _program(flag_values: flags.FlagValues) -> str:
    """Which of the training programs has these flags, by the file that it reads by default."""
    name = str(flag_values['gin_file'].default)
    return 'train_reinforce' if 'reinforce' in name else 'train_ddqn'


def _flag_help(flag_values: flags.FlagValues) -> str:
    rows = []
    for name in sorted(flag_values):
        flag = flag_values[name]
        default = '' if flag.default in (None, []) else f' (default: {flag.default})'
        rows.append(f'  --{name}\n      {flag.help}{default}')
    return '\n'.join(rows)
