"""Reading: a Faust service that owns a confluent-kafka consumer and hands over one micro-batch at a time.

One thread does everything with the consumer: it polls, commits and leaves the group. (From any other thread a commit
waits for the poll to end.) The agent takes the batches from a Faust channel. While it does not, or while more bytes
are in hand than allowed, the thread goes on polling a paused consumer, so that a worker that waits for a store stays a
member of its consumer group.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import faust
import structlog
from confluent_kafka import Consumer, TopicPartition

from flumen.streams.kafka.errors import make_consumer, translated
from flumen.streams.kafka.message import Partition, RawMessage
from flumen.streams.kafka.polling import poll
from flumen.streams.kafka.received import raw_message
from flumen.streams.live.brokers import Brokers, callback, group_config, read_lag
from flumen.streams.live.commits import Commits
from flumen.streams.live.health import Pulse
from flumen.streams.live.ledger import OffsetLedger, Receipt

log = structlog.get_logger(__name__)

_COMMIT_EVERY_S = 0.1
_PAUSE_AFTER_S = 1.0
"""How long the thread waits for the agent before it polls, paused, for its group's sake."""
_LOOK_EVERY_S = 1.0
_LAST_COMMIT_S = 10.0
_MESSAGE_BYTES = 400
_HEADER_BYTES = 170
"""What Python's objects take around a message's bytes and around a header's, at least."""
_BATCHES_IN_HAND = 4
"""One with the reader, one in the channel, one being decoded, one being written: together they have to fit."""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Messages taken together. `taken_at` is `time.monotonic()` seconds; `receipt` is what the ledger wants back."""

    messages: Sequence[RawMessage]
    receipt: Receipt
    taken_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderOptions:
    """How to read: the topic, librdkafka's settings, when a micro-batch is full, and how much may be in hand.

    `max_in_flight_bytes` bounds the messages taken and not yet acknowledged, `max_message_bytes` is the size of one.
    """

    topic: str
    consumer: dict[str, str | int | float | bool]
    max_batch_size: int = 500
    max_batch_time_s: float = 0.05
    max_in_flight_bytes: int = 256 * 1024 * 1024
    max_message_bytes: int = 17 * 1024 * 1024
    max_poll_interval_s: float = 300
    stop_timeout_s: float = 30


class Reader(faust.Service):
    """Puts `MicroBatch` values into a channel, in the order of their offsets, and commits what is acknowledged."""

    mundane_level = "debug"

    def __init__(self, options: ReaderOptions, channel: faust.ChannelT[Any], pulse: Pulse) -> None:
        super().__init__()
        self.options = options
        self._channel = channel
        self._pulse = pulse
        self._ledger = OffsetLedger()
        self._filling: list[RawMessage] = []
        self._paused: set[Partition] = set()
        self._commits = Commits(self._ledger)
        self._brokers = Brokers(options.topic, options.consumer, pulse, self._end_soon)
        self._leaving = threading.Event()
        self._leave_by = float("inf")
        self.unfinished = 0
        self._look_at = 0.0
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._ended: asyncio.Future[None] | None = None

    async def on_start(self) -> None:
        """Join the consumer group and begin to read."""
        self._ended = self.loop.create_future()
        self._thread.start()
        self.add_future(self._watch_thread())

    async def on_stop(self) -> None:
        """Take nothing more, let what was taken be finished and committed, then leave the group."""
        self._leave_by = min(self._leave_by, time.monotonic() + self.options.stop_timeout_s)
        self._leaving.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of the messages taken and not yet acknowledged."""
        return self._ledger.open_bytes()

    def abandon(self) -> None:
        """Let a stop not wait for what is in hand: nobody will finish it any more."""
        self._leave_by = 0.0

    def acknowledge(self, batch: MicroBatch) -> None:
        """Let a batch that is in every store be committed, as soon as all before it on its partitions are as well."""
        self._commits.acknowledge(batch.receipt)
        self._pulse.progressed()

    async def _watch_thread(self) -> None:
        assert self._ended is not None
        await self._ended  # raises what ended the thread, and so stops the worker

    def _run(self) -> None:
        try:
            consumer = make_consumer(
                {
                    "max.poll.interval.ms": int(self.options.max_poll_interval_s * 1000),
                    **group_config(self.options.consumer),
                    **self.options.consumer,
                    "error_cb": callback(self._brokers.failed, self._end_soon),
                    "on_commit": callback(self._commits.answered, self._end_soon),
                },
                logging.getLogger("librdkafka"),
            )
            try:
                self._read(consumer)
            finally:
                consumer.close()
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the event loop, whatever it is
            self._end_soon(translated(self._brokers.reading, error))

    def _end_soon(self, error: Exception) -> None:
        self.loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: Exception) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _read(self, consumer: Consumer) -> None:
        consumer.subscribe(
            [self.options.topic],
            on_assign=callback(self._on_assign, self._end_soon),
            on_revoke=callback(self._on_revoke, self._end_soon),
            on_lost=callback(self._on_lost, self._end_soon),
        )
        while not self._leaving.is_set():
            if self._has_room(0) or self._stay(consumer, self._has_room, self._leaving.is_set):
                self._resume(consumer)
                batch = self._fill(consumer)
                if batch is not None:
                    self._hand_over(consumer, batch)
            self._commits.commit(consumer, wait=False)
            self._look_at_lag(consumer)
        if not self._stay(consumer, self._ledger.wait_until_done, self._is_late):
            self.unfinished = self._ledger.open_spans()
            log.warning(
                "leaving with batches unfinished; they will be delivered again", batches=self.unfinished
            )
        self._commit_the_last(consumer)

    def _has_room(self, timeout_s: float) -> bool:
        """Say whether one more message may be taken, however large; wait for it at most so long."""
        room = self.options.max_in_flight_bytes - self.options.max_message_bytes
        return self._ledger.wait_until_below(room, timeout_s)

    def _fill(self, consumer: Consumer) -> MicroBatch | None:
        """Take messages until the batch is full: by count, by bytes, or by time."""
        options = self.options
        room = options.max_in_flight_bytes - options.max_message_bytes - self._ledger.open_bytes()
        max_bytes = min(room, options.max_in_flight_bytes // _BATCHES_IN_HAND)
        until = time.monotonic() + options.max_batch_time_s
        size = sum(map(size_of, self._filling))
        while len(self._filling) < options.max_batch_size and size <= max_bytes:
            message = poll(consumer, until - time.monotonic(), self._leaving.wait)
            if message is None:
                break
            if not self._brokers.is_error(message.error()):
                self._filling.append(raw := raw_message(message))
                size += size_of(raw)
        raws, self._filling = self._filling, []
        if not raws:
            return None
        self._brokers.delivered()
        last_offsets = {(raw.topic, raw.partition): raw.offset for raw in raws}
        return MicroBatch(raws, self._ledger.take(last_offsets, size), time.monotonic())

    def _hand_over(self, consumer: Consumer, batch: MicroBatch) -> None:
        taken = asyncio.run_coroutine_threadsafe(self._channel.put(cast(Any, batch)), self.loop)
        if not self._stay(consumer, partial(_done_within, taken), self._is_late):
            taken.cancel()

    def _is_late(self) -> bool:
        return time.monotonic() > self._leave_by

    def _stay(self, consumer: Consumer, ready: Callable[[float], bool], give_up: Callable[[], bool]) -> bool:
        """Stay a member of the group until something else is ready, or there is no point in waiting for it.

        `ready` waits for at most so many seconds. Returns whether it came true.
        """
        waiting_since = time.monotonic()
        while not ready(_COMMIT_EVERY_S):
            if give_up():
                return False
            self._commits.commit(consumer, wait=False)
            self._look_at_lag(consumer)
            if time.monotonic() - waiting_since > _PAUSE_AFTER_S:
                assigned = consumer.assignment()
                consumer.pause(assigned)
                self._paused.update((p.topic, p.partition) for p in assigned)
                stray = consumer.poll(0)
                if stray is not None and not self._brokers.is_error(stray.error()):
                    self._filling.append(raw_message(stray))  # of a partition that has just been assigned
        return True

    def _resume(self, consumer: Consumer) -> None:
        """Resume what was paused. A partition that was lost while paused is still paused when it comes back."""
        if not self._paused:
            return
        back = [p for p in consumer.assignment() if (p.topic, p.partition) in self._paused]
        if back:
            consumer.resume(back)
            self._paused -= {(p.topic, p.partition) for p in back}

    def _commit_the_last(self, consumer: Consumer) -> None:
        """Commit what is done before the group is left; while the group rebalances it takes no commits."""
        consumer.pause(consumer.assignment())
        until = time.monotonic() + _LAST_COMMIT_S
        self._commits.commit(consumer, wait=True)
        while (left := self._commits.uncommitted()) and time.monotonic() < until:
            if (stray := poll(consumer, _COMMIT_EVERY_S)) is not None:
                self._brokers.is_error(stray.error())
            self._commits.commit(consumer, wait=True)
        if left:
            # Nothing is lost by it: what is not committed is delivered again.
            log.warning("the last offsets were not committed", partitions=[p[1] for p in left])

    def _look_at_lag(self, consumer: Consumer) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY_S
        self._brokers.ask(consumer)
        self._pulse.observe(read_lag(consumer), self._ledger.open_spans())

    def _on_assign(self, _consumer: Consumer, assigned: list[TopicPartition]) -> None:
        self._brokers.delivered()
        self._commits.own((p.topic, p.partition) for p in assigned)
        log.info("partitions assigned", partitions=[p.partition for p in assigned])

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        partitions = [(p.topic, p.partition) for p in revoked]
        # Called while polling: longer than a fifth of the poll interval, and the group would expel this worker.
        longest_s = min(self.options.max_poll_interval_s / 5, max(0.0, self._leave_by - time.monotonic()))
        finished = self._ledger.wait_until_done(longest_s, partitions)
        self._commits.commit(consumer, wait=True)
        self._forget(partitions)
        log.info("partitions revoked", partitions=[p.partition for p in revoked], finished=finished)

    def _on_lost(self, _consumer: Consumer, lost: list[TopicPartition]) -> None:
        partitions = [(p.topic, p.partition) for p in lost]
        self._forget(partitions)
        log.warning(
            "partitions lost; what was in hand is delivered again", partitions=[p[1] for p in partitions]
        )

    def _forget(self, partitions: Sequence[Partition]) -> None:
        """Drop, unacknowledged, what is in hand of partitions that are another worker's now."""
        self._commits.forget(partitions)
        self._filling = [raw for raw in self._filling if (raw.topic, raw.partition) not in partitions]


def size_of(raw: RawMessage) -> int:
    """Return about how many bytes a message keeps in memory: what it carries, and the objects that carry it."""
    carried = len(raw.value or b"") + len(raw.key or b"")
    headers = sum(len(name) + len(value or b"") + _HEADER_BYTES for name, value in raw.headers)
    return carried + headers + _MESSAGE_BYTES


def _done_within(future: "Future[None]", timeout_s: float) -> bool:
    try:
        future.result(timeout_s)
    except FutureTimeout:
        return False
    return True
