"""One line and one exit code for whatever ends a program."""

import errno
import os
import pathlib
import re
import resource
import sys
import tempfile

import pytest

from agents.errors import ConfigError
from envs.errors import EnvError
from pipelines import console, exits
from pipelines.errors import UserError
from pipelines.signals import Stopped


class ResourceExhaustedError(Exception):
    """TensorFlow's has this name."""


def answer(capsys, error):
    """(exit code, standard error) of a program that has raised `error`."""
    code = exits.of_error(error, console.Output(sys.stdout), 'train_ddqn')
    out, err = capsys.readouterr()
    assert out == '' and err.count('\n') == 1
    return code, err


@pytest.mark.parametrize(
    ('error', 'code', 'words'),
    [
        (UserError('a = 1: must be 2'), 2, 'error: a = 1: must be 2\n'),
        (ConfigError('a = 1: must be 2\n  In call to'), 2, 'error: a = 1: must be 2\n'),
        (EnvError('no such game'), 2, 'error: no such game\n'),
        (Stopped('SIGTERM'), 75, 'stopped by SIGTERM'),
        (KeyboardInterrupt(), 130, 'interrupted'),
        (OSError(errno.ENOSPC, 'No space left on device', 'a'), 2, 'device; make room'),
        (OSError(errno.EFBIG, 'File too large', 'a'), 2, '(ulimit -f)'),
        (RuntimeError('a.tmp; File too large'), 2, '(ulimit -f)'),
        (OSError(errno.EMFILE, 'Too many open files', 'a'), 2, '(ulimit -n)'),
        (OSError(errno.ENOMEM, 'Cannot allocate memory'), 2, 'the memory is full'),
        (MemoryError(), 2, 'lower Replay.capacity_transitions'),
        (ResourceExhaustedError('OOM'), 2, 'the memory is full'),
    ],
    ids=repr,
)
def test_every_error_has_its_line_and_its_code(capsys, error, code, words):
    found, line = answer(capsys, error)
    assert found == code and words in line


@pytest.mark.parametrize('error', [KeyError('x'), RecursionError('deep'), OSError(1, 'odd')])
def test_what_nobody_foresaw_is_a_bug_with_its_traceback_in_a_file(capsys, error):
    try:
        raise error
    except type(error) as e:
        code, line = answer(capsys, e)
    assert code == 70 and type(error).__name__ in line and 'exits_test.py:' in line
    path = pathlib.Path(re.search(r'its traceback is in (\S+): please report', line)[1])
    assert path.read_text().startswith('Traceback')
    path.unlink()


def test_a_bug_is_said_where_no_file_can_be_written(capsys, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', '/proc')
    code, line = answer(capsys, KeyError('x'))
    assert code == 70 and "KeyError: 'x'; its traceback is in no file, for /proc" in line


def test_an_environments_traceback_is_kept(capsys):
    code, line = answer(capsys, EnvError('it broke', traceback='Traceback ...'))
    path = line.split()[-1]
    assert code == 2 and pathlib.Path(path).read_text() == 'Traceback ...'
    os.unlink(path)


def test_too_little_address_space_is_said_before_tensorflow_aborts(monkeypatch):
    unlimited = resource.RLIM_INFINITY
    for soft, is_enough in ((unlimited, True), (2**33, True), (2**31, False)):
        monkeypatch.setattr(resource, 'getrlimit', lambda _, soft=soft: (soft, unlimited))
        if is_enough:
            exits.check_process()
        else:
            with pytest.raises(UserError, match=r'2,048 MiB of address space \(ulimit -v\)'):
                exits.check_process()
