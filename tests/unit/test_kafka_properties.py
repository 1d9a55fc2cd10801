import subprocess
import sys
from pathlib import Path

import pytest

from flumen.streams.errors import BadSetting
from flumen.streams.kafka.properties import _OWN
from flumen.streams.settings import load_settings

MADE = """
from flumen.streams.kafka.errors import make_admin, make_consumer, make_producer
from flumen.streams.settings import load_settings

settings = load_settings(
    kafka_servers="127.0.0.1:1",
    kafka_properties={
        "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "group.protocol": "classic", "check.crcs": True,
        "queued.min.messages": 10, "fetch.min.bytes": 1, "fetch.wait.max.ms": 10, "max.partition.fetch.bytes": 10_000,
        "enable.auto.commit": False, "enable.auto.offset.store": False, "auto.offset.reset": "earliest",
        "isolation.level": "read_committed", "allow.auto.create.topics": False, "auto.commit.interval.ms": 1000,
        "coordinator.query.interval.ms": 1000, "fetch.queue.backoff.ms": 10, "fetch.error.backoff.ms": 10,
        "acks": "all", "enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4", "retries": 9,
        "batch.size": 1000, "partitioner": "consistent_random",
        "request.timeout.ms": 1000, "sticky.partitioning.linger.ms": 10,
        "enable.gapless.guarantee": False, "compression.level": 1,
        "client.id": "me", "socket.keepalive.enable": True,
    },
)
LOUD = {"log_level": 7}
made = [
    make_consumer(settings.consumer_config() | LOUD),
    make_consumer(settings.lone_consumer_config() | LOUD),
    make_producer(settings.producer_config() | LOUD),
    make_admin(settings.admin_config() | LOUD),
]
"""
MIXED = """
from flumen.streams.kafka.errors import make_producer
made = make_producer({"bootstrap.servers": "127.0.0.1:1", "session.timeout.ms": 6000})
"""


def printed_by(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr


def test_no_client_is_given_what_is_for_another_kind() -> None:
    assert "will be ignored by this producer" in printed_by(MIXED)
    said = [line for line in printed_by(MADE).splitlines() if "will be ignored" in line]
    assert said == []


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("bootstrap.servers", "elsewhere:9092", "set kafka_servers instead"),
        ("metadata.broker.list", "elsewhere:9092", "set kafka_servers instead"),
        ("group.id", "mine", "set group_id instead"),
        ("group.instance.id", "mine", "set worker_id instead"),
        ("max.poll.interval.ms", 100_000, "set max_poll_interval_s instead"),
        ("message.max.bytes", 1000, "set max_image_bytes instead"),
        ("receive.message.max.bytes", 1000, "set max_image_bytes instead"),
        ("enable.auto.commit", True, "once its image is stored"),
        ("auto.commit.enable", True, "once its image is stored"),
        ("enable.auto.offset.store", "1", "once its image is stored"),
        ("offset.store.method", "file", "once its image is stored"),
        ("auto.offset.reset", "latest", "--reset-offsets"),
        ("auto.offset.reset", "error", "--reset-offsets"),
        ("isolation.level", "read_uncommitted", "aborting its transaction"),
        ("partition.assignment.strategy", "range", "group.remote.assignor"),
        ("enable.partition.eof", True, "a partition's end"),
        ("allow.auto.create.topics", True, "topic_partitions"),
        ("acks", 1, "all replicas"),
        ("request.required.acks", 0, "all replicas"),
        ("enable.idempotence", False, "all replicas"),
        ("enable.gapless.guarantee", True, "one message"),
        ("delivery.report.only.error", True, "acknowledged"),
        ("batch.num.messages", 1000, "batch.size"),
        ("queue.buffering.max.kbytes", 1, "set max_in_flight_bytes instead"),
        ("queue.buffering.max.messages", 1, "set max_in_flight_bytes instead"),
        ("delivery.timeout.ms", 100_000, "each producer"),
        ("message.timeout.ms", 1, "each producer"),
        ("transactional.id", "mine", "control topic"),
        ("transaction.timeout.ms", 1000, "transactional.id"),
        ("enabled_events", 1, "answers"),
        ("partitioner", "random", "the one sent last wins"),
        ("group.protocol.type", "connect", "group.protocol"),
        ("topic.blacklist", "images", "never read"),
        ("api.version.request", False, "no headers"),
        ("error_cb", "print", "a function"),
        ("on_commit", "print", "a function"),
        ("test.mock.num.brokers", 3, "brokers that keep nothing"),
    ],
)
def test_what_is_flumens_own_is_refused_with_the_reason(name: str, value: str | int, instead: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load_settings(kafka_properties={name: value})
    assert f"{name} is flumen's own: " in str(caught.value)
    assert instead in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_of_them_are_told_together_and_with_other_settings() -> None:
    with pytest.raises(BadSetting) as caught:
        load_settings(kafka_properties={"acks": "0", "group.id": "mine", "client.id": "me"}, max_batch_size=0)
    said = str(caught.value).splitlines()
    assert len(said) == 2
    assert "acks is flumen's own" in said[0]
    assert "group.id is flumen's own" in said[0]
    assert "client.id" not in said[0]
    assert "max_batch_size" in said[1]


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"session.timeout.ms": 3000}, "session.timeout.ms is 3000 and heartbeat.interval.ms 3000"),
        ({"heartbeat.interval.ms": "45000"}, "session.timeout.ms is 45000 and heartbeat.interval.ms 45000"),
        (
            {"session.timeout.ms": 6000, "heartbeat.interval.ms": 60_000},
            "6000 and heartbeat.interval.ms 60000",
        ),
    ],
)
def test_a_session_that_is_over_before_its_first_heartbeat_is_refused(
    properties: dict[str, str | int], said: str
) -> None:
    with pytest.raises(BadSetting, match=said):
        load_settings(kafka_properties=properties)


@pytest.mark.parametrize("partitioner", ["murmur2", "consistent", "fnv1a", "fnv1a_random"])
def test_a_partitioner_that_keeps_an_id_on_its_partition_passes(partitioner: str) -> None:
    assert load_settings(kafka_properties={"partitioner": partitioner}).producer_config()


def test_what_says_the_same_as_flumen_passes() -> None:
    properties = {
        "acks": -1,
        "auto.offset.reset": "EARLIEST",
        "enable.auto.commit": False,
        "enable.idempotence": True,
        "isolation.level": "read_committed",
    }
    config = load_settings(kafka_properties=properties).consumer_config()
    assert config["enable.auto.commit"] == "false"
    assert "acks" not in config


def test_the_same_id_is_on_the_partition_that_javas_client_chooses() -> None:
    assert load_settings().producer_config()["partitioner"] == "murmur2_random"
    chosen = load_settings(kafka_properties={"partitioner": "consistent_random"})
    assert chosen.producer_config()["partitioner"] == "consistent_random"


def test_every_property_that_is_refused_stands_in_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    for name in _OWN.keys() - {
        "default_topic_conf",
        "logger",
        "on_delivery",
        "opaque",
        "request.required.acks",
    }:
        assert f"`{name}`" in page, name
