"""Every signal has one answer, from the first moment on."""

import signal
import subprocess
import time

import pytest

from pipelines import signals
from tests import warm_python

WORKS = """
import sys, time
from absl import flags
from pipelines import cli, signals

def waits():  # one long sleep may begin after a signal and before Python looks for it
    print('works', flush=True)
    for _ in range(6_000):
        time.sleep(0.01)

def plainly():
    try:
        waits()
    finally:
        print('cleans up', flush=True)
        time.sleep(float(sys.argv[2]))

def patiently():
    with signals.stop_on_signal() as stop_requested:
        print('works', flush=True)
        while not stop_requested():
            time.sleep(0.01)
        print('saves', flush=True)
        time.sleep(float(sys.argv[2]))
    signals.say_stopped('stopped')

def otherwise():  # as TensorFlow turns exceptions into its own
    try:
        waits()
    except KeyboardInterrupt:
        raise RuntimeError('UNKNOWN: cancelled')

sys.exit(cli.run(eval(sys.argv[1]), 'python -m pipelines.evaluate', flags.FlagValues(), ['x']))
"""
ANSWERED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def answers(how, *numbers, cleaning=0.0):
    """(exit code, output, standard error) after some signals, each when a line was printed."""
    process = subprocess.Popen(
        [warm_python.REAL, '-c', WORKS, how, str(cleaning)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    said = ''
    for number in numbers:
        said += process.stdout.readline()
        process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return process.returncode, said + out, err


@pytest.mark.parametrize('number', ANSWERED)
def test_a_signal_ends_what_cannot_be_kept(number):
    name = signal.Signals(number).name
    wanted = (75, 'works\ncleans up\n', f'stopped by {name}; run the same command again\n')
    assert answers('plainly', number) == wanted


@pytest.mark.parametrize('number', ANSWERED)
def test_a_signal_is_a_request_where_work_can_be_saved(number):
    assert answers('patiently', number) == (75, 'works\nsaves\nstopped\n', '')


@pytest.mark.parametrize('how', ['plainly', 'patiently'])
def test_a_second_interrupt_ends_at_once(how):
    code, _, error = answers(how, signal.SIGTERM, signal.SIGINT, cleaning=60.0)
    assert (code, error) == (130, 'interrupted\n')


def test_another_termination_does_not_disturb_the_end():
    code, out, _ = answers('patiently', signal.SIGTERM, signal.SIGTERM, cleaning=0.3)
    assert (code, out) == (75, 'works\nsaves\nstopped\n')


def test_a_stop_that_a_library_has_turned_into_its_own_error_is_still_a_stop():
    code, _, error = answers('otherwise', signal.SIGTERM)
    assert (code, error) == (75, 'stopped by a signal; run the same command again\n')


def catches(pid, number):
    with open(f'/proc/{pid}/status') as status:
        mask = next(line for line in status if line.startswith('SigCgt')).split()[1]
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize('number', ANSWERED)
def test_the_first_moment_is_answered_too(tmp_path, number):
    """Whatever is being imported: our modules, or TensorFlow."""
    for seconds in (0.0, 0.1):
        process = subprocess.Popen(
            [warm_python.REAL, '-m', 'pipelines.train_ddqn', f'--root_dir={tmp_path / "run"}'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )  # fmt: skip
        while not catches(process.pid, signal.SIGTERM):  # before that, Python itself starts
            time.sleep(0.001)
        time.sleep(seconds)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 75 and out == ''
        assert err.startswith(f'stopped by {signal.Signals(number).name}')
        assert err.count('\n') == 1
    assert not (tmp_path / 'run').exists()


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in ANSWERED]
    with signals.answered(), signals.stop_on_signal() as stop_requested:
        assert not stop_requested()
        signal.raise_signal(signal.SIGTERM)
        assert stop_requested()
    assert [signal.getsignal(number) for number in ANSWERED] == before


def test_a_hangup_that_is_ignored_stays_so():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.answered():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
