"""Being asked to stop, and leaving: at any moment, with the exit code that is documented, whatever hangs."""

import asyncio
import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """SIGTERM or SIGINT, heard from the moment this is made, in the main thread.

    So it is made before anything that takes its time: where a program is process 1, as in a container, the system
    drops the signals that it does not listen to.
    """

    def __init__(self) -> None:
        self._made = False
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self._note())

    async def made(self) -> None:
        """Return once it was made. For one event loop, in the main thread."""
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        for number in _SIGNALS:
            loop.add_signal_handler(number, heard.set)
        if not self._made:
            await heard.wait()

    def _note(self) -> None:
        self._made = True


def leave_after(
    after_s: float, code: int, last_words: Callable[[], None] = lambda: None
) -> Callable[[], None]:
    """End the process if it has not ended by then: who closes a thread waits for it, and so does the interpreter.

    Returns what takes this back.
    """

    def leave() -> None:
        last_words()
        _leave(code)

    timer = threading.Timer(after_s, leave)
    timer.daemon, timer.name = True, "leave"
    timer.start()
    return timer.cancel


@contextmanager
def leaving_behind(hanging: list[str]) -> Iterator[None]:
    """Run the block; if threads hang at its end, by name, let the process end without them and with its own code.

    A thread within a library's code goes on while the interpreter and the library are taken down around it, which
    ends in SIGABRT. So they are not taken down.
    """
    code = 1
    try:
        yield
        code = 0
    finally:
        if hanging:
            log.warning("leaving without the threads that hang", threads=hanging)
            atexit.register(_leave, code)  # the last one registered is the first to be called


def _leave(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
