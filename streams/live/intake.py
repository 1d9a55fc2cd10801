"""Taking images from Kafka, a micro-batch at a time, and committing what is acknowledged: one thread's work.

The thread does everything with the consumer: it polls, commits and leaves the group. Batches are handed over one after
another. What has come is handed over at once while nothing is in hand and nothing was handed over just now; else the
next batch fills, so that batches are as large as the load needs and no image waits longer than that. While nobody takes
them, or while more bytes are in hand than allowed, the thread goes on polling a paused consumer, so that a worker that
waits for a store stays a member of its consumer group.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import structlog

from flumen.streams.kafka.group import GroupConsumer
from flumen.streams.kafka.message import Partition, RawMessage
from flumen.streams.live.beside import done_within
from flumen.streams.live.commits import Commits
from flumen.streams.live.concurrency import LIVE
from flumen.streams.live.filling import Bounds, Filling
from flumen.streams.live.health import Pulse
from flumen.streams.live.ledger import OffsetLedger, Receipt

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Messages taken together. `taken_at` is `time.monotonic()` seconds; `receipt` is what the ledger wants back."""

    messages: Sequence[RawMessage]
    receipt: Receipt
    taken_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeOptions:
    """When a micro-batch is full, how much may be in hand, and how long things may take, in seconds.

    `max_batch_size` messages or `max_batch_bytes` make a full batch. The first one has `first_batch_size` messages at
    most, and each after it twice as many: what runs for the first time takes long, and the first image would wait for
    all beside it. `max_batch_time_s` is how long a batch fills at most while others are in hand; every `take_every_s`
    meanwhile it takes what has come. Batches that are not full are handed over `hand_over_every_s` apart at least: each
    costs some 9 ms of CPU. `max_in_flight_bytes` bounds the messages taken and not yet acknowledged,
    `max_message_bytes` is the size of one. `pause_after_s` is how long the thread waits for somebody to take a batch
    before it polls, paused, for its group's sake; `decoded_bytes` says what is kept of an image beside its message, for
    the model that is served now: what it sees of the image and what it answers; `revoke_timeout_s` how long it finishes
    what is in hand of partitions that are taken away. Commits are `commit_every_s` apart at least, and that often it is
    looked whether what is waited for has come; the last ones are tried for `last_commit_s`. `look_every_s` is for lag.
    """

    first_batch_size: int = 250
    max_batch_size: int = 1000
    max_batch_bytes: int = 16 * 1024 * 1024
    max_batch_time_s: float = 0.05
    take_every_s: float = 0.01
    hand_over_every_s: float = 0.03
    max_in_flight_bytes: int = 256 * 1024 * 1024
    max_message_bytes: int = 17 * 1024 * 1024
    revoke_timeout_s: float = 60
    commit_every_s: float = 0.02
    pause_after_s: float = 1.0
    look_every_s: float = 1.0
    last_commit_s: float = 10.0
    decoded_bytes: Callable[[], int] = lambda: 0


class Intake:
    """Reads as a member of a group. `run` is the thread's; `acknowledge`, `leave` and `abandon` may come from any."""

    def __init__(
        self,
        options: IntakeOptions,
        hand_over: Callable[[MicroBatch], "Future[None]"],
        pulse: Pulse,
        ledger: OffsetLedger | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make one. `hand_over` returns what is done once the batch is taken; no other is made meanwhile."""
        self.unfinished = 0
        self._options = options
        self._hand_over = hand_over
        self._pulse = pulse
        self._clock = clock
        self._ledger = ledger or OffsetLedger()
        self._commits = Commits(self._ledger)
        self._filling = Filling()
        self._most = min(options.first_batch_size, options.max_batch_size)
        self._joined: GroupConsumer | None = None
        self._leaving = threading.Event()
        self._leave_by = float("inf")
        self._commit_at = 0.0
        self._look_at = 0.0
        self._hand_over_at = 0.0

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of the messages taken and not yet acknowledged, and of their images at the model's size."""
        return self._ledger.open_bytes()

    def acknowledge(self, batch: MicroBatch) -> None:
        """Let a batch that is in every store be committed, as soon as all before it on its partitions are as well."""
        self._commits.acknowledge(batch.receipt)
        self._pulse.progressed()
        self._wake()

    def leave(self, within_s: float) -> None:
        """Let `run` take nothing more, and wait at most so long for what was taken to be finished."""
        self._leave_by = min(self._leave_by, self._clock() + within_s)
        self._leaving.set()
        self._wake()

    def abandon(self) -> None:
        """Let it not wait for what is in hand: nobody will finish it any more."""
        self._leave_by = 0.0

    def run(self, consumer: GroupConsumer) -> None:
        """Take batches until `leave`, let them be finished and committed, and leave the group.

        Raises:
            TopicMissing, ClientFailed: reading cannot go on.
        """
        try:
            self.join(consumer)
            while not self._leaving.is_set():
                self.turn()
            self.finish()
        finally:
            consumer.close()

    def join(self, consumer: GroupConsumer) -> None:
        """Join the group by this consumer, which is told the rest."""
        self._joined = consumer
        consumer.join(self)

    def turn(self) -> None:
        """Take one batch, if there is room and something comes, and commit what may be."""
        if self._has_room(0) or self._stay(self._has_room, self._leaving.is_set):
            self._consumer.resume()
            batch = self._fill()
            if batch is not None:
                self._hand_over_at = self._clock() + self._options.hand_over_every_s
                taken = self._hand_over(batch)
                if not self._stay(partial(done_within, taken), self._is_late):
                    taken.cancel()
        self._commit()
        self._look_at_lag()

    def finish(self) -> None:
        """Let what is in hand be finished, and commit it."""
        if not self._stay(self._ledger.wait_until_done, self._is_late):
            self.unfinished = self._ledger.open_spans()
            log.warning("leaving with batches unfinished; they are delivered again", batches=self.unfinished)
        self._commit_the_last()

    def on_assign(self, partitions: Sequence[Partition]) -> None:
        """See `Member.on_assign`."""
        self._commits.own(partitions)
        log.info("partitions assigned", partitions=[p[1] for p in partitions])

    def on_revoke(self, partitions: Sequence[Partition]) -> None:
        """See `Member.on_revoke`. Called within a poll: if it takes too long, the group expels this worker."""
        longest_s = min(self._options.revoke_timeout_s, max(0.0, self._leave_by - self._clock()))
        finished = self._ledger.wait_until_done(longest_s, partitions)
        self._commits.commit(self._consumer, wait=True)
        self._forget(partitions)
        log.info("partitions revoked", partitions=[p[1] for p in partitions], finished=finished)

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        """See `Member.on_lost`."""
        self._forget(partitions)
        numbers = [p[1] for p in partitions]
        log.warning("partitions lost; what was in hand is delivered again", partitions=numbers)

    def on_commit_refused(self, partitions: Sequence[Partition]) -> None:
        """See `Member.on_commit_refused`."""
        self._commits.refused(partitions)

    @property
    def _consumer(self) -> GroupConsumer:
        assert self._joined is not None, "it has joined a group"
        return self._joined

    def _forget(self, partitions: Sequence[Partition]) -> None:
        """Drop, unacknowledged, what is in hand of partitions that are another worker's now."""
        self._commits.forget(partitions)
        self._filling.drop(partitions)

    def _has_room(self, timeout_s: float) -> bool:
        """Say whether one more message may be taken, however large; wait for it at most so long."""
        room = self._options.max_in_flight_bytes - self._options.max_message_bytes
        return self._ledger.wait_until_below(room, timeout_s)

    def _fill(self) -> MicroBatch | None:
        """Wait for something to take. While it is too early to hand it over, take more: until full, or for so long."""
        bounds = self._bounds()
        self._take(bounds)
        if not self._filling:
            self._consumer.wait(self._until_next_work_s())
            self._take(bounds)
        until = self._clock() + self._options.max_batch_time_s
        while self._filling and not self._filling.is_full(bounds) and not self._leaving.is_set():
            left_s = until - self._clock()
            is_idle = self._ledger.wait_until_done(max(0.0, min(left_s, self._options.take_every_s)))
            self._commit()
            early_s = self._hand_over_at - self._clock() if is_idle else 0.0
            if early_s > 0:
                self._leaving.wait(min(left_s, early_s, self._options.take_every_s))
            self._take(bounds)
            if (is_idle and early_s <= 0) or left_s <= 0:
                break
        raws, size = self._filling.cut(bounds)
        if not raws:
            return None
        self._most = min(2 * self._most, self._options.max_batch_size)
        last_offsets = {(raw.topic, raw.partition): raw.offset for raw in raws}
        return MicroBatch(raws, self._ledger.take(last_offsets, size), self._clock())

    def _bounds(self) -> Bounds:
        """Return what the next batch may hold, however large the last message of it is."""
        options = self._options
        room = options.max_in_flight_bytes - options.max_message_bytes - self._ledger.open_bytes()
        most_bytes = min(room, options.max_in_flight_bytes // LIVE.batches_in_hand, options.max_batch_bytes)
        return Bounds(self._most, most_bytes, options.decoded_bytes())

    def _take(self, bounds: Bounds) -> None:
        """Take what has come, as much as there is room for however large it is: the first one in any case."""
        options = self._options
        while not self._filling.is_full(bounds):
            in_hand = self._ledger.open_bytes() + self._filling.size(bounds.decoded)
            room_for = (options.max_in_flight_bytes - in_hand) // (options.max_message_bytes + bounds.decoded)
            most = min(bounds.most - len(self._filling), max(room_for, 0 if self._filling else 1))
            taken = self._consumer.take(most) if most > 0 else []
            self._filling.add(taken)
            if len(taken) < most or not taken:
                break

    def _commit(self) -> None:
        """Commit what is acknowledged, at most so often."""
        now = self._clock()
        if now >= self._commit_at and self._commits.uncommitted():
            self._commit_at = now + self._options.commit_every_s
            self._commits.commit(self._consumer, wait=False)

    def _until_next_work_s(self) -> float:
        """Return after how many seconds there is something to do if nothing happens."""
        at = self._commit_at if self._commits.uncommitted() else self._look_at
        return max(0.0, at - self._clock())

    def _wake(self) -> None:
        if self._joined is not None:
            self._joined.wake()

    def _is_late(self) -> bool:
        return self._clock() > self._leave_by

    def _stay(self, ready: Callable[[float], bool], give_up: Callable[[], bool]) -> bool:
        """Stay a member of the group until something else is ready, or there is no point in waiting for it.

        `ready` waits for at most so many seconds. Returns whether it came true.
        """
        waiting_since = self._clock()
        while not ready(self._options.commit_every_s):
            if give_up():
                return False
            self._commit()
            self._look_at_lag()
            if self._clock() - waiting_since > self._options.pause_after_s:
                self._consumer.pause()
                self._filling.add(self._consumer.take(1))  # of a partition that has just been assigned
        return True

    def _commit_the_last(self) -> None:
        """Commit what is done before the group is left; while the group rebalances it takes no commits."""
        self._consumer.pause()
        until = self._clock() + self._options.last_commit_s
        self._commits.commit(self._consumer, wait=True)
        self._commit_at = self._clock() + self._options.commit_every_s
        while (left := self._commits.uncommitted()) and self._clock() < until:
            self._consumer.take(1)
            if self._clock() < self._commit_at:
                self._consumer.wait(self._commit_at - self._clock())  # it may end sooner
                continue
            self._commit_at = self._clock() + self._options.commit_every_s
            self._commits.commit(self._consumer, wait=True)
        if left:
            # Nothing is lost by it: what is not committed is delivered again.
            log.warning("the last offsets were not committed", partitions=[p[1] for p in left])

    def _look_at_lag(self) -> None:
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + self._options.look_every_s
        places = self._consumer.look()
        self._pulse.observe(places.lag + len(self._filling), self._ledger.open_spans(), places.waiting)
