"""Messages on their way into a micro-batch: taken, and not handed over yet."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from flumen.streams.kafka.message import Partition, RawMessage, size_of


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one micro-batch may hold: `most` messages, and bytes in memory until `most_bytes` are passed.

    `decoded` are the bytes that are kept of an image beside its message.
    """

    most: int
    most_bytes: int
    decoded: int


class Filling:
    """Messages in the order in which they were taken."""

    def __init__(self) -> None:
        self._raws: list[RawMessage] = []
        self._sizes: list[int] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._raws)

    def add(self, raws: Sequence[RawMessage]) -> None:
        """Append what was taken."""
        sizes = [*map(size_of, raws)]
        self._raws += raws
        self._sizes += sizes
        self._bytes += sum(sizes)

    def size(self, decoded: int) -> int:
        """Return the bytes of all, each with so many for its image."""
        return self._bytes + len(self._raws) * decoded

    def is_full(self, bounds: Bounds) -> bool:
        """Say whether it makes a whole micro-batch, or more."""
        return len(self._raws) >= bounds.most or self.size(bounds.decoded) > bounds.most_bytes

    def cut(self, bounds: Bounds) -> tuple[list[RawMessage], int]:
        """Take out the first ones, as many as make one micro-batch; return them, and their bytes."""
        count = size = 0
        while count < min(bounds.most, len(self._raws)) and size <= bounds.most_bytes:
            size += self._sizes[count] + bounds.decoded
            count += 1
        raws = self._raws[:count]
        del self._raws[:count], self._sizes[:count]
        self._bytes = sum(self._sizes)
        return raws, size

    def drop(self, partitions: Container[Partition]) -> None:
        """Drop what is of these partitions."""
        kept = [raw for raw in self._raws if (raw.topic, raw.partition) not in partitions]
        self._raws, self._sizes, self._bytes = [], [], 0
        self.add(kept)
