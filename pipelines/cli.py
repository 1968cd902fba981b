"""Flags, error messages and exit codes, the same in every program.

Flags identify a run; gin configures everything else. Nothing here imports TensorFlow, so
`--help` and a misspelt flag are answered at once.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import select
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from absl import flags

from pipelines import files, network, vocabulary
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
      error. 130: interrupted before there was anything to save. 0, too, if whoever read the output
      has gone, as in `... | head`: nothing is said of it.
    """
    argv = list(sys.argv if argv is None else argv)
    try:
        code = _run(main, doc, flag_values, argv)
        sys.stdout.flush()  # or Python would find out later, and complain
        return code
    except BrokenPipeError:
        if not _silence_closed_outputs():
            raise  # another pipe's, such as that to an environment's process
        return 0


def _run(
    main: Callable[[], None], doc: str | None, flag_values: flags.FlagValues, argv: Sequence[str]
) -> int:
    if any(arg in ('-h', '-help', '--help', '--helpfull', '--helpshort') for arg in argv[1:]):
        print((doc or '').strip() + '\n\nFlags:\n' + _flag_help(flag_values))
        return 0
    try:
        _parse_flags(flag_values, argv, _program(doc))
        _find_modules_in_the_working_directory()
        _check_nothing_hides_ours()
        main()
    except UserError as e:
        return _fail(e)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    except Exception as e:
        # `agents` and `envs` cannot import UserError; these take its place there.
        from agents.errors import ConfigError
        from envs.errors import EnvError

        if isinstance(e, EnvError) and e.traceback:
            return _fail(f'{_first_line(e)}; its traceback is in {_temporary_file(e.traceback)}')
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
    print(f'error: {_first_line(error)}', file=sys.stderr)
    return 2


def _first_line(error: Exception | str) -> str:
    """The message; gin appends lines that name the configurable."""
    return str(error).strip().split('\n')[0]


def _temporary_file(text: str) -> str:
    """The path of a file with this text, for a program that has no directory to write to."""
    with tempfile.NamedTemporaryFile(
        'w', prefix='environment_error_', suffix='.txt', delete=False
    ) as f:
        f.write(text)
    return f.name


def _program(doc: str | None) -> str:
    """The program that a docstring is about: it shows a command first."""
    found = re.search(r'python -m pipelines\.(\w+)', doc or '')
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
