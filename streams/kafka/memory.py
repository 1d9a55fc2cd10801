"""Topics in memory, and who reads them and writes to them: the twins of Kafka's clients, for tests."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from flumen.streams.errors import TopicMissing
from flumen.streams.kafka.group import Member, Places
from flumen.streams.kafka.message import Headers, Outgoing, Partition, RawMessage
from flumen.streams.kafka.producer import Undelivered


class MemoryTopic:
    """Messages by partition, and what a group has committed: where reading goes on, a partition."""

    def __init__(self, name: str, partitions: int) -> None:
        self.name = name
        self.messages: dict[Partition, list[RawMessage]] = {
            (name, number): [] for number in range(partitions)
        }
        self.committed: dict[Partition, int] = {}

    def publish(
        self,
        partition: int,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers = (),
        timestamp_ms: int = 0,
    ) -> RawMessage:
        """Append a message; return it as a consumer delivers it."""
        log = self.messages[self.name, partition]
        log.append(RawMessage(self.name, partition, len(log), key, value, headers, timestamp_ms))
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

    def take(self, most: int) -> list[RawMessage]:
        """See `GroupConsumer.take`. Of the partitions, the one that has the most left comes first."""
        self._serve()
        taken: list[RawMessage] = []
        while len(taken) < most and (raw := self._next()) is not None:
            taken.append(raw)
        return taken

    def wait(self, timeout_s: float) -> None:  # noqa: ARG002 - what is there is there
        """See `GroupConsumer.wait`; it never waits."""
        self._meanwhile()

    def wake(self) -> None:
        """See `GroupConsumer.wake`: nobody waits."""

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

    def _next(self) -> RawMessage | None:
        left = {p: self._left(p) for p in sorted(self._positions) if p not in self._paused and self._left(p)}
        if not left:
            return None
        partition = max(left, key=lambda p: left[p])
        message = self._topic.messages[partition][self._positions[partition]]
        self._positions[partition] += 1
        return message

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


class MemoryFollower:
    """`flumen.streams.kafka.topic_reader.Follower` over topics in memory, those with the oldest timestamps first.

    `meanwhile` is called first by every `news`: there a test lets things happen that do not wait for the reader.
    """

    def __init__(self, topics: Iterable[MemoryTopic], meanwhile: Callable[[], None] = lambda: None) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._meanwhile = meanwhile
        self._positions: dict[Partition, int] = {}
        self.is_closed = False

    def follow(self, topics: Sequence[str]) -> Iterator[RawMessage]:
        """See `Follower.follow`."""
        for name in topics:
            if name not in self._topics:
                raise TopicMissing(f"there is no topic {name!r}")
            self._positions |= dict.fromkeys(self._topics[name].messages, 0)
        yield from self._unread()

    def news(
        self,
        timeout_s: float,  # noqa: ARG002 - what is there is there
        on_error: Callable[[str], None] = lambda _: None,  # noqa: ARG002
    ) -> Iterator[RawMessage]:
        """See `Follower.news`; it never waits."""
        self._meanwhile()
        yield from self._unread()

    def close(self) -> None:
        """See `Follower.close`."""
        self.is_closed = True

    def _unread(self) -> Iterator[RawMessage]:
        assert not self.is_closed, "closed"
        while left := [log[at] for log, at in map(self._log, self._positions) if at < len(log)]:
            raw = min(left, key=lambda raw: raw.timestamp_ms)
            self._positions[raw.topic, raw.partition] += 1
            yield raw

    def _log(self, partition: Partition) -> tuple[list[RawMessage], int]:
        return self._topics[partition[0]].messages[partition], self._positions[partition]


class MemoryProducer:
    """`flumen.streams.kafka.producer.Sender` to topics in memory, each to its first partition.

    `answer` says of a message why no broker acknowledges it; None where one does.
    """

    def __init__(
        self,
        topics: Iterable[MemoryTopic],
        answer: Callable[[Outgoing], Undelivered | None] = lambda _: None,
    ) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._answer = answer

    def send(self, messages: Iterable[Outgoing]) -> list[Undelivered | None]:
        """See `Sender.send`."""
        return [self._send(message) for message in messages]

    def _send(self, message: Outgoing) -> Undelivered | None:
        failure = self._answer(message)
        if failure is None:
            headers = tuple(
                (name, value.encode() if isinstance(value, str) else value) for name, value in message.headers
            )
            self._topics[message.topic].publish(0, message.value, message.key, headers)
        return failure
