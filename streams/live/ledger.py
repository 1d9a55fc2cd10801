"""The offset ledger: what was taken from Kafka, what of it is done, and so what may be committed.

Kafka keeps one number a partition: everything below it is done. Batches may finish in any order, so the ledger
holds back an offset until all that was taken before it on its partition is done as well. It commits behind the last
offset that was taken, not behind the first one missing: offsets that a transaction or a compaction left out are no
obstacle.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Condition

from flumen.streams.kafka.message import Partition


@dataclass(slots=True, eq=False)
class Span:
    """A run of messages taken together from one partition. `next_offset` is where reading goes on behind it.

    `dropped`: the partition is another worker's now, which reads these messages again.
    """

    partition: Partition
    next_offset: int
    done: bool = False
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `acknowledge` wants back for one batch: its spans, and its size in bytes."""

    spans: tuple[Span, ...]
    size_bytes: int

    def lost(self) -> frozenset[int]:
        """Return the numbers of the partitions whose part of the batch is nothing of ours any more."""
        return frozenset(span.partition[1] for span in self.spans if span.dropped)


class OffsetLedger:
    """Spans taken and not yet acknowledged, in order, a queue for each partition. Safe to use from any thread."""

    def __init__(self) -> None:
        self._taken: defaultdict[Partition, deque[Span]] = defaultdict(deque)
        self._bytes = 0
        self._changed = Condition()

    def take(self, last_offsets: Mapping[Partition, int], size_bytes: int = 0) -> Receipt:
        """Enter one batch: the highest offset it holds of each partition, and how many bytes it keeps in memory."""
        receipt = Receipt(
            tuple(Span(partition, offset + 1) for partition, offset in last_offsets.items()), size_bytes
        )
        with self._changed:
            self._bytes += size_bytes
            for span in receipt.spans:
                self._taken[span.partition].append(span)
        return receipt

    def acknowledge(self, receipt: Receipt) -> dict[Partition, int]:
        """Mark a batch as done, and return the offsets that may be committed now: the next one to read, each.

        A partition whose earlier spans are still open is not among them. Spans of a partition that was forgotten
        in the meantime count for nothing: whoever owns it now reads them again.
        """
        committable: dict[Partition, int] = {}
        with self._changed:
            self._bytes -= receipt.size_bytes
            for span in receipt.spans:
                span.done = True
                queue = self._taken.get(span.partition, deque())
                while queue and queue[0].done:
                    committable[span.partition] = queue.popleft().next_offset
            self._changed.notify_all()
        return committable

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Drop what was taken of these partitions: they belong to another worker now."""
        with self._changed:
            for partition in partitions:
                for span in self._taken.pop(partition, ()):
                    span.dropped = True
            self._changed.notify_all()

    def open_spans(self) -> int:
        """Return how many spans are taken and not done."""
        with self._changed:
            return self._open(self._taken)

    def open_bytes(self) -> int:
        """Return how many bytes were taken and are not acknowledged, those of forgotten partitions included."""
        with self._changed:
            return self._bytes

    def wait_until_done(self, timeout_s: float, partitions: Iterable[Partition] | None = None) -> bool:
        """Wait until nothing of these partitions (of all, if None) is open. Returns whether that came true."""
        chosen = None if partitions is None else tuple(partitions)
        with self._changed:
            return self._changed.wait_for(
                lambda: self._open(self._taken if chosen is None else chosen) == 0, timeout_s
            )

    def wait_until_below(self, size_bytes: int, timeout_s: float) -> bool:
        """Wait until at most so many bytes are taken and not acknowledged. Returns whether that came true."""
        with self._changed:
            return self._changed.wait_for(lambda: self._bytes <= size_bytes, timeout_s)

    def _open(self, partitions: Iterable[Partition]) -> int:
        return sum(len(self._taken[partition]) for partition in tuple(partitions) if partition in self._taken)
