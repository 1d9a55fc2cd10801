"""Workers as members of their group: by either protocol of Kafka's, and two of one name."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupType
from confluent_kafka.admin import AdminClient
from steady_load import steady_load

from flumen.stores.kudu import KuduReader
from flumen.streams.control.status_headers import GROUP_HEADER
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.kafka.group_members import group_members
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

POISON_EVERY = 10
BY_BROKER = {"group.protocol": "consumer"}


def digit(png: bytes, number: int) -> SourceImage:
    """Return an image, or in one of ten cases what is none."""
    content = png if number % POISON_EVERY else b"none"
    return SourceImage(f"digit-{number}", content, "", "", "", None, datetime.now(UTC))


def publish_some(settings: Settings, png: bytes, count: int) -> None:
    images = (digit(png, number) for number in range(count))
    report = publish(images, settings.producer_config(), settings.images_topic, None, lambda _: None)
    assert report.sent == count


def test_by_the_consumer_protocol_nothing_is_lost_or_doubled_when_a_worker_leaves(
    settings: Settings,
    png: bytes,
    start_worker: Callable[..., Any],
    wait_until: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    observer: Any,
) -> None:
    ensure_topics(settings)
    options = {"kafka_properties": BY_BROKER | {"group.remote.assignor": "range"}, "max_batch_size": 20}
    leaves, stays = start_worker(**options), start_worker(**options)
    for worker in (leaves, stays):
        worker.wait_for_line("partitions assigned")
    admin = AdminClient(settings.admin_config())

    def described() -> Any:
        return admin.describe_consumer_groups([settings.group_id])[settings.group_id].result()

    assert described().type == ConsumerGroupType.CONSUMER
    members = group_members(settings.admin_config(), [settings.group_id, "nobody's"])
    said = {raw.key.decode(): dict(raw.headers) for raw in observer.read(settings.status_topic)}
    assert sorted(members[settings.group_id], key=sorted) == [{name} for name in sorted(said)]
    assert {headers[GROUP_HEADER] for headers in said.values()} == {settings.group_id.encode()}
    assert list(members["nobody's"]) == []
    wait_until(
        lambda: [len(one.assignment.topic_partitions) for one in described().members] == [1, 1],
        "a share each",
    )
    with steady_load(settings, partial(digit, png)) as sent:
        wait_until_acknowledged(1, stays)
        assert leaves.stop() == 0
        left = observer.progress(settings.images_topic).published
        wait_until_acknowledged(left + 1, stays)
    wait_until_acknowledged(*sent, stays)
    assert stays.stop() == 0
    poisoned = [f"digit-{number}" for number in range(0, *sent, POISON_EVERY)]
    kudu = KuduReader(settings.kudu_options())
    assert [kudu.count() + len(poisoned)] == sent
    kudu.close()
    dead_letters = [read_dead_letter(raw).key for raw in observer.read(settings.dead_topic)]
    assert sorted(dead_letters) == sorted(poisoned)


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
