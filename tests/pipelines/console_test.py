"""Outputs whose reader has gone, or that are full: one line, and what is unfinished resumes."""

import shlex
import subprocess
import sys

import pytest

PROGRAMS = """
import os, sys
from absl import flags
from pipelines import cli, signals

def prints():
    sys.stderr.write('began')
    for _ in range(1_000):
        print('line ' * 1000)

def works():  # until it is asked to stop
    with signals.stop_on_signal() as stop_requested:
        while not stop_requested():
            print('line ' * 1000)
        print('more')
    signals.say_stopped('stopped')

def breaks_another_pipe():  # to an environment's process that died, say
    end, start = os.pipe()
    os.close(end)
    os.write(start, b'x')

sys.exit(cli.run(eval(sys.argv[1]), sys.argv[2], flags.FlagValues(), ['x', *sys.argv[3:]]))
"""
LISTS, TRAINS = 'python -m pipelines.tutorials', 'python -m pipelines.train_ddqn' + ' ' * 100_000


def ends(function, doc, end, *arguments):
    """(exit code, standard error) of a program whose command line ends with `end`."""
    words = [sys.executable, '-c', PROGRAMS, function, doc, *arguments]
    script = f'{shlex.join(words)} {end}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(['bash', '-c', script], capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize('arguments', [(), ('--help',)])
def test_a_list_may_lose_its_reader(arguments):
    code, error = ends('prints', LISTS, '| head -c 5', *arguments)
    assert code == 0 and error in ('', 'began')


def test_both_outputs_may_lose_their_reader():
    assert ends('prints', LISTS, '2>&1 | head -c 5') == (0, '')


def test_a_run_that_loses_its_reader_stops_cleanly_and_says_so():
    code, error = ends('works', TRAINS, '| head -c 5')
    assert code == 75
    assert error == 'stopped: standard output was closed; run the same command to resume\n'
    assert ends('prints', TRAINS, '| head -c 5')[0] == 75  # before there was anything to stop


@pytest.mark.parametrize('function', ['prints', 'works'])
def test_a_full_output_is_named_and_not_the_disk(function):
    code, error = ends(function, TRAINS, '> /dev/full')
    assert code == 2 and error.count('\n') == 1
    assert 'error: standard output cannot be written: No space left on device; send it' in error
    assert ends(function, TRAINS, '> /dev/full 2> /dev/full') == (2, '')


def test_that_another_pipe_broke_is_not_hidden(tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path))  # for the traceback
    code, error = ends('breaks_another_pipe', LISTS, '')
    assert code == 70 and 'this is a bug of tutorials: BrokenPipeError' in error
