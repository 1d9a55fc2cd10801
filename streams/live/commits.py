"""Committing: what is acknowledged, as soon as Kafka takes it, and never behind what was committed before.

The thread that owns the consumer calls `commit`; the event loop calls `acknowledge`.
"""

import threading
from collections.abc import Iterable

from flumen.streams.kafka.group import GroupConsumer
from flumen.streams.kafka.message import Partition
from flumen.streams.live.ledger import OffsetLedger, Receipt


class Commits:
    """The acknowledged positions of the partitions that this worker owns, on their way to the broker."""

    def __init__(self, ledger: OffsetLedger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._done: dict[Partition, int] = {}
        self._uncommitted: set[Partition] = set()
        self._owned: set[Partition] = set()

    def acknowledge(self, receipt: Receipt) -> None:
        """Let a batch be committed, as soon as all before it on its partitions is acknowledged as well."""
        positions = self._ledger.acknowledge(receipt)
        with self._lock:
            # A partition may have gone since: a commit of ours could then undo one of its new owner.
            ours = {
                partition: position for partition, position in positions.items() if partition in self._owned
            }
            self._done.update(ours)
            self._uncommitted.update(ours)

    def commit(self, consumer: GroupConsumer, *, wait: bool) -> None:
        """Send what is acknowledged and not committed; with `wait`, until the broker has answered."""
        with self._lock:
            partitions, self._uncommitted = self._uncommitted, set()
            offsets = {partition: self._done[partition] for partition in partitions}
        if offsets:
            consumer.commit(offsets, wait=wait)

    def refused(self, partitions: Iterable[Partition]) -> None:
        """Commit again what failed, up to what is done by then: a rebalance refuses commits until it is over."""
        with self._lock:
            self._uncommitted |= set(partitions) & self._owned & self._done.keys()

    def uncommitted(self) -> list[Partition]:
        """Return the partitions with something acknowledged that the broker has not taken yet."""
        with self._lock:
            return sorted(self._uncommitted)

    def own(self, partitions: Iterable[Partition]) -> None:
        """Note that these partitions were assigned."""
        with self._lock:
            self._owned.update(partitions)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Drop, uncommitted, what is in hand of partitions that are another worker's now."""
        gone = set(partitions)
        self._ledger.forget(gone)
        with self._lock:
            self._owned -= gone
            self._uncommitted -= gone
            # If they come back, another worker may have come further: a commit that failed then says nothing now.
            for partition in gone:
                self._done.pop(partition, None)
