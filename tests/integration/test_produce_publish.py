"""`publish` against a real broker."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from produce_topics import create_topic, published

from flumen.stack.layout import Endpoints
from flumen.stack.pytest_plugin import Names
from flumen.streams.errors import BadSetting, KafkaUnavailable, TopicMissing
from flumen.streams.publishing import publisher
from flumen.streams.publishing.publisher import SHOWN_FAILURES, PublishReport, publish
from flumen.streams.wire import SourceImage


def image(row: int, content: bytes = b"content") -> SourceImage:
    return SourceImage(f"id-{row}", content, f"{row}.png", "here", "image/png", row, datetime.now(UTC))


def ignore(_settled: int) -> None:
    pass


@pytest.fixture
def config(flumen_stack: Endpoints) -> dict[str, str | int | float | bool]:
    return {"bootstrap.servers": flumen_stack.kafka}


def test_all_is_sent_in_order_and_progress_ends_at_the_total(
    flumen_stack: Endpoints, flumen_names: Names, config: dict[str, str | int | float | bool]
) -> None:
    topic = create_topic(flumen_stack.kafka, flumen_names.images_topic)
    progress: list[int] = []
    report = publish((image(row) for row in range(1000)), config, topic, None, progress.append)
    assert (report.sent, report.failed, report.bytes, report.interrupted) == (1000, 0, 7000, False)
    assert progress == sorted(progress)
    assert progress[-1] == 1000
    images = published(flumen_stack.kafka, topic, flumen_names.group_id)
    assert [(found.id, found.known_label) for found in images] == [(f"id-{row}", row) for row in range(1000)]


def test_the_rate_is_not_exceeded(
    flumen_stack: Endpoints, flumen_names: Names, config: dict[str, str | int | float | bool]
) -> None:
    topic = create_topic(flumen_stack.kafka, flumen_names.images_topic)
    report = publish((image(row) for row in range(41)), config, topic, 40, ignore)
    assert report.sent == 41
    assert report.seconds >= 1.0


def test_an_image_too_large_for_the_topic_fails_and_the_others_go_on(
    flumen_stack: Endpoints, flumen_names: Names, config: dict[str, str | int | float | bool]
) -> None:
    topic = create_topic(flumen_stack.kafka, flumen_names.images_topic, **{"max.message.bytes": "100000"})
    images = [image(1), image(2, bytes(200_000)), image(3), image(4, bytes(2_000_000)), image(5)]
    report = publish(images, {**config, "message.max.bytes": 1_000_000}, topic, None, ignore)
    assert (report.sent, report.failed) == (3, 2)
    assert sorted(report.failures) == [
        f"image 'id-{row}' was not published: its {size} bytes are more than the topic {topic!r} takes "
        "(max.message.bytes), or more than FLUMEN_MAX_IMAGE_BYTES"
        for row, size in ((2, "200,000"), (4, "2,000,000"))
    ]
    found = published(flumen_stack.kafka, topic, flumen_names.group_id)
    assert sorted(one.id for one in found) == ["id-1", "id-3", "id-5"]


def test_small_images_fill_batches_that_a_topic_of_small_messages_takes(
    flumen_stack: Endpoints, flumen_names: Names, config: dict[str, str | int | float | bool]
) -> None:
    topic = create_topic(flumen_stack.kafka, flumen_names.images_topic, **{"max.message.bytes": "2000"})
    images = (image(row, bytes(row % 1500)) for row in range(1500))
    report = publish(images, {**config, "linger.ms": 100}, topic, None, ignore)
    assert (report.sent, report.failures) == (1500, ())


def test_only_the_first_failures_are_kept(
    flumen_stack: Endpoints, flumen_names: Names, config: dict[str, str | int | float | bool]
) -> None:
    topic = create_topic(flumen_stack.kafka, flumen_names.images_topic, **{"max.message.bytes": "10000"})
    report = publish((image(row, bytes(20_000)) for row in range(25)), config, topic, None, ignore)
    assert (report.sent, report.failed, len(report.failures)) == (0, 25, SHOWN_FAILURES)


def test_more_images_than_the_queue_holds_are_sent(
    flumen_stack: Endpoints, flumen_names: Names, config: dict[str, str | int | float | bool]
) -> None:
    topic = create_topic(flumen_stack.kafka, flumen_names.images_topic)
    small_queue = {**config, "queue.buffering.max.messages": 10}
    report = publish((image(row) for row in range(500)), small_queue, topic, None, ignore)
    assert (report.sent, report.failed) == (500, 0)


def test_an_image_larger_than_the_queue_is_sent(
    flumen_stack: Endpoints, flumen_names: Names, config: dict[str, str | int | float | bool]
) -> None:
    topic = create_topic(flumen_stack.kafka, flumen_names.images_topic)
    tiny_queue = {**config, "queue.buffering.max.kbytes": 1}
    report = publish([image(1, bytes(900_000))], tiny_queue, topic, None, ignore)
    assert (report.sent, report.bytes) == (1, 900_000)


def test_ctrl_c_ends_it_and_what_was_sent_is_reported(
    flumen_stack: Endpoints, flumen_names: Names, config: dict[str, str | int | float | bool]
) -> None:
    topic = create_topic(flumen_stack.kafka, flumen_names.images_topic)

    def interrupted() -> Iterator[SourceImage]:
        for row in range(7):
            yield image(row)
        raise KeyboardInterrupt  # as Ctrl-C does

    report = publish(interrupted(), config, topic, None, ignore)
    assert (report.sent, report.failed, report.interrupted) == (7, 0, True)
    assert len(published(flumen_stack.kafka, topic, flumen_names.group_id)) == 7


def test_a_missing_topic_is_named(flumen_names: Names, config: dict[str, str | int | float | bool]) -> None:
    with pytest.raises(TopicMissing, match=f"'{flumen_names.images_topic}' does not exist"):
        publish([image(1)], config, flumen_names.images_topic, None, ignore)


def test_a_broker_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "_CONNECT_S", 1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else answers there
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            KafkaUnavailable, match=rf"answers at {address} .*Connection refused.*`flumen up`"
        ):
            publish([image(1)], {"bootstrap.servers": address}, "images", None, ignore)


def test_a_wrong_property_is_named() -> None:
    with pytest.raises(BadSetting, match=r'"no\.such".*FLUMEN_KAFKA_PROPERTIES'):
        publish([image(1)], {"bootstrap.servers": "127.0.0.1:1", "no.such": 1}, "images", None, ignore)


def test_nothing_to_publish_is_no_failure(
    flumen_stack: Endpoints, flumen_names: Names, config: dict[str, str | int | float | bool]
) -> None:
    topic = create_topic(flumen_stack.kafka, flumen_names.images_topic)
    report = publish([], config, topic, None, ignore)
    assert report == PublishReport(sent=0, failed=0, bytes=0, seconds=report.seconds)
