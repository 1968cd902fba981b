"""An interpreter that has imported TensorFlow already, for tests that start whole programs.

Importing takes three seconds of CPU, most of a small run. `install` replaces `sys.executable` by a
launcher. What the launcher is asked to run, a server that has imported everything once runs in a
process forked from it, with the launcher's arguments, environment, directory and files:

    test --starts--> launcher --asks--> server --forks--> program
                     its exit code and signals are the program's

The program is a real process and dies with its launcher. Two servers exist: one has what the
programs import, the other TensorFlow alone, for proofs of exports. Whatever else is run (`-c`, a
script) starts cold, and so does what is started by `REAL`.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import pathlib
import random
import runpy
import selectors
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

REAL = os.environ.get('WARM_PYTHON_REAL', sys.executable)
_PROGRAMS = 'pipelines.'
_PROOF = 'export_proof.py'
_IMPORTED = {
    # What the programs import, but not the programs: each of them runs as `__main__`.
    'programs': (
        'pipelines.assembly', 'pipelines.comparison.compare_runs', 'pipelines.loops.rollout',
        'pipelines.posts.running', 'ale_py', 'matplotlib.pyplot',
    ),
    'proofs': ('numpy', 'tensorflow'),
}  # fmt: skip
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT)
_F_SETSIG = 10  # Linux: the signal that says that a file is ready


def install(directory: pathlib.Path, owner: int) -> None:
    """Makes `sys.executable` a launcher, whose servers end with the process `owner`."""
    directory.mkdir(parents=True, exist_ok=True)
    launcher = directory / 'python'
    if not launcher.exists():
        text = (
            f'#!{os.path.realpath(REAL)} -IS\n'
            f'import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n'
            'import warm_python\n'
            f'warm_python.launch({str(directory)!r}, {REAL!r}, {owner})\n'
        )
        new = directory / f'python.{os.getpid()}'
        new.write_text(text)
        new.chmod(new.stat().st_mode | stat.S_IXUSR)
        new.rename(launcher)
    sys.executable = str(launcher)
    os.environ.update(WARM_PYTHON=str(launcher), WARM_PYTHON_REAL=REAL)


def program_of(launcher: int) -> int:
    """The process of the program that a launcher, a process too, has started."""
    asked = pathlib.Path(sys.executable).parent / f'{launcher}.pid'
    while not asked.exists():
        time.sleep(0.01)
    return int(asked.read_text())


def launch(directory: str, real: str, owner: int) -> None:
    """What the launcher does: asks a server, or becomes a cold interpreter."""
    arguments = sys.argv[1:]
    if arguments[:1] == ['-m'] and arguments[1].startswith(_PROGRAMS):
        kind, arguments = 'programs', arguments[1:]
    elif arguments[:1] == ['-I'] and arguments[1].endswith(_PROOF) and not _inherits(arguments):
        kind, arguments = 'proofs', arguments[1:]
    else:
        os.execv(real, [real, *arguments])
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    with _server(pathlib.Path(directory), real, kind, owner) as server:
        asked = {'arguments': arguments, 'directory': os.getcwd(), 'environment': dict(os.environ)}
        text = json.dumps(asked).encode()
        socket.send_fds(server, [struct.pack('I', len(text))], [0, 1, 2])
        server.sendall(text)
        program = _number(server)
        pathlib.Path(directory, f'{os.getpid()}.pid').write_text(str(program))
        for number in _FORWARDED:
            signal.signal(number, lambda number, _: _send(program, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        code = os.waitstatus_to_exitcode(_number(server))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _inherits(arguments: list[str]) -> bool:
    """Whether paths name files that the launcher has open, which a server cannot hand on."""
    return any(argument.startswith(('/proc/self/fd/', '/dev/fd/')) for argument in arguments)


def _send(program: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(program, number)


def _number(server: socket.socket) -> int:
    received = b''
    while len(received) < 4:
        received += (more := server.recv(4 - len(received)))
        if not more:
            sys.exit('the server of warm starts is gone')
    return struct.unpack('I', received)[0]


def _server(directory: pathlib.Path, real: str, kind: str, owner: int) -> socket.socket:
    """A connection to the server, which the first launcher starts."""
    path = directory / kind
    with open(directory / f'{kind}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            subprocess.Popen(
                [real, '-I', __file__, str(path), kind, str(owner)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd=pathlib.Path(__file__).parents[1],
            )
            while not path.exists():
                time.sleep(0.01)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    return connection


def serve(path: str, kind: str, owner: int) -> None:
    """What a server does: imports, then forks a process for each launcher that asks."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f'{path}.new')
    listener.listen(64)
    os.rename(f'{path}.new', path)  # whoever sees it can connect, and waits
    if kind == 'programs':
        sys.path.insert(0, os.getcwd())
    before = set(os.environ)
    for name in _IMPORTED[kind]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    set_by_imports = {name: os.environ[name] for name in set(os.environ) - before}
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    waiting.register(os.pidfd_open(owner), selectors.EVENT_READ, owner)
    while True:
        for key, _ in waiting.select():
            if key.data == owner:
                return
            if key.data is None:
                connection, _ = listener.accept()
                program = _fork(connection, listener, set_by_imports)
                connection.sendall(struct.pack('I', program))
                handle = os.pidfd_open(program)
                waiting.register(handle, selectors.EVENT_READ, (program, connection))
            else:
                program, connection = key.data
                _, status = os.waitpid(program, 0)
                waiting.unregister(key.fileobj)
                os.close(key.fileobj)
                with contextlib.suppress(OSError):
                    connection.sendall(struct.pack('I', status))
                connection.close()


def _fork(connection: socket.socket, listener: socket.socket, environment: dict) -> int:
    size, descriptors, *_ = socket.recv_fds(connection, 4, 3)
    length, text = struct.unpack('I', size)[0], b''
    while len(text) < length:
        text += connection.recv(length - len(text))
    program = os.fork()
    if program == 0:
        listener.close()
        asked = json.loads(text)
        asked['environment'] = environment | asked['environment']
        _run(asked, connection, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    return program


def _run(asked: dict, connection: socket.socket, descriptors: list[int]) -> None:
    """In the new process: becomes the program."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, _F_SETSIG, signal.SIGKILL)  # when the launcher is gone
    fcntl.fcntl(connection, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        if connection.recv(1) == b'':  # it is gone already
            os._exit(1)
    for wanted, given in enumerate(descriptors):
        os.dup2(given, wanted)
        os.close(given)
    os.environ.clear()
    os.environ.update(asked['environment'])
    os.chdir(asked['directory'])
    buffering = 1 if os.environ.get('PYTHONUNBUFFERED') or os.isatty(1) else -1
    sys.stdout = sys.__stdout__ = os.fdopen(1, 'w', buffering, closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, 'w', 1, closefd=False)
    random.seed()  # or all programs would draw the same
    what, *arguments = asked['arguments']
    code = 1
    try:
        if what.startswith(_PROGRAMS):
            from pipelines import startup

            startup.begin()
            sys.executable = os.environ.get('WARM_PYTHON', sys.executable)
            added = os.environ.get('PYTHONPATH', '').split(os.pathsep)
            sys.argv, sys.path[:1] = [what, *arguments], [asked['directory'], *filter(None, added)]
            runpy.run_module(what, run_name='__main__', alter_sys=True)
        else:
            sys.argv = [what, *arguments]
            runpy.run_path(what, run_name='__main__')
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        _leave(code)


def _leave(code: int) -> None:
    import atexit
    import threading

    with contextlib.suppress(Exception):
        threading._shutdown()
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


if __name__ == '__main__':
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
