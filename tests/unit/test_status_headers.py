"""The headers of a status: what is said comes back, and what is out of bounds says nothing."""

import pytest
from test_fleet_roster import HEARTBEAT_S, STATUS, message

from flumen.streams.control.operator.fleet import Roster
from flumen.streams.control.status_headers import (
    END_TO_END_HEADER,
    GROUP_HEADER,
    MEMORY_HEADER,
    STEPS_HEADER,
    StatusHeaders,
    read_status_headers,
)
from flumen.streams.control.worker.resident import Resident
from flumen.streams.kafka.message import UNREADABLE_HEADERS, Headers
from flumen.streams.kafka.options import KafkaOptions
from flumen.streams.live.metrics import Metrics


def arrived(said: StatusHeaders) -> Headers:
    return tuple((name, value.encode() if isinstance(value, str) else value) for name, value in said.sent())


INF = float("inf")


@pytest.mark.parametrize(
    "said",
    [
        StatusHeaders(),
        StatusHeaders("flumen", 41),
        StatusHeaders("größe", 0),
        StatusHeaders("flumen", 1, 10**12, ((0.0025, 0), (0.05, 3), (60.0, 3), (INF, 4))),
    ],
)
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
        ((MEMORY_HEADER, b"-1"), (END_TO_END_HEADER, b"")),
        ((MEMORY_HEADER, b"1.5"), (END_TO_END_HEADER, b"0.1:3")),
        ((END_TO_END_HEADER, b"0.1:3,0.05:4,inf:5"),),
        ((END_TO_END_HEADER, b"0.1:3,inf:2"),),
        ((END_TO_END_HEADER, b"0.1:3,nan:3,inf:3"),),
        ((END_TO_END_HEADER, b",".join(b"%d:1" % at for at in range(99)) + b",inf:1"),),
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


def test_a_worker_says_what_its_metric_and_its_memory_are() -> None:
    metrics, resident = Metrics(), Resident(lambda: 0.0)
    metrics.end_to_end_seconds.observe(0.02)
    metrics.end_to_end_seconds.observe(90)
    said = dict(metrics.end_to_end())
    assert (said[0.01], said[0.025], said[60.0], said[INF]) == (0, 1, 1, 2)
    assert (resident.in_bytes() or 0) > 1_000_000
    headers = StatusHeaders(None, 0, resident.in_bytes(), metrics.end_to_end())
    assert read_status_headers(arrived(headers)) == headers


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
