"""Programs side by side, each in its own process; none outlives the process that started it.

A program's own children may, until they are done: an export's proof is one, which holds no lock
and writes nothing.
"""

from __future__ import annotations

import collections
import ctypes
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pipelines

_POLL_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1  # Linux: the signal this process gets when the one that started it dies
_LIBC = ctypes.CDLL(None)


class Job(NamedTuple):
    """A command, and the file that its output is appended to."""

    name: str
    command: Sequence[str]
    log: pathlib.Path

    def last_line(self) -> str:
        """The last line of its output that is not blank."""
        lines = self.log.read_text(errors='replace').split('\n')
        return next((line.strip() for line in reversed(lines) if line.strip()), 'no output')


def run_all(
    jobs: Sequence[Job],
    at_once: int,
    done: Callable[[Job, int], None],
    stop_requested: Callable[[], bool],
) -> bool:
    """Runs the jobs in order, at most `at_once` together.

    When a stop is requested, the running jobs get SIGTERM and are waited for, and no other job
    is started.

    Args:
      jobs: what to run.
      at_once: how many processes may run side by side, at least 1.
      done: called with each job that has ended and its exit code, which is minus the signal's
        number where a signal killed it.
      stop_requested: polled many times a second.

    Returns:
      False if it was stopped.
    """
    waiting = collections.deque(jobs)
    running: dict[subprocess.Popen[bytes], Job] = {}
    stopping = False
    try:
        while waiting or running:
            if stop_requested() and not stopping:
                stopping = True
                waiting.clear()
                for process in running:
                    process.terminate()
            while waiting and len(running) < at_once:
                job = waiting.popleft()
                running[_start(job, at_once)] = job
            for process in [p for p in running if p.poll() is not None]:
                done(running.pop(process), process.returncode)
            time.sleep(_POLL_SECONDS)
    finally:
        for process in running:
            process.kill()
            process.wait()
    return not stopping


def _start(job: Job, at_once: int) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def die_with_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)

    job.log.parent.mkdir(parents=True, exist_ok=True)
    with open(job.log, 'a') as log:
        return subprocess.Popen(
            job.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | _share_of_the_machine(at_once) | {'PYTHONUNBUFFERED': '1'},
            start_new_session=True,  # Ctrl-C reaches the parent alone, which passes it on
            preexec_fn=die_with_parent,
        )


def _share_of_the_machine(at_once: int) -> dict[str, str]:
    """TensorFlow's threads within one operation, unless the user has chosen their number."""
    if pipelines.THREADS_ARE_CHOSEN:
        return {}
    cores = len(os.sched_getaffinity(0))
    return {'TF_NUM_INTRAOP_THREADS': str(max(1, cores // at_once))}
