"""One process that intercepts, seen from outside: started when it is wanted, ended, and started anew."""

import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from flumen.interceptor import Limits
from flumen.interceptor.errors import DecoderDied, DecodeTooLong, Unclassifiable
from flumen.models.errors import DecoderUnavailable
from flumen.models.processes.child_process import (
    SILENT_S,
    TIMES_SILENT,
    ChildProcess,
    NotStarted,
    start_child,
)
from flumen.models.processes.exchange import Exchange, create_exchange, decoded_sizes
from flumen.models.processes.interception_tasks import ANSWERS, Task

NAME = "a process that intercepts"
"""What messages call it."""

STOPPING = "the worker is stopping, and decodes nothing more"

_MOST_OF_SIZES = 1024 * 1024
_MODULE = "flumen.models.processes.interception_process"


@dataclass(slots=True)
class Intercepting:
    """A process, and what it shares with this one. It can be asked once `is_ready`."""

    child: ChildProcess
    exchange: Exchange
    is_ready: bool = False
    started_at: float = field(default_factory=time.monotonic)

    def ask(self, task: Task, contents: list[bytes]) -> None:
        """Let it begin with a task.

        Raises:
            DecoderUnavailable: there is no memory for what it is asked; it has not been told of it.
            OSError: it has ended.
        """
        try:
            sizes = self.exchange.write(task, contents)
        except OSError as error:
            raise DecoderUnavailable(f"{NAME} cannot be asked: {error}") from error
        self.child.connection.send_bytes(sizes.encoded())

    def take(self) -> Any:
        """Return its answer, an InterceptorError if that is what it raised; waits for it.

        Raises:
            EOFError, OSError: it has ended, or what it sent is no answer.
        """
        message = self.child.connection.recv_bytes(_MOST_OF_SIZES)
        try:
            answer, _ = self.exchange.read(decoded_sizes(message), ANSWERS)
        except Exception as error:  # it was taken over: whatever it wrote leads to
            raise OSError(f"{NAME} sent what is no answer: {error}") from error
        self.exchange.shrink()
        return answer


class KeptProcess:
    """A process that is there when it is asked for. One thread uses it; `close` may be called from any other."""

    def __init__(self) -> None:
        self._current: Intercepting | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def current(self) -> Intercepting | None:
        """The process, where there is one."""
        return self._current

    @property
    def pid(self) -> int | None:
        """The process's id, where there is one."""
        current = self._current
        return None if current is None else current.child.process.pid

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._closed

    def started(self) -> Intercepting:
        """Return the process that is there, or start one and do not wait for it.

        Raises:
            DecoderUnavailable: it does not start, or this is closed.
        """
        with self._lock:
            if self._closed:
                raise DecoderUnavailable(STOPPING)
            if self._current is None:
                self._current = _start()
            return self._current

    def ready(self) -> Intercepting:
        """Return a process that can be asked. Without the lock: `close` does not wait for one that starts.

        Raises:
            DecoderUnavailable: as `started`.
        """
        process = self.started()
        if process.is_ready:
            return process
        try:
            process.child.await_ready()
        except NotStarted as error:
            self.forget(process)
            raise (DecoderUnavailable(STOPPING) if self._closed else _unavailable(error)) from error
        except BaseException:  # Ctrl-C: nobody waits for it any more
            self.end(process)
            raise
        process.is_ready = True
        return process

    def forget(self, process: Intercepting) -> int:
        """End a process that has ended or is to end; the next one is another. Return its exit code."""
        with self._lock:
            if self._current is process:
                self._current = None
        code = process.child.end()
        process.exchange.close()
        return code

    def end(self, process: Intercepting) -> int:
        """End a process that may be busy, and return its exit code."""
        process.child.process.kill()
        return self.forget(process)

    def close(self) -> None:
        """End it, also where it is busy: whoever waits for it gets no answer. A second call does nothing."""
        with self._lock:
            self._closed = True
            current, self._current = self._current, None
        if current is not None:
            current.child.kill()


def silent_s(limits: Limits) -> float:
    """Return after how many seconds at one image a process is taken to hang."""
    return TIMES_SILENT * limits.max_decode_time_s + SILENT_S


def too_long(code: int, limits: Limits) -> Unclassifiable | None:
    """Return why an image is refused at which a process has ended, if it was for the time that it took."""
    if code != -signal.SIGPROF:
        return None
    return DecodeTooLong(
        f"to decode it takes more than {limits.max_decode_time_s:g} s, which is max_decode_time_s; "
        "publish a smaller version or raise the limit"
    )


def died(code: int) -> Unclassifiable:
    """Return why an image is refused that has ended two processes."""
    return DecoderDied(
        f"it has twice ended the process that decodes it (exit code {code}); keep it for whoever maintains "
        "Pillow, and publish it in another format"
    )


def _start() -> Intercepting:
    try:
        exchange = create_exchange()
    except OSError as error:
        raise DecoderUnavailable(f"{NAME} does not start: {error}") from error
    try:
        return Intercepting(start_child(_MODULE, files=(exchange.fd,)), exchange)
    except NotStarted as error:
        exchange.close()
        raise _unavailable(error) from error


def _unavailable(error: NotStarted) -> DecoderUnavailable:
    return DecoderUnavailable(f"{NAME} {error}; see its message above, if it has left one")
