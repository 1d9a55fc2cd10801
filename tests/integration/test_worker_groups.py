"""Workers as members of their group: by either protocol of Kafka's, and two of one name."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupType
from confluent_kafka.admin import AdminClient

from flumen.stores.kudu import KuduReader
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

IMAGES = 3000
POISON_EVERY = 10
BY_BROKER = {"group.protocol": "consumer"}


def publish_some(settings: Settings, png: bytes, count: int) -> None:
    """Publish images, one in ten of which is none."""
    images = (
        SourceImage(f"digit-{i}", png if i % POISON_EVERY else b"none", "", "", "", None, datetime.now(UTC))
        for i in range(count)
    )
    report = publish(images, settings.producer_config(), settings.images_topic, None, lambda _: None)
    assert report.sent == count


def test_by_the_consumer_protocol_nothing_is_lost_or_doubled_when_a_worker_leaves(
    settings: Settings,
    png: bytes,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    observer: Any,
    flumen_kudu_classpath: list[Path],
) -> None:
    ensure_topics(settings)
    options = {"kafka_properties": BY_BROKER | {"group.remote.assignor": "range"}, "max_batch_size": 20}
    leaves, stays = start_worker(**options), start_worker(**options)
    for worker in (leaves, stays):
        worker.wait_for_line("partitions assigned")
    admin = AdminClient(settings.admin_config())
    group = admin.describe_consumer_groups([settings.group_id])[settings.group_id].result()
    assert group.type == ConsumerGroupType.CONSUMER
    assert [len(member.assignment.topic_partitions) for member in group.members] == [1, 1]
    publish_some(settings, png, IMAGES)
    wait_until_acknowledged(1, stays)
    assert leaves.stop() == 0
    assert observer.progress(settings.images_topic).acknowledged < IMAGES, "it left too late to say anything"
    wait_until_acknowledged(IMAGES, stays)
    assert stays.stop() == 0
    kudu = KuduReader(settings.kudu_options(tuple(flumen_kudu_classpath)))
    assert kudu.count() == IMAGES - IMAGES // POISON_EVERY
    kudu.close()
    letters = [read_dead_letter(raw).key for raw in observer.read(settings.dead_topic)]
    assert sorted(letters) == sorted(f"digit-{i}" for i in range(0, IMAGES, POISON_EVERY))


@pytest.mark.parametrize("properties", [{}, BY_BROKER], ids=["classic", "consumer"])
def test_of_two_workers_of_one_name_one_ends_and_names_the_other(
    properties: dict[str, str],
    settings: Settings,
    png: bytes,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
) -> None:
    ensure_topics(settings)
    options = {"kafka_properties": properties, "worker_id": f"twin-{settings.group_id}"}
    first = start_worker(**options)
    first.wait_for_line("partitions assigned")
    second = start_worker(**options)
    # By the classic protocol the newer one takes the name, by the other one the older keeps it.
    ends, stays = (second, first) if properties else (first, second)
    assert ends.process.wait(120) == 1
    said = ends.log.read_text()
    assert "WorkerIdTaken" in said
    assert f"as '{options['worker_id']}' has ended: FLUMEN_WORKER_ID is used twice" in said
    assert "Traceback" not in said
    publish_some(settings, png, 100)
    wait_until_acknowledged(100, stays)
    assert stays.stop() == 0
