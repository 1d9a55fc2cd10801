"""Whatever arrives is classified, or ends in the dead letters with a reason; the worker goes on."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer
from PIL import Image

from stores.kudu import KuduReader
from stores.solr import SolrReader
from streams.letters import read_letter
from streams.settings import Settings
from streams.topics import ensure_topics


def image_bytes(mode: str, form: str, size: tuple[int, int] = (28, 28), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form, **options)
    return buffer.getvalue()


def png_with_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


GOOD = {
    "one pixel": image_bytes("L", "PNG", (1, 1)),
    "sixteen bits": image_bytes("I;16", "PNG"),
    "palette with alpha": image_bytes("P", "PNG", transparency=0),
    "colour and alpha": image_bytes("RGBA", "PNG"),
    "cmyk": image_bytes("CMYK", "JPEG"),
    "animated": image_bytes("P", "GIF", save_all=True, append_images=[Image.new("P", (28, 28), 1)]),
    "large": image_bytes("RGB", "BMP", (400, 300)),
}
BAD = {
    "not an image": (b"Dear Sir or Madam, ...", "decode"),
    "truncated": (image_bytes("RGB", "PNG", (200, 200))[:-100], "decode"),
    "empty": (b"", "envelope"),
    "no pixels": (png_with_header(0, 0), "decode"),
    "bomb": (png_with_header(100_000, 100_000), "decode"),
    "k" * 17_000: (image_bytes("L", "PNG"), "envelope"),
}


def test_bad_among_good(
    settings: Settings,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    observer: Any,
    flumen_kudu_classpath: list[Path],
) -> None:
    ensure_topics(settings)
    worker = start_worker()
    producer = Producer(settings.producer_config())
    for key, content in [*GOOD.items(), *((key, content) for key, (content, _) in BAD.items())]:
        producer.produce(settings.images_topic, key=key, value=content)
    broken_label = [("ce_specversion", "1.0"), ("ce_id", "label"), ("ce_knownlabel", "seven")]
    producer.produce(
        settings.images_topic, key="broken headers", value=GOOD["one pixel"], headers=broken_label
    )
    producer.produce(settings.images_topic, value=GOOD["sixteen bits"])  # no key: named by its hash
    assert producer.flush(60) == 0
    wait_until_acknowledged(len(GOOD) + len(BAD) + 2, worker)

    letters = {letter.key: letter for letter in map(read_letter, observer.read(settings.dead_topic))}
    assert sorted(letters) == sorted([*BAD, "broken headers"])
    for key, (_, stage) in BAD.items():
        assert letters[key].stage == stage
        assert letters[key].reason
        assert len(letters[key].reason) <= 4000
    assert "ce_knownlabel" in letters["broken headers"].reason
    assert "100,000" in letters["bomb"].reason or "100000" in letters["bomb"].reason

    kudu = KuduReader(settings.kudu_options(tuple(flumen_kudu_classpath)))
    for key, content in GOOD.items():
        row = kudu.get(key)
        assert row is not None, key
        assert row["image"] == content
        assert 0 <= row["prediction"] < 10
    assert kudu.count() == len(GOOD) + 1
    kudu.close()
    solr = SolrReader(settings.solr_options())
    solr.commit()
    assert solr.count() == len(GOOD) + 1
    solr.close()
    assert worker.stop() == 0


def test_a_dead_letter_keeps_the_message_as_it_came(
    settings: Settings, start_worker: Callable[..., Any], wait_until_acknowledged: Callable[..., None]
) -> None:
    ensure_topics(settings)
    worker = start_worker()
    producer = Producer(settings.producer_config())
    headers = [("ce_id", b"x"), ("own", None), ("own", b"\xff\xfe")]
    producer.produce(settings.images_topic, key=b"\xff", value=b"no image", headers=headers, partition=1)
    assert producer.flush(60) == 0
    wait_until_acknowledged(1, worker)
    consumer = Consumer({**settings.consumer_config(), "group.id": f"{settings.group_id}-test"})
    consumer.subscribe([settings.dead_topic])
    message = consumer.poll(60)
    assert message is not None
    assert message.error() is None
    assert (message.key(), message.value()) == (b"\xff", b"no image")
    assert message.headers()[:3] == headers
    added = dict(message.headers()[3:])
    assert added["__connect.errors.topic"] == settings.images_topic.encode()
    assert (added["__connect.errors.partition"], added["__connect.errors.offset"]) == (b"1", b"0")
    assert added["flumen.model"] == b"mnist@1"
    assert added["flumen.attempt"] == b"1"
    consumer.close()
    assert worker.stop() == 0
