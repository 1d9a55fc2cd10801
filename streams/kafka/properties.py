"""The properties of librdkafka that a user gives: which are flumen's own, and for which kind of client each is."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")

_YES = frozenset({"true", "t", "1"})
_NO = frozenset({"false", "f", "0"})
_NONE: frozenset[str] = frozenset()
_PROMISE = "an offset is committed once its image is stored or a dead letter, and never before"
_ACKNOWLEDGED = "a message counts as sent once all replicas have it, once and in order"
_SIZES = "it has to fit the largest image; set max_image_bytes instead"
_ADDRESS = "set kafka_servers instead"
_TOPICS = "flumen makes its topics itself; set topic_partitions and topic_replicas instead"
_EARLIEST = (
    "an image that is there and not acknowledged is read; to leave some out, move the group's offsets with "
    "kafka-consumer-groups.sh --reset-offsets"
)
_TIMEOUT = "each producer has the time after which it tries again or gives up; nothing has to be set instead"
_QUEUE = "what is larger than the queue would never be sent; set max_in_flight_bytes instead"
_FUNCTION = "it is a function of the program's, which no setting can be"

_OWN: Mapping[str, tuple[frozenset[str], str]] = {
    "bootstrap.servers": (_NONE, _ADDRESS),
    "metadata.broker.list": (_NONE, _ADDRESS),
    "group.id": (_NONE, "set group_id instead"),
    "group.instance.id": (_NONE, "set worker_id instead"),
    "max.poll.interval.ms": (_NONE, "set max_poll_interval_s instead"),
    "message.max.bytes": (_NONE, _SIZES),
    "receive.message.max.bytes": (_NONE, _SIZES),
    "enable.auto.commit": (_NO, _PROMISE),
    "auto.commit.enable": (_NO, _PROMISE),
    "enable.auto.offset.store": (_NO, _PROMISE),
    "offset.store.method": (frozenset({"broker"}), _PROMISE),
    "auto.offset.reset": (frozenset({"earliest", "smallest", "beginning"}), _EARLIEST),
    "isolation.level": (
        frozenset({"read_committed"}),
        "what a producer has taken back, by aborting its transaction, is not read",
    ),
    "partition.assignment.strategy": (
        frozenset({"cooperative-sticky"}),
        "all workers of a group share out alike; for another way set group.protocol and group.remote.assignor",
    ),
    "group.protocol.type": (
        frozenset({"consumer"}),
        "workers are consumers; for the other way set group.protocol",
    ),
    "topic.blacklist": (_NONE, "what is sent to a topic that the client does not see is never read"),
    "api.version.request": (
        _YES,
        "what brokers of before 2017 speak has no headers, and no writing without doubles",
    ),
    "enable.partition.eof": (_NONE, "each reader knows whether it needs a partition's end told"),
    "allow.auto.create.topics": (_NO, _TOPICS),
    "acks": (frozenset({"all", "-1"}), _ACKNOWLEDGED),
    "request.required.acks": (frozenset({"all", "-1"}), _ACKNOWLEDGED),
    "enable.idempotence": (_YES, _ACKNOWLEDGED),
    "enable.gapless.guarantee": (_NO, "one message that is refused must not end the producer"),
    "partitioner": (
        frozenset({"murmur2_random", "murmur2", "consistent_random", "consistent", "fnv1a_random", "fnv1a"}),
        "only on one partition are the images of one id in order, and the one sent last wins",
    ),
    "delivery.report.only.error": (_NONE, "each message is waited for until it is acknowledged"),
    "batch.num.messages": (
        _NONE,
        "a broker refuses a batch as a whole, and one message must not spoil others; set batch.size instead",
    ),
    "queue.buffering.max.kbytes": (_NONE, _QUEUE),
    "queue.buffering.max.messages": (_NONE, _QUEUE),
    "delivery.timeout.ms": (_NONE, _TIMEOUT),
    "message.timeout.ms": (_NONE, _TIMEOUT),
    "transactional.id": (_NONE, "only the control topic is written in transactions, under a name of its own"),
    "transaction.timeout.ms": (_NONE, "it goes with transactional.id"),
    "enabled_events": (_NONE, "it takes away the brokers' answers"),
    "default.topic.config": (_NONE, "it is a table; name what is in it without it"),
    "default_topic_conf": (_NONE, "name what is in it without it"),
    "logger": (_NONE, _FUNCTION),
    "on_commit": (_NONE, _FUNCTION),
    "on_delivery": (_NONE, _FUNCTION),
    "opaque": (_NONE, _FUNCTION),
}
"""What a property may say beside what flumen says itself, and why it is flumen's own."""

_SESSION_MS: Mapping[str, str] = {"session.timeout.ms": "45000", "heartbeat.interval.ms": "3000"}
"""librdkafka's own values."""

_WHOLE = re.compile(r"[0-9]{1,9}")
_CALLBACK = "_cb"
_MOCK = "test."

_OF_CONSUMERS = frozenset(
    {
        "allow.auto.create.topics",
        "auto.commit.enable",
        "auto.commit.interval.ms",
        "auto.offset.reset",
        "check.crcs",
        "consume.callback.max.messages",
        "coordinator.query.interval.ms",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "fetch.error.backoff.ms",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.queue.backoff.ms",
        "fetch.wait.max.ms",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "group.protocol.type",
        "group.remote.assignor",
        "heartbeat.interval.ms",
        "isolation.level",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "offset.store.method",
        "offset.store.path",
        "offset.store.sync.interval.ms",
        "partition.assignment.strategy",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "session.timeout.ms",
        "share.acknowledgement.mode",
    }
)
_OF_PRODUCERS = frozenset(
    {
        "acks",
        "batch.num.messages",
        "batch.size",
        "compression.codec",
        "compression.level",
        "compression.type",
        "delivery.report.only.error",
        "delivery.timeout.ms",
        "enable.gapless.guarantee",
        "enable.idempotence",
        "linger.ms",
        "message.send.max.retries",
        "message.timeout.ms",
        "partitioner",
        "produce.offset.report",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "queuing.strategy",
        "request.required.acks",
        "request.timeout.ms",
        "retries",
        "sticky.partitioning.linger.ms",
        "transaction.timeout.ms",
        "transactional.id",
    }
)


def refused_properties(properties: Mapping[str, object]) -> list[str]:
    """Return a sentence for each property that is flumen's own and says something else, and for two that disagree."""
    refused = [
        f"{name} is flumen's own: {why}"
        for name, value in properties.items()
        for allowed, why in _own(name)
        if str(value).strip().lower() not in allowed
    ]
    return [*refused, *_too_few_heartbeats(properties)]


def of_consumers(properties: Mapping[str, Value]) -> dict[str, Value]:
    """Return the properties without those that are for producers alone."""
    return _without(properties, _OF_PRODUCERS)


def of_producers(properties: Mapping[str, Value]) -> dict[str, Value]:
    """Return the properties without those that are for consumers alone."""
    return _without(properties, _OF_CONSUMERS)


def of_all(properties: Mapping[str, Value]) -> dict[str, Value]:
    """Return the properties that are for every kind of client, and those that librdkafka does not know."""
    return _without(properties, _OF_CONSUMERS | _OF_PRODUCERS)


def _too_few_heartbeats(properties: Mapping[str, object]) -> Iterable[str]:
    """Yield a sentence where a worker would be expelled before it has said that it is there."""
    given = {name: str(properties.get(name, default)) for name, default in _SESSION_MS.items()}
    if not all(_WHOLE.fullmatch(value) for value in given.values()):
        return  # librdkafka says so
    session_ms, heartbeat_ms = map(int, given.values())
    if heartbeat_ms >= session_ms:
        yield (
            f"session.timeout.ms is {session_ms} and heartbeat.interval.ms {heartbeat_ms}: the group would expel a "
            "worker before its first heartbeat, again and again; let three heartbeats come in each session"
        )


def _own(name: str) -> Iterable[tuple[frozenset[str], str]]:
    if name in _OWN:
        yield _OWN[name]
    elif name.endswith(_CALLBACK):
        yield _NONE, _FUNCTION
    elif name.startswith(_MOCK):
        yield _NONE, "it puts brokers that keep nothing in the place of yours"


def _without(properties: Mapping[str, Value], names: frozenset[str]) -> dict[str, Value]:
    return {name: value for name, value in properties.items() if name not in names}
