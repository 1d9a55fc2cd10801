"""How far a consumer group has come in a topic."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Messages of a topic: all that are there, and how many of them a group has acknowledged."""

    published: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """A partition: the offsets of its first message, behind its last, and where the group goes on reading."""

    partition: int
    begins: int
    ends: int
    acknowledged: int

    @property
    def lag(self) -> int:
        """How many messages are not acknowledged."""
        return max(0, self.ends - self.acknowledged)
