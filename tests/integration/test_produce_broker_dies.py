"""A broker of its own is killed while images are published."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from own_broker import Broker
from produce_topics import create_topic, published

from flumen.stack.layout import Layout
from flumen.stack.ports import choose
from flumen.streams.errors import PublishFailed
from flumen.streams.publishing.publisher import publish
from flumen.streams.wire import SourceImage


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    ports = choose(("kafka", "kafka-controller"), {}, set())
    broker = Broker(Layout(tmp_path), dict(ports))
    broker.start()
    yield broker
    broker.kill()


def images(count: int, at_half: Callable[[], None]) -> Iterator[SourceImage]:
    for row in range(count):
        if row == count // 2:
            at_half()
        yield SourceImage(f"id-{row}", b"content", "", "", "image/png", None, datetime.now(UTC))


def ignore(_settled: int) -> None:
    pass


def test_a_broker_that_comes_back_has_every_image_once(broker: Broker) -> None:
    topic = create_topic(broker.address, "images")

    def restart() -> None:
        broker.kill()
        broker.start()

    report = publish(images(2000, restart), {"bootstrap.servers": broker.address}, topic, None, ignore)
    assert (report.sent, report.failed) == (2000, 0)
    assert [image.id for image in published(broker.address, topic, "g")] == [
        f"id-{row}" for row in range(2000)
    ]


def test_a_broker_that_stays_away_ends_it(broker: Broker) -> None:
    topic = create_topic(broker.address, "images")
    config: dict[str, str | int | float | bool] = {
        "bootstrap.servers": broker.address,
        "delivery.timeout.ms": 1000,
    }
    with pytest.raises(PublishFailed, match=r"stopped to acknowledge images .* run the same command again"):
        publish(images(2000, broker.kill), config, topic, None, ignore)
