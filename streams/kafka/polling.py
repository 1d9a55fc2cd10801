"""Waiting for a message by a clock that nobody sets.

librdkafka waits until a time of the wall clock. Where that is set back by an hour meanwhile, a poll of 50 ms takes an
hour, unless a message comes: a batch would stay unfinished, a worker could not be stopped.
"""

import threading
import time
from collections.abc import Callable

from confluent_kafka import Consumer, Message

_LOOK_EVERY_S = 0.005


def poll(consumer: Consumer, timeout_s: float, wait: Callable[[float], bool] | None = None) -> Message | None:
    """Return the next message or error, None if none comes in time. Serves the consumer's callbacks, as its own poll.

    `wait` waits for at most so many seconds, and returns whether there is no point in waiting any more.
    """
    wait = wait or threading.Event().wait
    until = time.monotonic() + timeout_s
    while (message := consumer.poll(0)) is None:
        left = until - time.monotonic()
        if left <= 0 or wait(min(left, _LOOK_EVERY_S)):
            return None
    return message
