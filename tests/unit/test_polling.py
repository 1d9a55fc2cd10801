"""Waiting for messages by the monotonic clock."""

import time
from typing import Any, cast

from flumen.streams.kafka.polling import poll


class Queue:
    """A consumer that has something only at its `after`-th poll, and that must never wait by itself."""

    def __init__(self, after: int) -> None:
        self.polls = 0
        self.after = after

    def poll(self, timeout_s: float) -> Any:
        assert timeout_s == 0
        self.polls += 1
        return "message" if self.polls >= self.after else None


def test_what_is_there_is_returned_at_once() -> None:
    waits: list[float] = []
    assert poll(cast(Any, Queue(1)), 60, lambda s: bool(waits.append(s))) == "message"
    assert not waits


def test_what_comes_is_waited_for() -> None:
    queue = Queue(10)
    assert poll(cast(Any, queue), 60) == "message"
    assert queue.polls == 10


def test_nothing_comes_in_time() -> None:
    started = time.monotonic()
    assert poll(cast(Any, Queue(10**9)), 0.02) is None
    assert time.monotonic() - started >= 0.02
    queue = Queue(2)
    assert (poll(cast(Any, queue), 0), poll(cast(Any, queue), -1)) == (None, "message"), (
        "looked at once, anyhow"
    )


def test_who_leaves_does_not_wait() -> None:
    queue = Queue(10**9)
    assert poll(cast(Any, queue), 60, lambda _: True) is None
    assert queue.polls == 1
