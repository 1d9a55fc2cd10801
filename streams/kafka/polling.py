"""Waiting for a message by a clock that nobody sets, and without looking again and again.

librdkafka waits until a time of the wall clock. Where that is set back by an hour meanwhile, a poll of 50 ms takes an
hour, unless a message comes: a batch would stay unfinished, a worker could not be stopped. So nobody waits within
librdkafka. It writes to a file descriptor when something comes, which the system watches by the monotonic clock.
"""

import ctypes
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import confluent_kafka
from confluent_kafka import Consumer, Message

KNOWN_CLIENTS = ("2.16.1",)
"""Versions of the binding whose objects were seen to hold, behind Python's own head, librdkafka's handle."""

_HANDLE_AT = object.__basicsize__
_LOOK_EVERY_S = 0.005
_LOOK_ANYHOW_S = 1.0
_TOLD = struct.pack("=Q", 1)
_RD_KAFKA_CONSUMER = 1


class Arrivals:
    """Waits until there is something to take of a consumer, or somebody wakes it. One thread waits, any may wake.

    The binding has no call for `rd_kafka_queue_io_event_enable`, so it is made past it. Of a binding that is not
    known, `is_told` is False, and a wait ends every 5 ms, for its consumer to be looked at.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._watch = select.poll()
        self._watch.register(self._fd, select.POLLIN)
        self.is_told = _let_tell(consumer, self._fd)

    def wait(self, timeout_s: float) -> None:
        """Wait for at most so many seconds. That it ends does not say that there is something: look.

        Who calls has taken all there was: of what comes while something is left, nothing is told.
        """
        longest_s = _LOOK_ANYHOW_S if self.is_told else _LOOK_EVERY_S
        if self._watch.poll(1000 * max(0.0, min(timeout_s, longest_s))):
            os.eventfd_read(self._fd)

    def wake(self) -> None:
        """End the wait that is, or else the next one."""
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        """Release the descriptor; only behind its consumer, which writes to it. Whoever wakes it later wakes nobody."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def poll(consumer: Consumer, wait: Callable[[float], None], timeout_s: float) -> Message | None:
    """Return the next message or error, None if none comes in time. Serves the consumer's callbacks, as its own poll.

    `wait` is that of its `Arrivals`.
    """
    until = time.monotonic() + timeout_s
    while (message := consumer.poll(0)) is None:
        left = until - time.monotonic()
        if left <= 0:
            return None
        wait(left)
    return message


def _let_tell(consumer: Consumer, fd: int) -> bool:
    """Let librdkafka write to a file descriptor when something comes to be taken. Returns whether it will."""
    library = _library()
    if library is None or cast(str, confluent_kafka.version()) not in KNOWN_CLIENTS:
        return False
    handle = ctypes.c_void_p.from_address(id(consumer) + _HANDLE_AT)
    if not handle or library.rd_kafka_type(handle) != _RD_KAFKA_CONSUMER:
        return False
    queue = ctypes.c_void_p(library.rd_kafka_queue_get_consumer(handle))
    library.rd_kafka_queue_io_event_enable(queue, fd, _TOLD, len(_TOLD))
    library.rd_kafka_queue_destroy(queue)  # this reference to it
    return True


def _library() -> Any:
    """Return the librdkafka that came with the binding, None where it uses another one."""
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    found = next(folder.glob("librdkafka*.so*"), None)
    if found is None:
        return None
    library = ctypes.CDLL(str(found))
    library.rd_kafka_queue_get_consumer.restype = ctypes.c_void_p
    library.rd_kafka_queue_io_event_enable.argtypes = (
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_size_t,
    )
    library.rd_kafka_queue_io_event_enable.restype = None
    library.rd_kafka_queue_destroy.restype = None
    return library
