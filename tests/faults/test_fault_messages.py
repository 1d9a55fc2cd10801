"""Messages and topics that are not as they should be."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from fault_report import LONG
from fault_scene import Scene

from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics

IMAGES = 20_000 if LONG else 2_000
DELETED = 20
COMPACT_SOON = {"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01"}
SMALL_BATCHES = {"max_batch_size": 50}


@pytest.mark.long_form
def test_compacted_topic(scene: Scene, wait_until: Callable[..., Any]) -> None:
    """Every image is published twice to a compacted topic: half of the offsets are gone when the worker comes."""
    ensure_topics(scene.settings)
    topic = ConfigResource(ConfigResource.Type.TOPIC, scene.settings.images_topic)
    for name, value in COMPACT_SOON.items():
        topic.add_incremental_config(ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET))
    admin = AdminClient(scene.settings.admin_config())
    admin.incremental_alter_configs([topic])[topic].result()
    scene.publish(IMAGES)
    scene.publish_again()
    observer = TopicReader(scene.settings)
    # The segment that is written to is never compacted, so a few of the older ones always stay.
    left = partial(observer.read, scene.settings.images_topic)
    wait_until(lambda: sum(1 for _ in left()) < 1.5 * IMAGES, "a compaction")
    observer.close()
    worker = scene.start()
    scene.finish(worker, total=2 * IMAGES)


@pytest.mark.long_form  # test_worker_health has it with one image
def test_dead_letter_topic_missing(scene: Scene, wait_until: Callable[..., Any]) -> None:
    """The dead-letter topic is deleted under a worker that has written to it; none goes on without it."""
    worker = scene.start(**SMALL_BATCHES)
    worker.wait_for_line("partitions assigned")
    scene.publish(DELETED, poison_every=1)
    scene.wait_for(DELETED, worker)
    admin = AdminClient(scene.settings.admin_config())
    admin.delete_topics([scene.settings.dead_topic])[scene.settings.dead_topic].result()
    # The answer comes before the broker has done it: a dead letter that it still takes would go with the topic.
    wait_until(lambda: scene.settings.dead_topic not in admin.list_topics(timeout=10).topics, "the deletion")
    scene.forget_published()  # their dead letters went with the topic
    scene.publish_without_topics(IMAGES, poison_every=10)
    worker.wait_for_line("server does not answer; waiting", server="the dead-letter topic")
    before = scene.expect_unfinished()
    ensure_topics(scene.settings)
    scene.recover(before, worker)
    scene.finish(worker, total=DELETED + IMAGES)


@pytest.mark.long_form
def test_poison_among_good(scene: Scene) -> None:
    """One message in 50 is no image; the worker goes on by itself."""
    scene.publish(IMAGES, poison_every=50)
    worker: Any = scene.start()
    scene.finish(worker)


@pytest.mark.long_form
def test_fresh_group_on_old_data(scene: Scene) -> None:
    """A new consumer group comes to a topic whose oldest messages are gone and whose others are stored already."""
    scene.publish(IMAGES, poison_every=50)
    first = scene.start()
    scene.wait_for(IMAGES, first)
    assert first.stop() == 0
    admin = AdminClient(scene.settings.admin_config())
    topic = scene.settings.images_topic
    gone = [TopicPartition(topic, number, IMAGES // 10) for number in range(scene.settings.topic_partitions)]
    for deleted in admin.delete_records(gone).values():
        deleted.result()
    scene.publish(IMAGES, poison_every=50)
    fresh = f"{scene.settings.group_id}-fresh"
    second = scene.start(group_id=fresh)
    left = 2 * IMAGES - sum(partition.offset for partition in gone)
    scene.finish(second, group_id=fresh, total=left)
