"""The headers of a status: what is said comes back, and what is out of bounds says nothing."""

import pytest
from test_fleet_roster import HEARTBEAT_S, STATUS, message

from flumen.streams.control.operator.fleet import Roster
from flumen.streams.control.status_headers import (
    GROUP_HEADER,
    STEPS_HEADER,
    StatusHeaders,
    read_status_headers,
)
from flumen.streams.kafka.message import UNREADABLE_HEADERS, Headers
from flumen.streams.kafka.options import KafkaOptions


def arrived(said: StatusHeaders) -> Headers:
    return tuple((name, value.encode() if isinstance(value, str) else value) for name, value in said.sent())


@pytest.mark.parametrize("said", [StatusHeaders(), StatusHeaders("flumen", 41), StatusHeaders("größe", 0)])
def test_what_is_said_comes_back(said: StatusHeaders) -> None:
    assert read_status_headers(arrived(said)) == said


@pytest.mark.parametrize(
    "headers",
    [
        (),
        UNREADABLE_HEADERS,
        ((GROUP_HEADER, None), (STEPS_HEADER, None)),
        ((GROUP_HEADER, b""), (STEPS_HEADER, b"")),
        ((GROUP_HEADER, b"flumen\0x"), (STEPS_HEADER, b"-1")),
        ((GROUP_HEADER, b"g" * 250), (STEPS_HEADER, b"9" * 17)),
        ((STEPS_HEADER, "²".encode()),),
        ((STEPS_HEADER, b"\xff"),),
    ],
)
def test_what_is_out_of_bounds_says_nothing(headers: Headers) -> None:
    assert read_status_headers(headers) == StatusHeaders()


def test_the_fleet_keeps_a_workers_headers_with_its_status() -> None:
    roster, said = Roster(HEARTBEAT_S), StatusHeaders("flumen", 3)
    roster.hear(message(STATUS), is_news=True)
    assert [seen.group for seen in roster.workers("mnist")] == [None]
    roster.hear(message(STATUS)._replace(headers=arrived(said)), is_news=True)
    (seen,) = roster.workers("mnist")
    assert (seen.group, seen.headers.steps) == ("flumen", 3)


@pytest.mark.parametrize(
    ("properties", "worker_id", "group"),
    [
        ({}, None, "flumen"),
        ({"client.id": "billing"}, None, None),
        ({"client.id": "billing"}, "w1", "flumen"),
        ({"group.protocol": "consumer"}, "w1", "flumen"),
    ],
)
def test_kafka_knows_a_worker_by_its_name_unless_another_is_set(
    properties: dict[str, str], worker_id: str | None, group: str | None
) -> None:
    options = KafkaOptions(
        servers="127.0.0.1:9092",
        properties=properties,
        group_id="flumen",
        worker_id=worker_id,
        max_batch_time_ms=50,
        max_message_bytes=1,
        max_dead_letter_bytes=1,
    )
    assert options.group_of("w1") == group
    assert options.member_config("w1")["client.id"] == properties.get("client.id", "w1")
