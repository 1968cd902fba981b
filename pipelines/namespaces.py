"""Linux namespaces: a process that gives up the network, or the right to write files.

Both must happen before the process has a second thread, so before NumPy or TensorFlow is imported.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import pathlib
import socket
import struct
from collections.abc import Callable

_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000  # CLONE_NEWNET, CLONE_NEWUSER
_NEW_MOUNTS, _NEW_PROCESSES, _NEW_IPC = 0x20000, 0x20000000, 0x08000000  # NEWNS, NEWPID, NEWIPC
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000  # a system call of x86-64
_READ_ONLY, _NO_DEVICES = 1, 4  # MOUNT_ATTR_RDONLY, MOUNT_ATTR_NODEV
_DEVICES = ('null', 'zero', 'full', 'random', 'urandom')  # that a program may use
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _LAST_CAPABILITY = 24, 38, 63
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_CAPABILITY_VERSION = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True)


def is_single_threaded() -> bool:
    """Whether this process has one thread, so that it can still enter a namespace."""
    return len(os.listdir('/proc/self/task')) == 1


def obstacle(enter: Callable[[], None]) -> str | None:
    """What keeps a process from calling `enter`, tried out by a forked child; None if nothing."""
    if not is_single_threaded():
        return 'this process has threads already'
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            enter()
            os._exit(0)
        except BaseException as e:  # the child must never return
            os.write(writing, str(getattr(e, 'strerror', None) or e).encode(errors='replace'))
            os._exit(1)
    os.close(writing)
    with open(reading, 'rb') as pipe:
        said = pipe.read().decode(errors='replace')
    _, status = os.waitpid(child, 0)
    return None if status == 0 else said or 'it ended the process that tried'


def leave_the_network() -> None:
    """Moves this process, and those that it will start, to a network of their own.

    They reach each other through `localhost`, and nobody else; nobody reaches them. The user and
    the group stay the same, and so do the rights on files.

    Raises:
      OSError: the kernel does not allow it.
    """
    if os.geteuid() == 0:  # within a user namespace, root would have no rights on others' files
        _unshare(_NEW_NETWORK)
        _bring_up_loopback()
    else:
        enter_user_namespace(_NEW_NETWORK)
        _bring_up_loopback()
        drop_capabilities()
    _check_loopback()


def enter_user_namespace(more: int) -> None:
    """Enters a user namespace with this user and group in it, and the namespaces `more`.

    The process has all capabilities in it until `drop_capabilities`.

    Raises:
      OSError: the kernel does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    _unshare(_NEW_USER | more)
    own = pathlib.Path('/proc/self')
    (own / 'setgroups').write_text('deny')
    (own / 'uid_map').write_text(f'{user} {user} 1')
    (own / 'gid_map').write_text(f'{group} {group} 1')


def drop_capabilities() -> None:
    """Gives up all capabilities, which would override the permissions of one's own files."""
    header = struct.pack('Ii', _CAPABILITY_VERSION, 0)
    _check(_LIBC.capset(header, bytes(24)))


def _unshare(flags: int) -> None:
    _check(_LIBC.unshare(flags))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = bytearray(struct.pack('16sh22x', b'lo', 0))
        fcntl.ioctl(control, _SIOCGIFFLAGS, request)
        (flags,) = struct.unpack_from('h', request, 16)
        struct.pack_into('h', request, 16, flags | _IFF_UP)
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)


def _check_loopback() -> None:
    """Raises an OSError if a connection within this process does not come about."""
    with socket.socket() as server, socket.socket() as client:
        server.bind(('127.0.0.1', 0))
        server.listen(1)
        client.settimeout(1.0)
        try:
            client.connect(server.getsockname())
        except TimeoutError as e:
            raise OSError(errno.ETIMEDOUT, 'localhost does not answer') from e


def shut_in() -> None:
    """Moves this process to where it has no network and can write nothing but /dev/shm.

    The file system is read-only for it and all that it will start, devices other than /dev/null and
    the like are closed, and no right can be gained. The processes that it starts see themselves
    alone. It keeps what it has opened, reads what its user may read, and may connect to sockets in
    the file system.

    Raises:
      OSError: the kernel does not allow it.
    """
    enter_user_namespace(_NEW_NETWORK | _NEW_MOUNTS | _NEW_PROCESSES | _NEW_IPC)
    _bring_up_loopback()
    _mount(None, '/', None, _MS_REC | _MS_PRIVATE)
    devices = [path for name in _DEVICES if os.path.exists(path := f'/dev/{name}')]
    for path in devices:
        _mount(path, path, None, _MS_BIND)
    _set_mount('/', add=_READ_ONLY | _NO_DEVICES)
    for path in devices:
        _set_mount(path, remove=_NO_DEVICES)
    _mount('tmpfs', '/dev/shm', 'tmpfs', 0)
    for capability in range(_LAST_CAPABILITY + 1):
        _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those that there are not
    _check(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    drop_capabilities()


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    names = (name.encode() if name else None for name in (source, target, kind))
    _check(_LIBC.mount(*names, ctypes.c_ulong(flags), None))


def _set_mount(path: str, add: int = 0, remove: int = 0) -> None:
    """Changes what a mount, and those below it, allow."""
    attributes = struct.pack('4Q', add, remove, 0, 0)
    _check(
        _LIBC.syscall(
            _MOUNT_SETATTR, _AT_FDCWD, path.encode(), _AT_RECURSIVE, attributes, len(attributes)
        )
    )
