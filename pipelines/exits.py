"""What a program says when it cannot go on, and its exit codes.

0    finished, or whoever read what it only had to print has gone
2    the user's input: one line says what to change
70   a bug of ours: one line says where its traceback is
75   stopped by a signal, or by an output that was closed; the same command resumes
130  interrupted by a second Ctrl-C; the same command resumes from the newest checkpoint
"""

from __future__ import annotations

import errno
import resource
import sys
import tempfile
import traceback

from pipelines import files, imports, vocabulary
from pipelines.console import Output, OutputError
from pipelines.errors import UserError
from pipelines.signals import STOPPED, Stopped, has_interrupted, has_stopped

FINISHED, USERS, BUG, INTERRUPTED = 0, 2, 70, 130

_NEEDED_ADDRESS_SPACE = 4 * 2**30  # bytes; TensorFlow alone maps some 3 GiB
_OUT_OF_MEMORY = ('MemoryError', 'ResourceExhaustedError')  # by name: TensorFlow may be missing
_CURES = {
    errno.EFBIG: 'raise the limit on the size of files (ulimit -f)',
    errno.EMFILE: 'raise the limit on open files (ulimit -n)',
}


def check_process() -> None:
    """Raises a UserError if TensorFlow could not even be imported in a process such as this one."""
    if sys.flags.optimize > 1:
        raise UserError('python -OO drops docstrings, without which TensorFlow fails: use python')
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _NEEDED_ADDRESS_SPACE:
        raise UserError(
            f'the limit on this process is {limit / 2**20:,.0f} MiB of address space (ulimit -v): '
            f'TensorFlow needs {_NEEDED_ADDRESS_SPACE / 2**20:,.0f}; raise it'
        )


def of_end(output: Output, program: str) -> int:
    """The exit code of a program that has come to its end; says what happened to its output."""
    if output.failure is None:
        return STOPPED if has_stopped() else FINISHED
    if not output.has_no_reader:
        return _fail(
            f'standard output cannot be written: {output.failure.strerror}; send it elsewhere '
            '(> FILE) and run the same command again'
        )
    if not has_stopped() and program not in vocabulary.PROGRAMS:
        return FINISHED
    print('stopped: standard output was closed; run the same command to resume', file=sys.stderr)
    return STOPPED


def of_error(error: BaseException, output: Output, program: str) -> int:
    """Says in one line what went wrong; returns the exit code."""
    if isinstance(error, OutputError):
        return of_end(output, program)
    if isinstance(error, Stopped):
        print(f'stopped by {error}; run the same command again', file=sys.stderr)
        return STOPPED
    if isinstance(error, KeyboardInterrupt):  # the second
        print('interrupted', file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, UserError):
        return _fail(error)
    # `agents` and `envs` cannot import UserError; these take its place there.
    from agents.errors import ConfigError
    from envs.errors import EnvError

    if isinstance(error, EnvError) and error.traceback:
        where = _kept('environment_error', error.traceback)
        return _fail(f'{_first_line(error)}; its traceback is in {where}')
    if isinstance(error, ConfigError | EnvError):
        return _fail(error)
    if (reason := files.storage_failure(error)) is not None:
        where = getattr(error, 'filename', None) or 'a file'
        cure = _CURES.get(getattr(error, 'errno', None) or 0, 'make room')
        if 'File too large' in reason:
            cure = _CURES[errno.EFBIG]
        return _fail(
            f'{where} could not be written: {reason}; {cure} and run the same command to resume '
            'from the newest checkpoint'
        )
    if type(error).__name__ in _OUT_OF_MEMORY or getattr(error, 'errno', None) == errno.ENOMEM:
        return _fail(
            f'the memory is full ({imports.in_one_line(error)}): lower '
            'Replay.capacity_transitions, train_ddqn.batch_size or num_envs, or end other programs'
        )
    return _bug(error, program)


def _bug(error: BaseException, program: str) -> int:
    if has_interrupted():  # and something has turned `Stopped` into another error
        print('stopped by a signal; run the same command again', file=sys.stderr)
        return STOPPED
    trace = ''.join(traceback.format_exception(error))
    print(
        f'error: this is a bug of {program or "this program"}: {imports.in_one_line(error)}; its '
        f'traceback is in {_kept("bug", trace)}: please report it',
        file=sys.stderr,
    )
    return BUG


def _fail(error: Exception | str) -> int:
    print(f'error: {_first_line(error)}', file=sys.stderr)
    return USERS


def _first_line(error: Exception | str) -> str:
    """The message; gin appends lines that name the configurable."""
    return str(error).strip().split('\n')[0]


def _kept(kind: str, text: str) -> str:
    """The path of a new file with this text, which need not be in the run's directory."""
    try:
        with tempfile.NamedTemporaryFile(
            'w', prefix=f'{kind}_', suffix='.txt', delete=False, encoding='utf-8'
        ) as f:
            f.write(text)
    except OSError as e:
        return f'no file, for {tempfile.gettempdir()} cannot be written ({e.strerror})'
    return f.name
