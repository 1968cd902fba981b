"""Copies in processes: what they raise, how they die, and that none is left."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import psutil
import pytest

from envs import processes
from envs.errors import EnvError
from envs.processes import ProcessVectorEnv, RemoteTraceback
from tests.envs import small_envs
from tests.envs.small_envs import Counter


def copies_of(**kwargs):
    """Two copies, the second of which has the arguments."""
    return ProcessVectorEnv('Small-v0', [Counter, lambda: Counter(**kwargs)])


def workers():
    """The processes of copies; multiprocessing's own tracker stays."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if 'spawn_main' in ' '.join(child.cmdline())]


@pytest.fixture(autouse=True)
def _none_is_left():
    yield
    assert workers() == []


def play(env, num_steps=10):
    env.reset(seed=0)
    for _ in range(num_steps):
        env.step(np.zeros(2, int))


def test_each_copy_has_a_process_of_its_own_and_closes_with_the_environment():
    env = copies_of()
    _, info = env.reset(seed=0)
    assert sorted(info['pid']) == sorted(worker.pid for worker in workers())
    assert [picture.shape for picture in env.render()] == [(16, 24, 3)] * 2
    env.close()
    assert workers() == []
    env.close()  # once more does nothing


@pytest.mark.parametrize(
    ('fault', 'kind', 'message'),
    [
        ('raise', ValueError, 'no fuel'),
        ('raise what cannot be sent', RuntimeError, 'TwoArguments: no fuel'),
        ('raise an end of file', EOFError, 'no more'),
        ('exit', SystemExit, '3'),
    ],
)
def test_what_a_copy_raises_arrives_with_its_traceback(fault, kind, message, capfd):
    env = copies_of(fault=fault, fault_at=4)
    with pytest.raises(kind) as error:
        play(env)
    assert str(error.value) == message
    assert isinstance(error.value.__cause__, RemoteTraceback)
    assert 'small_envs.py' in str(error.value.__cause__)
    env.close()
    assert capfd.readouterr().err == ''  # Gymnasium's own would print it, in red


@pytest.mark.parametrize(
    ('fault', 'words'),
    [
        ('die', 'the process of copy 2 of 2 ended with exit code 7'),
        ('be killed', 'the process of copy 2 of 2 was killed by SIGKILL (is the memory full?)'),
    ],
)
def test_a_copy_that_dies_is_one_line(fault, words, capfd):
    env = copies_of(fault=fault, fault_at=4)
    began = time.monotonic()
    with pytest.raises(EnvError) as error:
        play(env)
    assert str(error.value) == f"environment 'Small-v0': {words}"
    assert time.monotonic() - began < 10.0
    env.close()
    assert capfd.readouterr().err == ''


def test_a_copy_that_was_killed_between_two_steps_is_one_line():
    env = copies_of()
    env.reset(seed=0)
    workers()[0].kill()
    with pytest.raises(EnvError, match='was killed by SIGKILL'):
        for _ in range(2):
            env.step(np.zeros(2, int))
    env.close()


def test_a_copy_that_hangs_meets_a_deadline(monkeypatch):
    env = copies_of(fault='hang', fault_at=3)
    env.reset(seed=0)
    monkeypatch.setattr(processes, 'DEADLINE_SECONDS', 1.0)
    monkeypatch.setattr(processes, '_CLOSING_SECONDS', 0.2)
    with pytest.raises(EnvError, match="'Small-v0': a copy has not answered for 1 s in"):
        play(env)
    env.close()


@pytest.mark.parametrize(
    ('fault', 'kind', 'message'),
    [
        ('raise', ValueError, '^no fuel$'),
        ('exit', SystemExit, '^3$'),
        ('die', EnvError, 'the process of copy 2 of 2 ended with exit code 7$'),
    ],
)
def test_a_copy_that_cannot_be_made_leaves_no_process(fault, kind, message, capfd):
    """The first copy is also made in this process, to learn its spaces."""
    with pytest.raises(kind, match=message):
        copies_of(fault=fault, fault_at='init')
    assert capfd.readouterr().err == ''


DRIVER = """
    import os, sys, time
    import numpy as np
    from envs.processes import ProcessVectorEnv
    from tests.envs.small_envs import Counter

    class Mine(Counter):  # of the main module, which has no `if __name__ == '__main__'`
        pass

    env = ProcessVectorEnv('Mine', [Mine] * 2)
    env.reset(seed=0)
    print(*(process.pid for process in env.processes), flush=True)
    end = {end}
    while True:
        env.step(np.zeros(2, int))
        end()
"""


@pytest.mark.parametrize(
    ('number', 'end', 'code'),
    [
        (None, 'sys.exit', 0),
        (None, 'lambda: env.undefined', 1),
        (signal.SIGKILL, 'bool', -signal.SIGKILL),
        (signal.SIGTERM, 'bool', -signal.SIGTERM),
    ],
    ids=['exit', 'error', 'SIGKILL', 'SIGTERM'],
)
def test_no_process_outlives_the_one_that_started_it(number, end, code, tmp_path):
    script = tmp_path / 'driver.py'
    script.write_text(textwrap.dedent(DRIVER.format(end=end)))
    with subprocess.Popen(
        [sys.executable, str(script)], env=os.environ | {'PYTHONPATH': os.getcwd()},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as driver:  # fmt: skip
        pids = [int(pid) for pid in driver.stdout.readline().split()]
        assert len(pids) == 2
        if number is not None:
            driver.send_signal(number)
        _, err = driver.communicate(timeout=30)
    assert driver.returncode == code
    assert 'small_envs' not in err and 'Process Worker' not in err  # of no copy
    assert (err == '') == ('undefined' not in end)
    deadline = time.monotonic() + 5
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, 'a copy is left'
        time.sleep(0.05)


def test_signals_to_the_whole_group_are_for_the_driver():
    """As Ctrl-C in a terminal: the driver ends its work, and closes the copies itself."""
    env = copies_of()
    env.reset(seed=0)
    for worker in workers():
        for number in (signal.SIGINT, signal.SIGTERM):
            worker.send_signal(number)
    time.sleep(0.1)
    play(env, 3)
    env.close()


def test_a_program_that_the_environment_starts_can_be_ended_by_a_signal():
    """The copies' own way with signals does not pass on to it."""
    env = ProcessVectorEnv('Small-v0', [small_envs.WithProgram])
    env.reset(seed=0)
    assert env.call('end_the_program') == (-signal.SIGTERM,)
    env.close()
