"""A member of a consumer group, as the live path sees it: over Kafka, or in memory for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flumen.streams.kafka.message import Partition, RawMessage


@dataclass(frozen=True, slots=True)
class Places:
    """`lag`: messages not taken yet of the partitions that something was taken of.

    `waiting`: where the next message stands, as topic/partition/offset, of every partition that is read and has one.
    """

    lag: int
    waiting: frozenset[str]


class Member(Protocol):
    """Who reads. The consumer calls it from within its own calls, in the thread that makes them."""

    def on_assign(self, partitions: Sequence[Partition]) -> None:
        """Learn that these partitions are read from now on."""

    def on_revoke(self, partitions: Sequence[Partition]) -> None:
        """Finish with these partitions: they are another's once this returns. Until then they may be committed."""

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        """Learn that these partitions are another's already."""

    def on_commit_refused(self, partitions: Sequence[Partition]) -> None:
        """Learn that a commit of these partitions was not taken."""


class GroupConsumer(Protocol):
    """Reads one topic as a member of a group. All calls but `wake` come from one thread."""

    def join(self, member: Member) -> None:
        """Join the group, and read what it assigns."""

    def take(self, most: int) -> list[RawMessage]:
        """Return what has come, at most so many messages, those of a partition in order. It never waits.

        An error that passes is left out. What the group does, and how commits went, `Member` is told within this call.

        Raises:
            TopicMissing: the topic is gone.
            ClientFailed: reading cannot go on.
        """

    def wait(self, timeout_s: float) -> None:
        """Wait for at most so many seconds, until there may be something for `take`, whose last call left nothing."""

    def wake(self) -> None:
        """End the wait that is, or else the next one. Any thread may call it, at any time."""

    def commit(self, offsets: Mapping[Partition, int], *, wait: bool) -> None:
        """Commit where reading goes on, a partition; with `wait`, until the broker has answered.

        What is refused is told by `Member.on_commit_refused`.

        Raises:
            ClientFailed: nothing can be committed any more.
        """

    def pause(self) -> None:
        """Take nothing of the partitions that are assigned now; those that come later are not paused."""

    def resume(self) -> None:
        """Take again of whatever was paused and is, or comes, back."""

    def look(self) -> Places:
        """Return where the assigned partitions stand, as far as is known. Of what is paused nothing is awaited."""

    def close(self) -> None:
        """Leave the group."""
