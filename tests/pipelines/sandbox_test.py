"""What a process that is shut in can still do; each in a fresh process."""

import os
import subprocess
import sys

import pytest

from tests.pipelines.namespaces_test import _ORDINARY
from tests.pipelines.whole_runs import of_tests

_SHUT_IN = """
import encodings.idna, os, pathlib, signal, socket, subprocess, sys
from pipelines import namespaces, sandbox
{user}
if why := namespaces.obstacle(namespaces.shut_in):
    print('not allowed:', why)
    sys.exit()
tmp = pathlib.Path({tmp!r})
outside = socket.create_server(('127.0.0.1', 0))
deliver = sandbox.enter({{'--json': tmp / 'a.json'}})
def tried(action):
    try:
        action()
    except OSError as e:
        print(type(e).__name__, e.strerror)
    else:
        print('done')
"""
users = pytest.mark.parametrize(
    'user', ['', _ORDINARY] if os.geteuid() == 0 else [''], ids=lambda user: 'other' * bool(user)
)


def run(tmp_path, user, program):
    for place in of_tests(tmp_path):
        place.chmod(0o777)
    source = _SHUT_IN.format(user=user, tmp=str(tmp_path)) + program
    done = subprocess.run([sys.executable, '-c', source], capture_output=True, text=True)
    if done.stdout.startswith('not allowed'):
        pytest.skip(done.stdout)
    return done


@users
def test_it_writes_no_file_but_what_it_delivers(tmp_path, user):
    (tmp_path / 'there').write_text('before')
    program = """
tried(lambda: (tmp / 'file').write_text('x'))
tried(lambda: (tmp / 'there').write_text('x'))
tried(lambda: (tmp / 'there').unlink())
tried(lambda: (tmp / 'there').chmod(0o777))
tried(lambda: pathlib.Path('/dev/shm/x').write_text('x'))
tried(lambda: pathlib.Path('/dev/null').write_text('x'))
print((tmp / 'there').read_text())
deliver('--json', b'a report')
deliver('--other', b'not asked for')
"""
    done = run(tmp_path, user, program)
    refused = 'OSError Read-only file system\n'
    assert done.stdout == refused * 4 + 'done\ndone\nbefore\n', done.stderr
    assert done.returncode == 0
    assert (tmp_path / 'a.json').read_text() == 'a report'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.json', 'there']
    assert not os.path.exists('/dev/shm/x')


@users
def test_it_reaches_nobody_and_gains_no_rights(tmp_path, user):
    program = f"""
import ctypes
tried(lambda: socket.create_connection(outside.getsockname(), timeout=5))
tried(lambda: os.kill({os.getpid()}, 0))
tried(lambda: os.listdir('/proc/{os.getpid()}/root/'))
libc = ctypes.CDLL(None, use_errno=True)
print(libc.mount(b'none', b'/', None, 0x20 | 0x1000, None))  # writable again
print(libc.unshare(0x10000000 | 0x20000) and 'no namespace')
attributes = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
print(libc.syscall(442, -100, b'/', 0x8000, attributes, 32))
tried(lambda: (tmp / 'file').write_text('x'))
"""
    done = run(tmp_path, user, program)
    lines = done.stdout.splitlines()
    assert lines[0].startswith('ConnectionRefusedError'), done.stderr
    assert lines[1].startswith('ProcessLookupError')
    assert lines[2].startswith('PermissionError')
    assert lines[3] == '-1' and lines[5] == '-1'
    assert lines[6].startswith('OSError Read-only')
    assert not list(tmp_path.iterdir())


def test_its_end_is_the_programs_end(tmp_path):
    assert run(tmp_path, '', 'print("before"); sys.exit(3)').returncode == 3
    assert run(tmp_path, '', 'os.kill(os.getpid(), signal.SIGKILL); os._exit(4)').returncode == 4
    done = run(tmp_path, '', 'deliver("--json", b"x"); raise ValueError("words")')
    assert done.returncode == 1 and 'ValueError: words' in done.stderr


def test_what_cannot_be_written_is_an_error_of_the_program(tmp_path):
    (tmp_path / 'a.json').mkdir()
    done = run(tmp_path, '', 'deliver("--json", b"x")')
    assert done.returncode == 1 and "--json='" in done.stderr and 'Is a directory' in done.stderr


def test_where_it_is_not_possible_a_line_says_so():
    program = """
import threading
from pipelines import errors, sandbox
end = threading.Event()
threading.Thread(target=end.wait).start()
try:
    sandbox.enter({})
except errors.UserError as e:
    print(e)
end.set()
"""
    said = subprocess.check_output([sys.executable, '-c', program], text=True)
    assert said.startswith('--sandbox: a process cannot be shut in here (this process has threads')
    assert said.count('\n') == 1
