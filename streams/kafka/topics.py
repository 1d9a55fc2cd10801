"""The topics: what they must be like, and making those that are not there."""

import time
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    TopicMetadata,
)

from flumen.streams.errors import KafkaRefused, TopicMissing, TopicTooSmall
from flumen.streams.kafka.connection import Connection, refusal
from flumen.streams.kafka.errors import ClientConfig, make_admin
from flumen.streams.settings import Settings

_TIMEOUT_S = 10.0
_UNPACKED = {"compression.type": "uncompressed"}
"""The broker unpacks what comes compressed. Kafka's client unpacks without a limit, hundreds of megabytes out of a few
hundred kilobytes; and some batches, which brokers take, it cannot unpack: no message behind one is ever read."""

_DEAD_LETTER_ROOM_BYTES = 65_536
"""What a dead letter's headers take beside the message it keeps: at most 4,000 characters of reason, and names."""


def ensure_topics(settings: Settings) -> None:
    """Create the topics that are missing. Those that exist are left as they are.

    Raises:
        KafkaUnavailable: no broker answers.
        KafkaRefused: a broker does not let us in.
        TopicMissing: a topic is missing and the broker does not let us create it.
        TopicTooSmall: the topic of dead letters does not take every image that can arrive.
    """
    wanted = [_new_topic(settings.images_topic, settings), _dead_letters_topic(settings.dead_topic, settings)]
    if settings.classified_topic:
        # Nobody here reads it, and JSON packs well.
        packed = {"compression.type": "producer"}
        wanted.append(_new_topic(settings.classified_topic, settings, packed))
    admin = _create_missing([*wanted, *_control_topics(settings)], settings)
    _check_room_for_dead_letters(admin, settings)


def packed_topics(settings: Settings) -> Sequence[str]:
    """Return which of the topics that a worker reads, or fills for operators to read, keep batches as they were packed.

    One that does not exist, or that we are not allowed to look at, is not among them.

    Raises:
        KafkaUnavailable: no broker answers.
        KafkaRefused: a broker does not let us in.
    """
    admin, connection = _open(settings)
    existing = _existing(admin, connection)
    names = [settings.images_topic, settings.dead_topic]
    names += [settings.control_topic, settings.status_topic, settings.audit_topic]
    ((name, unpacked),) = _UNPACKED.items()
    return [
        topic for topic in names if topic in existing and _said(admin, topic, name) not in (None, unpacked)
    ]


def size_limit(admin: AdminClient, topic: str) -> int | None:
    """Return the bytes that a topic takes in one batch of messages; None if we are not allowed to know."""
    said = _said(admin, topic, "max.message.bytes")
    return None if said is None else int(said)


def _said(admin: AdminClient, topic: str, name: str) -> str | None:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    try:
        entries = admin.describe_configs([resource], request_timeout=_TIMEOUT_S)[resource].result()
    except KafkaException:
        return None
    return str(entries[name].value)


def size_limit_for(config: ClientConfig, topic: str, timeout_s: float) -> int | None:
    """Find a broker and the topic, before anything is published; return as `size_limit`.

    Raises:
        KafkaUnavailable: no broker answers.
        TopicMissing: the topic does not exist.
    """
    connection = Connection(config)
    admin = make_admin(connection.listening({**config, "log_level": 0}))
    topics = connection.ask(admin, lambda wait_s: admin.list_topics(timeout=wait_s), timeout_s).topics
    if topic not in topics:
        raise TopicMissing(
            f"the topic {topic!r} does not exist. `flumen worker` creates it when it starts; "
            "for another one, set FLUMEN_IMAGES_TOPIC or give --topic"
        )
    return size_limit(admin, topic)


def _check_room_for_dead_letters(admin: AdminClient, settings: Settings) -> None:
    """Refuse a topic of dead letters that does not take every image that can arrive, with the reason."""
    arriving = size_limit(admin, settings.images_topic)
    dead = size_limit(admin, settings.dead_topic)
    if arriving is not None and dead is not None and dead < arriving + _DEAD_LETTER_ROOM_BYTES:
        raise TopicTooSmall(
            f"the topic {settings.dead_topic!r} takes {dead:,} bytes (max.message.bytes), and "
            f"{settings.images_topic!r} {arriving:,}: its dead letter would not fit. Set max.message.bytes of "
            f"{settings.dead_topic!r} to {arriving + _DEAD_LETTER_ROOM_BYTES} or more, with kafka-configs.sh --alter"
        )


def ensure_control_topics(settings: Settings) -> None:
    """Create the topics of control, status and audit that are missing. Raises as `ensure_topics`."""
    _create_missing(_control_topics(settings), settings)


def ensure_parked_topic(settings: Settings) -> None:
    """Create the topic of parked dead letters if it is missing: nothing in it expires. Raises as `ensure_topics`."""
    _create_missing([_dead_letters_topic(settings.parked_topic, settings, {"retention.ms": "-1"})], settings)


def ensure_resolutions_topic(settings: Settings) -> None:
    """Create the topic of resolutions if it is missing: small, and compacted. Raises as `ensure_topics`."""
    _create_missing(
        [_small_topic(settings.resolutions_topic, settings, {"cleanup.policy": "compact"})], settings
    )


def existing_topics(settings: Settings) -> frozenset[str]:
    """Return the names of all topics there are.

    Raises:
        KafkaUnavailable: no broker answers.
        KafkaRefused: a broker does not let us in.
    """
    return frozenset(_existing(*_open(settings)))


def _create_missing(wanted: list[NewTopic], settings: Settings) -> AdminClient:
    admin, connection = _open(settings)
    existing = frozenset(_existing(admin, connection))
    missing = [topic for topic in wanted if topic.topic not in existing]
    if not missing:
        return admin
    for name, created in admin.create_topics(missing, operation_timeout=_TIMEOUT_S).items():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue  # another worker was faster
            if refusal(error.args[0]):
                raise KafkaRefused(
                    f"this user may not see or create the topic {name!r} ({error.args[0].str()}). Let somebody create "
                    "it who may, and give this user the right to it with kafka-acls.sh"
                ) from error
            raise TopicMissing(
                f"the topic {name!r} does not exist and cannot be created ({error.args[0].str()}). "
                "Create it, or name another in flumen.toml"
            ) from error
    _wait_until_known(admin, {topic.topic for topic in missing}, connection)
    return admin


def _open(settings: Settings) -> tuple[AdminClient, Connection]:
    config = settings.admin_config()
    connection = Connection(config)
    return make_admin(connection.listening(config)), connection


def _existing(admin: AdminClient, connection: Connection) -> Mapping[str, TopicMetadata]:
    found = connection.ask(admin, lambda wait_s: admin.list_topics(timeout=wait_s), _TIMEOUT_S)
    topics: Mapping[str, TopicMetadata] = found.topics
    return topics


def _wait_until_known(admin: AdminClient, created: set[str], connection: Connection) -> None:
    """Wait for the news to spread: a topic that was created is not known to every broker at once."""
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        topics = _existing(admin, connection)
        if all(name in topics and topics[name].partitions for name in created):
            return
        time.sleep(0.05)
    raise TopicMissing(
        f"the topics {sorted(created)} were created, and no broker knows them; look at Kafka's log"
    )


def _control_topics(settings: Settings) -> list[NewTopic]:
    compact = {"cleanup.policy": "compact"}
    return [
        _small_topic(settings.control_topic, settings, compact),
        _small_topic(settings.status_topic, settings, compact),
        _small_topic(settings.audit_topic, settings, {"cleanup.policy": "delete", "retention.ms": "-1"}),
    ]


def _small_topic(name: str, settings: Settings, config: dict[str, str]) -> NewTopic:
    """Make one partition: what is in it has one order."""
    return NewTopic(
        name, num_partitions=1, replication_factor=settings.topic_replicas, config=_UNPACKED | config
    )


def _dead_letters_topic(name: str, settings: Settings, config: Mapping[str, str] | None = None) -> NewTopic:
    """Make room for the headers that a dead letter has more than its image had."""
    size = {"max.message.bytes": str(settings.max_dead_letter_bytes)}
    return _new_topic(name, settings, size | dict(config or {}))


def _new_topic(name: str, settings: Settings, config: Mapping[str, str] | None = None) -> NewTopic:
    return NewTopic(
        name,
        num_partitions=settings.topic_partitions,
        replication_factor=settings.topic_replicas,
        config={
            "cleanup.policy": "delete",
            "max.message.bytes": str(settings.max_message_bytes),
            **_UNPACKED,
            **(config or {}),
        },
    )
