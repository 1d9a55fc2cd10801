"""Waiting for messages by the monotonic clock."""

import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import confluent_kafka
import pytest
from confluent_kafka import Consumer

from flumen.streams.kafka.polling import KNOWN_CLIENTS, Arrivals, poll

LONG_S = 60


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
    assert poll(cast(Any, Queue(1)), waits.append, LONG_S) == "message"
    assert not waits


def test_what_comes_is_waited_for() -> None:
    waits: list[float] = []
    queue = Queue(10)
    assert poll(cast(Any, queue), waits.append, LONG_S) == "message"
    assert (queue.polls, len(waits)) == (10, 9)
    assert all(0 < wait <= LONG_S for wait in waits)


def test_nothing_comes_in_time() -> None:
    started = time.monotonic()
    assert poll(cast(Any, Queue(10**9)), lambda _: None, 0.02) is None
    assert time.monotonic() - started >= 0.02
    queue = Queue(2)
    waits: list[float] = []
    assert [poll(cast(Any, queue), waits.append, s) for s in (0, -1)] == [None, "message"], "looked at once"
    assert not waits


@pytest.fixture
def arrivals() -> Iterator[Arrivals]:
    """Those of a consumer that reads nothing."""
    consumer = Consumer({"group.id": "nobody"})
    arrivals = Arrivals(consumer)
    yield arrivals
    consumer.close()
    arrivals.close()


def test_the_binding_is_known(arrivals: Arrivals) -> None:
    """A newer one: does librdkafka's handle stand at the same place? Then `KNOWN_CLIENTS` may name it.

    tests/integration/test_relied_on.py says whether it tells of what comes.
    """
    assert cast(str, confluent_kafka.version()) in KNOWN_CLIENTS
    assert arrivals.is_told


def test_a_binding_that_is_not_known_is_looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flumen.streams.kafka.polling.KNOWN_CLIENTS", ())
    consumer = Consumer({"group.id": "nobody"})
    arrivals = Arrivals(consumer)
    assert not arrivals.is_told
    for _ in range(3):
        arrivals.wait(LONG_S)  # each ends at once
    consumer.close()
    arrivals.close()


def test_whoever_wakes_ends_the_wait_that_is_or_the_next_one(arrivals: Arrivals) -> None:
    waiting = threading.Thread(target=lambda: [arrivals.wait(LONG_S) for _ in range(2 * LONG_S)])
    waiting.start()
    while waiting.is_alive():  # it goes on far sooner than by its own time
        arrivals.wake()
        waiting.join(0.001)


def test_behind_its_end_nobody_is_woken() -> None:
    consumer = Consumer({"group.id": "nobody"})
    arrivals = Arrivals(consumer)
    consumer.close()
    arrivals.close()
    arrivals.close()
    arrivals.wake()
