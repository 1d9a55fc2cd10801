"""Who is a member of a consumer group, by the word of the group's coordinator."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from flumen.streams.kafka.connection import Connection
from flumen.streams.kafka.errors import ClientConfig, kafka_error, make_admin

_TIMEOUT_S = 5.0
_NO_GROUP = (KafkaError.GROUP_ID_NOT_FOUND, KafkaError.INVALID_GROUP_ID)

Names = frozenset[str]
"""By which a coordinator knows one member: its `client.id`, and its `group.instance.id` where it has one."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why nobody says who is in a group, in a few words."""

    reason: str


Answer = Sequence[Names] | Unknown
"""The members of a group. One that does not exist has none."""


def group_members(config: ClientConfig, groups: Sequence[str]) -> Mapping[str, Answer]:
    """Ask the coordinator of each group, for a few seconds at most.

    The first group is asked about apart, and before the others: nothing that is wrong with them, and no number of
    them, keeps its answer back.

    Raises:
        BadSetting: librdkafka refuses the configuration.
    """
    connection = Connection(config)
    admin = make_admin(connection.listening(config))
    first, others = list(groups[:1]), sorted(set(groups[1:]) - set(groups[:1]))
    answers: dict[str, Answer] = {}
    asked: dict[str, Future[Any]] = {}
    for together in filter(None, (first, others)):
        try:
            asked.update(admin.describe_consumer_groups(together, request_timeout=_TIMEOUT_S))
        except KafkaException as error:
            answers.update(dict.fromkeys(together, Unknown(str(kafka_error(error).str()))))
    answers.update({group: _answer(future, connection) for group, future in asked.items()})
    admin.poll(0)  # kept until here: with it the answers would go
    return answers


def _answer(future: "Future[Any]", connection: Connection) -> Answer:
    try:
        members = future.result().members
    except KafkaException as error:
        failure = kafka_error(error)
        if failure.code() in _NO_GROUP:
            return ()
        said_by_broker = failure.code() > 0
        return Unknown(str(failure.str()) if said_by_broker else connection.reason())
    return [
        frozenset(name for name in (member.client_id, member.group_instance_id) if name) for member in members
    ]
