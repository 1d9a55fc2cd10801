"""Large images, and such as take long: stored whole and given back byte for byte, or dead letters; the worker lives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from large_images import (
    bmp_of_bytes,
    endless_jpeg,
    tiff_of_a_tile,
    tiff_of_artists,
    tiff_of_datasets,
    tiff_of_pages,
)
from produce_topics import create_topic

from flumen.stores.kudu import KuduReader
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.errors import TopicTooSmall
from flumen.streams.kafka.message import Outgoing
from flumen.streams.kafka.producer import command_producer
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.publishing.sources import SourceOptions, find_files, read_images
from flumen.streams.settings import Settings

MEGABYTES = 1024 * 1024
LIMIT = 24 * MEGABYTES
"""Over what brokers, topics, producers and consumers take by default."""


def test_from_a_file_through_every_limit_and_back(
    settings: Settings,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    run_flumen: Callable[..., Any],
    ask_flumen: Callable[..., Any],
    tmp_path: Any,
) -> None:
    settings = settings.model_copy(update={"max_image_bytes": LIMIT})
    ensure_topics(settings)
    photos = tmp_path / "photos"
    photos.mkdir()
    contents = {f"{size}.bmp": bmp_of_bytes(size) for size in (61_440, 61_441, 3_000_000, LIMIT)}
    for name, content in contents.items():
        (photos / name).write_bytes(content)
    worker = start_worker(max_image_bytes=LIMIT)
    images = read_images(find_files([photos], pytest.fail), SourceOptions(max_image_bytes=LIMIT), pytest.fail)
    report = publish(images, settings.producer_config(), settings.images_topic, None, lambda _: None)
    assert (report.sent, report.failures) == (len(contents), ())
    wait_until_acknowledged(len(contents), worker)
    assert worker.stop() == 0

    kudu = KuduReader(settings.kudu_options())
    for name, content in contents.items():
        assert kudu.read_image(f"photos/{name}") == content
    kudu.close()
    got = run_flumen("images", "get", f"photos/{LIMIT}.bmp")
    assert (got.returncode, got.stdout) == (0, contents[f"{LIMIT}.bmp"])
    view = ask_flumen("images", "get", "photos/61441.bmp", "--view")
    assert view.stdout[:13] == b"P5\n28 28\n255\n"
    missing = ask_flumen("images", "get", "nobody")
    assert missing.returncode == 1
    assert b"there is no image 'nobody' in Kudu" in b" ".join(missing.stderr.split())


def test_over_the_limit_and_over_time_is_a_dead_letter_whole(
    settings: Settings,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    observer: Any,
) -> None:
    """The limit is lower than what the topic takes, as where another producer does not keep to it."""
    ensure_topics(settings)
    worker = start_worker(max_image_bytes=MEGABYTES, max_decode_time_s=0.3)
    sent = {
        "too many bytes": bmp_of_bytes(MEGABYTES + 1),
        "far too many bytes": bmp_of_bytes(16 * MEGABYTES),
        "takes too long": endless_jpeg(MEGABYTES),
        "in time": bmp_of_bytes(MEGABYTES),
    }
    producer = Producer(settings.producer_config())
    for _ in range(2):
        for key, content in sent.items():
            producer.produce(settings.images_topic, key=key, value=content)
    assert producer.flush(60) == 0
    wait_until_acknowledged(2 * len(sent), worker)
    assert worker.stop() == 0
    raws = list(observer.read(settings.dead_topic))
    dead_letters = [read_dead_letter(raw) for raw in raws]
    assert sorted({dead_letter.key for dead_letter in dead_letters}) == [
        "far too many bytes",
        "takes too long",
        "too many bytes",
    ]
    assert all(
        raw.value == sent[dead_letter.key] for raw, dead_letter in zip(raws, dead_letters, strict=True)
    )
    stages = {
        dead_letter.key: (dead_letter.stage, dead_letter.error_class.rpartition(".")[2])
        for dead_letter in dead_letters
    }
    assert stages == {
        "too many bytes": ("envelope", "ImageTooLarge"),
        "far too many bytes": ("envelope", "ImageTooLarge"),
        "takes too long": ("decode", "DecodeTooLong"),
    }


def test_what_costs_more_than_it_weighs_stops_nothing_behind_it(
    settings: Settings,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    observer: Any,
) -> None:
    """Each is stored, or a dead letter with its reason, and the images around it are stored."""
    ensure_topics(settings)
    hostile = {
        "800 pages": tiff_of_pages(800),
        "datasets": tiff_of_datasets(3_000_000),
        "semicolons": tiff_of_artists(15 * MEGABYTES),
        "tile": tiff_of_a_tile(46_000),
    }
    good = {f"good {number}": bmp_of_bytes(2_000 + number) for number in range(20)}
    worker = start_worker()
    producer = Producer(settings.producer_config())
    for number, (key, content) in enumerate(hostile.items()):
        producer.produce(settings.images_topic, key=f"good {number}", value=good[f"good {number}"])
        producer.produce(settings.images_topic, key=key, value=content)
    for key in list(good)[len(hostile) :]:
        producer.produce(settings.images_topic, key=key, value=good[key])
    assert producer.flush(60) == 0
    wait_until_acknowledged(len(hostile) + len(good), worker)
    assert psutil.Process(worker.process.pid).memory_info().rss < 900 * MEGABYTES
    assert worker.stop() == 0
    dead_letters = [read_dead_letter(raw) for raw in observer.read(settings.dead_topic)]
    assert [
        (dead_letter.key, dead_letter.error_class.rpartition(".")[2]) for dead_letter in dead_letters
    ] == [("tile", "ImageTooManyPixels")]
    kudu = KuduReader(settings.kudu_options())
    for key in [*good, "800 pages", "datasets", "semicolons"]:
        assert kudu.read_image(key) == (good | hostile)[key], key
    kudu.close()


def test_a_topic_that_takes_no_dead_letter_of_every_image_is_named_at_the_start(settings: Settings) -> None:
    create_topic(settings.kafka_servers, settings.images_topic, **{"max.message.bytes": "5000000"})
    create_topic(settings.kafka_servers, settings.dead_topic, **{"max.message.bytes": "5000000"})
    with pytest.raises(TopicTooSmall, match=r"Set max\.message\.bytes of .* to 5065536 or more"):
        ensure_topics(settings)


def test_a_topic_that_refuses_a_dead_letter_stops_the_worker_and_loses_nothing(
    settings: Settings, start_worker: Callable[..., Any], observer: Any, wait_until: Callable[..., Any]
) -> None:
    """Its limit was lowered after the worker had looked."""
    ensure_topics(settings)
    worker = start_worker()
    worker.wait_for_line("worker is ready")
    resource = ConfigResource(
        ConfigResource.Type.TOPIC,
        settings.dead_topic,
        incremental_configs=[
            ConfigEntry("max.message.bytes", "100000", incremental_operation=AlterConfigOpType.SET)
        ],
    )
    admin = AdminClient(settings.admin_config())
    admin.incremental_alter_configs([resource])[resource].result()
    # The controller has it; the broker, which takes or refuses, follows a moment later.
    large = Outgoing(settings.dead_topic, b"large", np.random.default_rng(2).bytes(MEGABYTES), [])
    wait_until(
        lambda: command_producer(settings).send([large]) != [None], "a topic that refuses what is large"
    )
    producer = Producer(settings.producer_config())
    producer.produce(settings.images_topic, key="noise", value=np.random.default_rng(1).bytes(MEGABYTES))
    assert producer.flush(60) == 0
    assert worker.process.wait(120) == 1
    assert "Raise its max.message.bytes with kafka-configs.sh" in " ".join(worker.log.read_text().split())
    assert observer.progress(settings.images_topic).acknowledged == 0
