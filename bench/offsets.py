"""When offsets were committed, by the broker's clock: read afterwards from Kafka's own topic, so it costs no contender.

An offset is committed when both stores hold all that stands before it; so this is also when each message was done.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

_TOPIC = "__consumer_offsets"
_COMMIT_KEYS = (0, 1)
"""Versions of a key that tell of a commit; others tell of the group."""

_NO_GROUP_YET = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)


@dataclass(frozen=True, slots=True)
class Commit:
    """All messages of a partition before `offset` were done at `at`, in seconds since 1970."""

    partition: int
    offset: int
    at: float


class CommitLog:
    """The commits of one group, in one topic."""

    def __init__(self, servers: str, group: str, topic: str, partitions: int) -> None:
        self._group = group
        self._places = [TopicPartition(topic, number) for number in range(partitions)]
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "log_level": 0})
        self._reader = Consumer(
            {"bootstrap.servers": servers, "group.id": "none", "log_level": 0, "enable.partition.eof": True}
        )

    def acknowledged(self) -> int:
        """Return how many messages are done by now: one request to the broker."""
        try:
            return sum(max(0, place.offset) for place in self._consumer.committed(self._places, 10.0))
        except KafkaException as error:
            if error.args[0].code() not in _NO_GROUP_YET:
                raise
            return 0

    def read(self) -> list[Commit]:
        """Return all commits, in the order of their times."""
        topic = self._places[0].topic
        partitions = self._reader.list_topics(_TOPIC, 10.0).topics[_TOPIC].partitions
        self._reader.assign([TopicPartition(_TOPIC, number, 0) for number in partitions])
        ended: set[int] = set()
        commits: list[Commit] = []
        while len(ended) < len(partitions):
            for message in self._reader.consume(10_000, 1.0):
                key, number = message.key(), message.partition()
                if message.error() is not None:
                    assert number is not None
                    ended.add(number)
                    continue
                assert key is not None
                commit = parse(key, message.value(), message.timestamp()[1])
                if commit is not None and commit[0] == (self._group, topic):
                    commits.append(commit[1])
        return sorted(commits, key=lambda commit: commit.at)

    def close(self) -> None:
        self._consumer.close()
        self._reader.close()


def parse(key: bytes, value: bytes | None, timestamp_ms: int) -> tuple[tuple[str, str], Commit] | None:
    """Return the group and topic of a record, and its commit; None where it tells of something else.

    Kafka's `OffsetCommitKey` and `OffsetCommitValue`: the offset stands first in every version of the latter.
    """
    (version,) = struct.unpack_from(">h", key)
    if version not in _COMMIT_KEYS or value is None:
        return None
    group, at = _text(key, 2)
    topic, at = _text(key, at)
    (partition,) = struct.unpack_from(">i", key, at)
    (offset,) = struct.unpack_from(">q", value, 2)
    return (group, topic), Commit(partition, offset, timestamp_ms / 1000)


def _text(data: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + size].decode(), at + 2 + size


def done_at(commits: Sequence[Commit], images: int) -> float:
    """Return when so many messages were done.

    Raises:
        ValueError: they never were.
    """
    reached: dict[int, int] = {}
    for commit in commits:
        reached[commit.partition] = max(commit.offset, reached.get(commit.partition, 0))
        if sum(reached.values()) >= images:
            return commit.at
    raise ValueError(f"only {sum(reached.values()):,} of {images:,} messages were done")
