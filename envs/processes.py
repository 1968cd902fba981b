"""One process for each copy of an environment: Gymnasium's `AsyncVectorEnv`, made to end well.

What it adds: a copy's exception arrives as it was raised, with its traceback; a copy that dies or
hangs is one error instead of a wait without end; and no process outlives the one that started it.

    this process                         one for each copy (spawned, without TensorFlow)
    step(actions) -- pipe: action ---->  env.step(action)
                                         observation -> shared memory
                  <- pipe: reward, ends, info --
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import time
import traceback
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, resource_tracker
from typing import Any

import gymnasium as gym
from gymnasium.vector import async_vector_env

from envs.errors import EnvError

DEADLINE_SECONDS = 600.0  # for making a copy, a reset or a step
_CLOSING_SECONDS = 2.0  # for all copies to close by themselves
_DYING_SECONDS = 10.0  # between a copy's last word and the end of its process
_PR_SET_PDEATHSIG = 1  # Linux: the signal this process gets when the one that started it dies
_FOR_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_open: weakref.WeakSet[ProcessVectorEnv] = weakref.WeakSet()


@atexit.register  # after multiprocessing's own, so it is called before it
def _close_all() -> None:
    for each in list(_open):
        each.close()


class RemoteTraceback(Exception):
    """The cause of an exception that came from another process: the traceback there."""

    def __str__(self) -> str:
        return f'in the process of a copy:\n{self.args[0]}'


class ProcessVectorEnv(gym.vector.AsyncVectorEnv):
    """Copies of one environment that step side by side, each in its own process.

    Observations come through shared memory. Copies play as they would in a `SyncVectorEnv`: the
    same seeds and actions give the same episodes.

    Raises:
      EnvError: a process ended, or took longer than `DEADLINE_SECONDS`, in the constructor,
        `reset`, `step` or `render`.
      Exception: what an environment raised there, with a `RemoteTraceback` as its cause.
    """

    def __init__(self, name: str, env_fns: Sequence[Callable[[], gym.Env]]):
        """Makes the copies.

        Args:
          name: the environment's, for errors.
          env_fns: make one copy each. cloudpickle sends them to the processes.
        """
        self._name = name
        self._told: BaseException | None = None  # by a copy
        _open.add(self)
        try:
            with self._ends_are_errors(), contextlib.ExitStack() as self._starting:
                self._starting.enter_context(_starting_processes())
                super().__init__(
                    env_fns,
                    context='spawn',  # TensorFlow's threads do not survive a fork
                    worker=_play,  # type: ignore[arg-type]  # its annotation lacks an argument
                    autoreset_mode=gym.vector.AutoresetMode.NEXT_STEP,
                )
        except BaseException:
            self._kill()
            raise

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        with self._ends_are_errors():
            self.reset_async(seed=seed, options=options)
            return self.reset_wait(timeout=DEADLINE_SECONDS)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        with self._ends_are_errors():
            self.step_async(actions)
            return self.step_wait(timeout=DEADLINE_SECONDS)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        with self._ends_are_errors():
            self.call_async(name, *args, **kwargs)
            return self.call_wait(timeout=DEADLINE_SECONDS)

    def close_extras(
        self, timeout: float | None = None, terminate: bool = False, **kwargs: Any
    ) -> None:
        """Lets the copies close themselves, and kills those that take too long.

        Args:
          timeout: seconds in which they may close; 2 by default.
          terminate: kill them at once.
        """
        idle = getattr(self, '_state', None) == async_vector_env.AsyncState.DEFAULT
        if idle and not terminate:
            for pipe in self._pipes():
                with contextlib.suppress(OSError):
                    pipe.send(('close', None))
            end = time.monotonic() + (_CLOSING_SECONDS if timeout is None else timeout)
            for process in self.processes:
                process.join(max(0.0, end - time.monotonic()))
        self._kill()

    def _pipes(self) -> list[connection.Connection]:
        return [pipe for pipe in getattr(self, 'parent_pipes', []) if pipe is not None]

    def _kill(self) -> None:
        for process in getattr(self, 'processes', []):
            if process.pid is not None:
                process.kill()
                process.join()
        for pipe in self._pipes():
            pipe.close()
        self.closed = True
        _open.discard(self)

    def _check_spaces(self) -> None:
        """Waits until every copy has been made; the parent class would wait without a deadline."""
        self._starting.close()
        self.call_async('has_wrapper_attr', 'spec')
        self.call_wait(timeout=DEADLINE_SECONDS)
        super()._check_spaces()

    def _raise_if_errors(self, successes: Any) -> None:
        """Raises what the first copy that failed raised; the parent class prints it as well."""
        if all(successes):
            return
        try:
            _, _, error, trace = self.error_queue.get(timeout=_DYING_SECONDS)
        except queue.Empty as e:
            raise EnvError(f"environment '{self._name}': a copy failed without a word") from e
        error.__cause__ = RemoteTraceback(trace)
        self._told = error
        raise error

    @contextlib.contextmanager
    def _ends_are_errors(self) -> Iterator[None]:
        """Turns the end of a process, and a wait that is too long, into an EnvError."""
        try:
            yield
        except multiprocessing.TimeoutError as e:
            raise EnvError(
                f"environment '{self._name}': a copy has not answered for "
                f'{DEADLINE_SECONDS:,.0f} s in its process'
            ) from e
        except (EOFError, OSError) as e:
            if e is self._told:
                raise
            how = self._how_one_ended() or f'its processes cannot be started or reached: {e}'
            raise EnvError(f"environment '{self._name}': {how}") from e

    def _how_one_ended(self) -> str | None:
        """The end of the first copy whose process is over; None if all run, or none has begun."""
        begun = [process for process in getattr(self, 'processes', []) if process.pid is not None]
        sentinels = [process.sentinel for process in begun]
        ended = connection.wait(sentinels, _DYING_SECONDS) if begun else []
        for i, process in enumerate(begun):
            if process.sentinel in ended:
                process.join(_DYING_SECONDS)
                code = process.exitcode or 0
                which = f'the process of copy {i + 1} of {self.num_envs}'
                if code >= 0:
                    return f'{which} ended with exit code {code}'
                full = ' (is the memory full?)' if code == -signal.SIGKILL else ''
                return f'{which} was killed by {signal.Signals(-code).name}{full}'
        return None


@contextlib.contextmanager
def _starting_processes() -> Iterator[None]:
    """Surrounds the start of processes that `_play`.

    They do not import the main module: a script without `if __name__ == '__main__'` would start
    itself again in each of them. (cloudpickle sends what is defined there.) And signals to the
    whole group wait, in them, until `_play` says what becomes of them.
    """
    main = sys.modules['__main__']
    _start_the_tracker()  # or it would be started within, and unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_PARENT)
    sys.modules['__main__'] = types.ModuleType('__main__')
    try:
        yield
    finally:
        sys.modules['__main__'] = main
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_the_tracker() -> None:
    """Starts multiprocessing's tracker of semaphores, which warns of them when this is killed."""
    given = os.environ.get('PYTHONWARNINGS')
    os.environ['PYTHONWARNINGS'] = 'ignore:resource_tracker'
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ['PYTHONWARNINGS']
        if given is not None:
            os.environ['PYTHONWARNINGS'] = given


def _can_be_sent(value: Any) -> bool:
    try:
        pickle.loads(pickle.dumps(value))
    except Exception:
        return False
    return True


class _Errors:
    """A queue for errors; one that cannot be pickled is sent as its words."""

    def __init__(self, queue: Any):
        self._queue = queue

    def put(self, told: tuple[int, type, BaseException, str]) -> None:
        index, kind, error, trace = told
        if not _can_be_sent(error):
            error = RuntimeError(f'{kind.__name__}: {error}')
        self._queue.put((index, type(error), error, trace))


class _Pipe:
    """A pipe; parts of an `info` that cannot be pickled are left out."""

    def __init__(self, pipe: connection.Connection):
        self._pipe, self.recv = pipe, pipe.recv

    def send(self, message: tuple[Any, bool]) -> None:
        try:
            self._pipe.send(message)
        except (pickle.PicklingError, AttributeError, TypeError):
            answer, success = message
            if not isinstance(answer, tuple) or not isinstance(answer[-1], dict):
                raise
            info = {name: value for name, value in answer[-1].items() if _can_be_sent(value)}
            self._pipe.send(((*answer[:-1], info), success))


def _play(
    index: int,
    env_fn: Callable[[], gym.Env],
    pipe: Any,
    parent_pipe: Any,
    shared_memory: Any,
    error_queue: Any,
    autoreset_mode: gym.vector.AutoresetMode,
) -> None:
    """Plays one copy, in its process, until it is told to close."""
    # They come to the whole group, and the process that started this one may have work to end. A
    # handler, unlike SIG_IGN, is not passed on to programs that the environment starts.
    for number in _FOR_THE_PARENT:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_THE_PARENT)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is None or os.getppid() != parent.pid:  # it died before the call above
        os._exit(1)
    errors: Any = _Errors(error_queue)
    to_parent: Any = _Pipe(pipe)
    try:
        async_vector_env._async_worker(
            index, env_fn, to_parent, parent_pipe, shared_memory, errors, autoreset_mode
        )
    except BaseException as e:  # a constructor's, `sys.exit`, or that of `close`
        errors.put((index, type(e), e, traceback.format_exc()))
        with contextlib.suppress(OSError):
            pipe.send((None, False))
