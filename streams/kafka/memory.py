"""A topic in memory, and a member of a group that reads it: the twin of Kafka's consumer, for tests."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from flumen.streams.kafka.group import Member, Places
from flumen.streams.kafka.message import Partition, RawMessage


class MemoryTopic:
    """Messages by partition, and what a group has committed: where reading goes on, a partition."""

    def __init__(self, name: str, partitions: int) -> None:
        self.name = name
        self.messages: dict[Partition, list[RawMessage]] = {
            (name, number): [] for number in range(partitions)
        }
        self.committed: dict[Partition, int] = {}

    def publish(self, partition: int, value: bytes | None, key: bytes | None = None) -> RawMessage:
        """Append a message; return it as a consumer delivers it."""
        log = self.messages[self.name, partition]
        log.append(RawMessage(self.name, partition, len(log), key, value, (), 0))
        return log[-1]


class MemoryConsumer:
    """`GroupConsumer` over a topic in memory. What the group does, `assign` and its like, happens within the next call.

    `refuses_commits`: the group rebalances, and takes none. `meanwhile` is called first by every call: there a test
    lets things happen that do not wait for the reader.
    """

    def __init__(self, topic: MemoryTopic, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._topic = topic
        self._meanwhile = meanwhile
        self._member: Member | None = None
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._coming: deque[Callable[[], None]] = deque()
        self._sent: deque[Mapping[Partition, int]] = deque()
        self.refuses_commits = False
        self.is_closed = False

    @property
    def assignment(self) -> frozenset[Partition]:
        """The partitions that are read."""
        return frozenset(self._positions)

    def assign(self, partitions: Sequence[Partition]) -> None:
        """Let the group give these partitions to this member, from where they were committed on."""
        self._coming.append(lambda: self._assign([p for p in partitions if p not in self._positions]))

    def revoke(self, partitions: Sequence[Partition]) -> None:
        """Let the group take them in order: what is done is committed before."""
        self._coming.append(lambda: self._revoke([p for p in partitions if p in self._positions]))

    def lose(self, partitions: Sequence[Partition]) -> None:
        """Let the group take them at once, as from a member that was silent for too long."""
        self._coming.append(lambda: self._lose([p for p in partitions if p in self._positions]))

    def then(self, happens: Callable[[], None]) -> None:
        """Let this happen within the next call, behind what was asked for before."""
        self._coming.append(happens)

    def join(self, member: Member) -> None:
        """See `GroupConsumer.join`. Partitions come by `assign`."""
        self._member = member

    def take(
        self,
        timeout_s: float,  # noqa: ARG002 - what is there is there
        leaving: Callable[[float], bool] | None = None,  # noqa: ARG002
    ) -> RawMessage | None:
        """Return the next message of the partition that has the most left; it never waits."""
        self._serve()
        left = {p: self._left(p) for p in sorted(self._positions) if p not in self._paused and self._left(p)}
        if not left:
            return None
        partition = max(left, key=lambda p: left[p])
        message = self._topic.messages[partition][self._positions[partition]]
        self._positions[partition] += 1
        return message

    def commit(self, offsets: Mapping[Partition, int], *, wait: bool) -> None:
        """See `GroupConsumer.commit`. Without `wait` it is answered within a later call."""
        self._sent.append(offsets)
        if wait:
            self._answer_commits()

    def pause(self) -> None:
        """See `GroupConsumer.pause`."""
        self._paused |= self._positions.keys()

    def resume(self) -> None:
        """See `GroupConsumer.resume`."""
        self._paused -= self._positions.keys()

    def look(self) -> Places:
        """See `GroupConsumer.look`."""
        self._meanwhile()
        waiting = [p for p in self._positions if self._left(p) and p not in self._paused]
        return Places(
            sum(map(self._left, self._positions)),
            frozenset(f"{topic}/{number}/{self._positions[topic, number]}" for topic, number in waiting),
        )

    def close(self) -> None:
        """Leave the group; what was sent before is answered."""
        self._serve()
        self.is_closed = True

    def _serve(self) -> None:
        assert not self.is_closed, "closed"
        self._meanwhile()
        self._answer_commits()
        while self._coming:
            self._coming.popleft()()

    def _answer_commits(self) -> None:
        while self._sent:
            self._commit(self._sent.popleft())

    def _left(self, partition: Partition) -> int:
        return len(self._topic.messages[partition]) - self._positions[partition]

    def _commit(self, offsets: Mapping[Partition, int]) -> None:
        taken = {} if self.refuses_commits else {p: o for p, o in offsets.items() if p in self._positions}
        self._topic.committed.update(taken)
        if refused := [partition for partition in offsets if partition not in taken]:
            self._of_member.on_commit_refused(refused)

    @property
    def _of_member(self) -> Member:
        assert self._member is not None, "not joined"
        return self._member

    def _assign(self, partitions: Sequence[Partition]) -> None:
        self._positions.update({p: self._topic.committed.get(p, 0) for p in partitions})
        self._of_member.on_assign(partitions)

    def _revoke(self, partitions: Sequence[Partition]) -> None:
        self._of_member.on_revoke(partitions)
        self._drop(partitions)

    def _lose(self, partitions: Sequence[Partition]) -> None:
        self._drop(partitions)
        self._of_member.on_lost(partitions)

    def _drop(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            del self._positions[partition]
