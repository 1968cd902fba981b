"""Flags, error messages and exit codes, the same in every program.

Flags identify a run; gin configures everything else. Nothing here imports TensorFlow, so
`--help` and a misspelt flag are answered at once.
"""

from __future__ import annotations

import ast
import os
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from absl import flags

from pipelines import console, exits, network, signals, startup, vocabulary
from pipelines.errors import UserError

# Flags that are paths: `~` is the home directory in all of them.
_PATHS = ('root_dir', 'gin_file', 'policy_dir', 'json', 'video', 'experiment', 'run_dirs')

CHECKED = 'every binding is used, and everything can be built'  # printed by --check_only


def run(
    main: Callable[[], None],
    doc: str | None,
    flag_values: flags.FlagValues,
    argv: Sequence[str] | None = None,
) -> int:
    """Parses the flags and runs `main`.

    Returns:
      The exit code: see `exits`. Whatever is wrong is one line on standard error.
    """
    argv = list(sys.argv if argv is None else argv)
    doc = _doc_in_source(main) if doc is None else doc
    program = _program(doc)
    with console.guarded() as output, signals.answered():
        try:
            _run(main, doc, flag_values, argv)
            output.flush()  # or Python would find out later, and complain
            code = exits.of_end(output, program)
        except SystemExit:
            raise
        except BaseException as e:
            code = exits.of_error(e, output, program)
    startup.leave_at_exit(code)
    return code


def _run(
    main: Callable[[], None], doc: str, flag_values: flags.FlagValues, argv: Sequence[str]
) -> None:
    if any(arg in ('-h', '-help', '--help', '--helpfull', '--helpshort') for arg in argv[1:]):
        print(doc.strip() + '\n\nFlags:\n' + _flag_help(flag_values))
        return
    _parse_flags(flag_values, argv, _program(doc))
    exits.check_process()
    _find_modules_in_the_working_directory()
    if words := startup.what_hides_ours():
        raise UserError(words)
    main()


def _doc_in_source(main: Callable[[], None]) -> str:
    """The docstring of a program's module, which `python -OO` has dropped."""
    path = main.__code__.co_filename
    return ast.get_docstring(ast.parse(pathlib.Path(path).read_text(encoding='utf-8'))) or ''


class RunFlags(NamedTuple):
    """The flags that identify a run, and say where it is made or that it is only checked."""

    root_dir: flags.FlagHolder
    gin_file: flags.FlagHolder
    gin_bindings: flags.FlagHolder
    seed: flags.FlagHolder
    check_only: flags.FlagHolder
    network: flags.FlagHolder

    def check(self) -> None:
        """Raises a UserError if --root_dir is missing."""
        if not self.root_dir.value:
            raise UserError('--root_dir is missing: name a directory for the run')

    def choose_network(self) -> None:
        """Does what --network says; call it before NumPy or TensorFlow is imported.

        Raises:
          UserError: it cannot be done.
        """
        if self.check_only.value:  # nothing listens
            return
        line = network.choose(self.network.value, self.gin_file.value, self.gin_bindings.value)
        if line:
            print(line, flush=True)


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
        network=define(
            flags.DEFINE_enum, 'network', 'auto', network.CHOICES,
            'Who reaches the replay: only this run (private), or all that reach this machine '
            '(host). auto: private, unless the run has code of your own, which may need the '
            'network.',
        ),
    )  # fmt: skip


def _find_modules_in_the_working_directory() -> None:
    """For an installed script, as for `python -m`; but at the end, where it hides nothing."""
    here = os.getcwd()
    if not {'', here}.intersection(sys.path):
        sys.path.append(here)


def _program(doc: str) -> str:
    """The program that a docstring is about: it shows a command first."""
    found = re.search(r'python -m pipelines\.(\w+)', doc)
    return found.group(1) if found else ''


def _parse_flags(flag_values: flags.FlagValues, argv: Sequence[str], program: str) -> None:
    for name in flag_values:
        flag_values[name].unparse()  # drops the values of an earlier call in this process
    try:
        rest = flag_values(argv)
    except flags.UnrecognizedFlagError as e:
        raise UserError(_unknown_flag(e, argv, program)) from e
    except flags.Error as e:
        raise UserError(str(e).replace('\n', ' ')) from e
    if len(rest) > 1:
        cure = _instead_of_words(rest[1:], flag_values)
        raise UserError(f"unexpected argument '{rest[1]}': {cure}")
    for name in filter(flag_values.__contains__, _PATHS):
        given: Any = flag_values[name].value
        several = isinstance(given, list)
        paths = [_expanded(name, path) for path in (given if several else [given])]
        flag_values[name].value = paths if several else paths[0]


def _expanded(flag: str, path: str | None) -> str | None:
    """A path with the home directory instead of `~`.

    Raises:
      UserError: there is no such user, or the path cannot be that of a file.
    """
    if path is None:
        return None
    found = os.path.expanduser(path)
    if found.startswith('~'):
        user = found.split('/')[0]
        raise UserError(f"--{flag}='{path}': there is no user '{user[1:]}'; for a name: ./{path}")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise UserError(f"--{flag}={path!r}: not UTF-8, as TensorFlow's paths have to be") from None
    return found


def _instead_of_words(words: Sequence[str], flag_values: flags.FlagValues) -> str:
    """What to type instead of words that are neither flags nor their values."""
    text = ' '.join(words)
    given = flag_values['gin_bindings'].value if 'gin_bindings' in flag_values else []
    if text.startswith('=') and given:  # --gin_bindings=train_ddqn.gamma = 0.9
        text = f'{given[-1]} {text}'
    name, equals, value = text.partition('=')
    if equals and 'gin_bindings' in flag_values and re.fullmatch(r'[\w./]+', name.strip()):
        return f'write {vocabulary.binding(name.strip(), value)}'
    return 'flags look like --name=value'


def _unknown_flag(error: flags.UnrecognizedFlagError, argv: Sequence[str], program: str) -> str:
    """One line that shows what to type instead."""
    words = str(error).replace('\n', ' ')
    name, value = error.flagname, None
    for i, argument in enumerate(argv):
        flag, has_value, text = argument.lstrip('-').partition('=')
        if argument.startswith('-') and flag == name:
            following = argv[i + 1] if i + 1 < len(argv) else '-'
            value = text if has_value else None if following.startswith('-') else following
    if cure := vocabulary.what_to_type(program, name, value):
        return f"Unknown command line flag '{name}': write {cure}"
    if '.' in name and program in vocabulary.PROGRAMS:  # a binding that was given as a flag
        return f"Unknown command line flag '{name}': write {vocabulary.binding(name, value)}"
    return words if 'Did you mean' in words else f'{words}: --help lists them'


def _flag_help(flag_values: flags.FlagValues) -> str:
    rows = []
    for name in sorted(flag_values):
        flag = flag_values[name]
        default = '' if flag.default in (None, []) else f' (default: {flag.default})'
        rows.append(f'  --{name}\n      {flag.help}{default}')
    return '\n'.join(rows)
