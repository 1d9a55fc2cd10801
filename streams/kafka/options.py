"""How Kafka is reached: librdkafka's settings for each kind of client."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flumen.stores.addresses import split_addresses
from flumen.streams.kafka.properties import of_all, of_consumers, of_producers
from flumen.streams.secrets import MASK, is_secret_property


class KafkaConfig(dict[str, str | int | float | bool]):
    """librdkafka's settings for one client, by name. Its secrets are masked where it is shown."""

    def __repr__(self) -> str:
        return repr({name: MASK if is_secret_property(name) else value for name, value in self.items()})

    __str__ = __repr__


_PROTOCOL = re.compile(r"[A-Z_]+://")  # librdkafka takes one in front of each address
_PORT = 9092
_KAFKA_MOST_BYTES = 1_000_000_000  # the largest message that librdkafka sends or takes


def split_brokers(servers: str) -> Sequence[tuple[str, int]]:
    """Return host and port of each broker.

    Raises:
        ValueError: there is none, or one is no address.
    """
    return split_addresses(_PROTOCOL.sub("", servers), _PORT)


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaOptions:
    """Where the brokers are and how they are reached; `properties` go to librdkafka as they are, and win.

    Each goes to the clients that it is for: librdkafka prints a warning of the others.
    `max_message_bytes` is that of the largest message that arrives, `max_dead_letter_bytes` that of a dead letter,
    `max_batch_time_ms` how long a broker may wait for more to send at once.
    """

    servers: str
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    group_id: str
    worker_id: str | None
    max_batch_time_ms: int
    max_message_bytes: int
    max_dead_letter_bytes: int

    def consumer_config(self) -> KafkaConfig:
        """Return librdkafka's settings for reading images: offsets are committed by the ledger alone."""
        return KafkaConfig(
            {
                "bootstrap.servers": self.servers,
                "group.id": self.group_id,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 65_536,
                **self._sizes(),
                "fetch.wait.max.ms": self.max_batch_time_ms,
                **({"group.instance.id": self.worker_id} if self.worker_id else {}),
                **of_consumers(self.properties),
            }
        )

    def member_config(self, worker: str) -> KafkaConfig:
        """Return librdkafka's settings for reading images as this worker: the group's coordinator knows it by its name.

        Where `properties` say another `client.id`, that stays.
        """
        return KafkaConfig({"client.id": worker, **self.consumer_config()})

    def group_of(self, worker: str) -> str | None:
        """Return the group whose coordinator knows this worker by its name; None where it knows it by another."""
        member = self.member_config(worker)
        is_known = worker in (member["client.id"], member.get("group.instance.id"))
        return self.group_id if is_known else None

    def lone_consumer_config(self) -> KafkaConfig:
        """Return librdkafka's settings for reading a whole topic, in no group: what is committed, and where it ends."""
        return KafkaConfig(
            {
                "bootstrap.servers": self.servers,
                "group.id": self.group_id,  # librdkafka asks for one; nothing is ever committed under it
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "allow.auto.create.topics": False,
                **self._sizes(),
                **of_consumers(self.properties),
            }
        )

    def _sizes(self) -> dict[str, int]:
        """Return how much a consumer takes at once; a topic may take more than we do, and that must arrive as well."""
        return {
            "fetch.message.max.bytes": max(1_048_576, self.max_message_bytes),
            "fetch.max.bytes": max(52_428_800, self.max_message_bytes),
            "receive.message.max.bytes": _KAFKA_MOST_BYTES,
        }

    def producer_config(self) -> KafkaConfig:
        """Return librdkafka's settings for writing: acknowledged by all replicas, in order, without doubles."""
        return KafkaConfig(
            {
                "bootstrap.servers": self.servers,
                "enable.idempotence": True,
                "message.max.bytes": self.max_dead_letter_bytes,
                # As Java's client has it: the same id is on the same partition, whoever sends it.
                "partitioner": "murmur2_random",
                **of_producers(self.properties),
            }
        )

    def admin_config(self) -> KafkaConfig:
        """Return librdkafka's settings for looking at and creating topics."""
        return KafkaConfig({"bootstrap.servers": self.servers, "log_level": 0, **of_all(self.properties)})
