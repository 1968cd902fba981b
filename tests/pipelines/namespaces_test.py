"""Each test in a fresh process, because this one has threads."""

import os
import subprocess
import sys
import threading

import pytest

from pipelines import namespaces
from tests.pipelines.whole_runs import of_tests

_ORDINARY = """
import ctypes
os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # /proc/self is its own again, as after starting a program
"""
_NEED = """
import encodings.idna, os, pathlib, socket, subprocess, sys
from pipelines import namespaces
{user}
if why := namespaces.obstacle(namespaces.leave_the_network):
    print('not allowed:', why)
    sys.exit()
outside = socket.create_server(('127.0.0.1', 0))
namespaces.leave_the_network()
"""
_USERS = {'as_it_is': ''} | ({'ordinary': _ORDINARY} if os.geteuid() == 0 else {})


def run(user, program):
    """What a program prints that has left the network."""
    done = subprocess.run(
        [sys.executable, '-c', _NEED.format(user=_USERS[user]) + program],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if done.stdout.startswith('not allowed'):
        pytest.skip(done.stdout)
    return done.stdout


users = pytest.mark.parametrize('user', _USERS)


@users
def test_it_reaches_itself_and_nobody_else(user):
    program = """
with socket.create_server(('::1', 0), family=socket.AF_INET6) as server:
    socket.create_connection(server.getsockname()[:2]).close()
for address in (outside.getsockname(), ('192.0.2.1', 80)):
    try:
        socket.create_connection(address, timeout=5)
    except OSError as e:
        print(type(e).__name__)
"""
    assert run(user, program).split() == ['ConnectionRefusedError', 'OSError']


@users
def test_files_and_processes_belong_to_the_same_user(user, tmp_path):
    tmp_path.chmod(0o777)
    for place in of_tests(tmp_path)[1:]:
        place.chmod(0o755)
    program = f"""
path = pathlib.Path({str(tmp_path / 'file')!r})
path.write_text('')
print(os.getuid(), os.getgid(), os.stat(path).st_uid)
print(subprocess.run(['readlink', '/proc/self/ns/net'], capture_output=True, text=True).stdout)
print(os.readlink('/proc/self/ns/net'))
"""
    uid, gid, owner, its, own = run(user, program).split()
    expected = 65534 if user == 'ordinary' else os.geteuid()
    assert int(uid) == int(owner) == expected == (tmp_path / 'file').stat().st_uid
    assert int(gid) == (tmp_path / 'file').stat().st_gid
    assert its == own != os.readlink('/proc/self/ns/net')


@pytest.mark.skipif('ordinary' not in _USERS, reason='only root can become another user')
def test_an_ordinary_user_gains_no_rights(tmp_path):
    for place in of_tests(tmp_path):
        place.chmod(0o755)
    mine = tmp_path / 'mine'
    mine.mkdir(mode=0o555)
    os.chown(mine, 65534, 65534)
    program = f"""
print([line.split()[1] for line in open('/proc/self/status') if line.startswith('CapEff')])
try:
    pathlib.Path({str(mine / 'file')!r}).write_text('')
except PermissionError:
    print('refused')
"""
    assert run('ordinary', program).split() == ["['0000000000000000']", 'refused']


def test_a_process_with_threads_says_what_is_in_the_way():
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert namespaces.obstacle(lambda: None) == 'this process has threads already'
    end.set()
    thread.join()


def test_what_a_child_finds_in_the_way_is_told():
    program = """
import os, sys
from pipelines import namespaces
def refused():
    raise OSError(1, 'Operation not permitted')
print(namespaces.obstacle(refused), namespaces.obstacle(lambda: None))
print(namespaces.obstacle(lambda: os._exit(3)))
"""
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    assert done.stdout == 'Operation not permitted None\nit ended the process that tried\n'
