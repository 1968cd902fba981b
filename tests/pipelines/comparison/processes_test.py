import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import pipelines
from pipelines.comparison import processes


def job(tmp_path, name, code):
    return processes.Job(name, (sys.executable, '-c', code), tmp_path / f'{name}.log')


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'waited in vain'
        time.sleep(0.02)


def is_running(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(('chosen', 'threads'), [(False, '3'), (True, '5')])
def test_every_job_is_run_so_many_at_once_and_its_end_is_told(
    tmp_path, monkeypatch, chosen, threads
):
    monkeypatch.setattr(pipelines, 'THREADS_ARE_CHOSEN', chosen)
    monkeypatch.setenv('TF_NUM_INTRAOP_THREADS', '5')
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(6)))
    code = (
        'import os, sys, time; print("begin", flush=True); time.sleep(0.3)\n'
        'print("end", os.environ["TF_NUM_INTRAOP_THREADS"]); sys.exit({code})'
    )
    jobs = [job(tmp_path, f'job{i}', code.format(code=i)) for i in range(4)]
    ended = []
    began = time.monotonic()
    assert processes.run_all(
        jobs, 2, lambda job, exit_code: ended.append((job.name, exit_code)), lambda: False
    )
    assert time.monotonic() - began >= 0.6  # two after two
    assert sorted(ended) == [(f'job{i}', i) for i in range(4)]
    assert {name for name, _ in ended[:2]} == {'job0', 'job1'}
    assert jobs[3].log.read_text().startswith('begin\nend ')
    assert jobs[3].last_line() == f'end {threads}'  # a share of six cores, or what was chosen


def test_a_stop_ends_what_runs_cleanly_and_starts_nothing_more(tmp_path):
    code = (
        'import signal, sys, time\n'
        'signal.signal(signal.SIGTERM, lambda *_: (print("checkpoint"), sys.exit(0)))\n'
        'print("ready", flush=True); time.sleep(60)'
    )
    jobs = [job(tmp_path, 'first', code), job(tmp_path, 'second', code)]
    ended = []

    def ready():
        return jobs[0].log.exists() and 'ready' in jobs[0].log.read_text()

    assert not processes.run_all(jobs, 1, lambda *told: ended.append(told), ready)
    assert ended == [(jobs[0], 0)] and jobs[0].last_line() == 'checkpoint'
    assert not jobs[1].log.exists()


def test_no_job_outlives_a_killed_parent(tmp_path):
    child = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'
    log = tmp_path / 'log'
    parent = (
        'import pathlib, sys\n'
        'from pipelines.comparison import processes\n'
        f'command = (sys.executable, "-c", {child!r})\n'
        f'job = processes.Job("job", command, pathlib.Path({str(log)!r}))\n'
        'processes.run_all([job], 1, print, lambda: False)'
    )
    process = subprocess.Popen([sys.executable, '-c', parent])
    wait_for(lambda: log.exists() and log.read_text().strip())
    pid = int(log.read_text())
    assert is_running(pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not is_running(pid), seconds=5)
