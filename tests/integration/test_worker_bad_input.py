"""Whatever arrives is classified, or ends in the dead letters with a reason; the worker goes on."""

import io
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import requests
from confluent_kafka import Producer
from PIL import Image

from flumen.stores.kudu import KuduReader
from flumen.stores.solr import SolrReader
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage, to_message


def image_bytes(mode: str, form: str, size: tuple[int, int] = (28, 28), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form, **options)
    return buffer.getvalue()


def png_with_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png_with_bad_profile() -> bytes:
    content = image_bytes("L", "PNG")
    return content[:33] + chunk(b"iCCP", b"name\0\1 packed in an unknown way") + content[33:]


def broken_tiff() -> bytes:
    """Of which libtiff says a line to standard error."""
    content = bytearray(image_bytes("RGB", "TIFF", (300, 300), compression="tiff_lzw"))
    content[8:40] = bytes(32)
    return bytes(content)


GOOD = {
    "one pixel": image_bytes("L", "PNG", (1, 1)),
    "sixteen bits": image_bytes("I;16", "PNG"),
    "palette with alpha": image_bytes("P", "PNG", transparency=0),
    "colour and alpha": image_bytes("RGBA", "PNG"),
    "cmyk": image_bytes("CMYK", "JPEG"),
    "animated": image_bytes("P", "GIF", save_all=True, append_images=[Image.new("P", (28, 28), 1)]),
    "large": image_bytes("RGB", "BMP", (400, 300)),
    "a bad colour profile": png_with_bad_profile(),
}
BAD = {
    "not an image": (b"Dear Sir or Madam, ...", "decode"),
    "truncated": (image_bytes("RGB", "PNG", (200, 200))[:-100], "decode"),
    "empty": (b"", "envelope"),
    "no pixels": (png_with_header(0, 0), "decode"),
    "bomb": (png_with_header(100_000, 100_000), "decode"),
    "broken TIFF": (broken_tiff(), "decode"),
    "HEIC": (struct.pack(">L4s4sL4s4s", 24, b"ftyp", b"mif1", 0, b"mif1", b"heic") + bytes(99), "decode"),
    "k" * 17_000: (image_bytes("L", "PNG"), "envelope"),
}


def test_bad_among_good(
    settings: Settings,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    observer: Any,
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

    dead_letters = {
        dead_letter.key: dead_letter
        for dead_letter in map(read_dead_letter, observer.read(settings.dead_topic))
    }
    assert sorted(dead_letters) == sorted([*BAD, "broken headers"])
    for key, (_, stage) in BAD.items():
        assert dead_letters[key].stage == stage
        assert dead_letters[key].reason
        assert len(dead_letters[key].reason) <= 4000
    assert "ce_knownlabel" in dead_letters["broken headers"].reason
    assert "100,000" in dead_letters["bomb"].reason or "100000" in dead_letters["bomb"].reason
    assert "it is HEIC/HEIF, which no decoder here reads; publish it as one of" in dead_letters["HEIC"].reason
    assert dead_letters["broken TIFF"].reason.endswith(
        "cannot be decoded to its end; publish it again from the original"
    )
    (broken,) = (raw for raw in observer.read(settings.dead_topic) if raw.key == b"broken TIFF")
    assert b"code not yet in table" in dict(broken.headers)["__connect.errors.exception.stacktrace"]
    strange = [line for line in worker.log.read_text().splitlines() if not line.startswith("{")]
    assert strange == [], "what a library says of an image stands with that image alone"

    kudu = KuduReader(settings.kudu_options())
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

    # A dead letter keeps the message as it came.
    headers = [("ce_id", b"x"), ("own", None), ("own", b"\xff\xfe")]
    delivered: list[Any] = []
    producer.produce(
        settings.images_topic,
        key=b"\xff",
        value=b"no image",
        headers=headers,
        partition=1,
        on_delivery=lambda _, message: delivered.append(message.offset()),
    )
    assert producer.flush(60) == 0
    wait_until_acknowledged(len(GOOD) + len(BAD) + 3, worker)
    (kept,) = (raw for raw in observer.read(settings.dead_topic) if raw.key == b"\xff")
    assert kept.value == b"no image"
    assert list(kept.headers[:3]) == headers
    added = dict(kept.headers[3:])
    assert added["__connect.errors.topic"] == settings.images_topic.encode()
    assert added["__connect.errors.partition"] == b"1"
    assert [int(added["__connect.errors.offset"])] == delivered
    assert added["flumen.model"] == b"mnist@2"
    assert added["flumen.attempt"] == b"1"
    assert worker.stop() == 0


def event(number: int, key: str) -> dict[str, Any]:
    """A message of a camera that counts its images, and whose key names the camera."""
    headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", str(number)),
        ("ce_source", "/camera/1"),
        ("ce_type", "t"),
    ]
    headers.append(("ce_time", f"2026-05-17T12:30:{number:02}.5Z"))
    return {"key": key, "value": grey(number), "headers": headers}


def grey(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), shade).save(buffer, "PNG")
    return buffer.getvalue()


def test_what_tells_images_apart(
    settings: Settings,
    start_worker: Callable[..., Any],
    port: int,
    wait_until_acknowledged: Callable[..., None],
) -> None:
    """A camera's key is no image's id; an image sent twice is one; what replaces another is counted and told."""
    ensure_topics(settings)
    worker = start_worker(http_port=port)
    producer = Producer(settings.producer_config())
    own = SourceImage(
        "a.png", grey(9), "a.png", "photos", "image/png", None, datetime(2026, 1, 1, tzinfo=UTC)
    )
    key, value, headers = to_message(own)
    messages = [event(number, "camera-1") for number in range(4)]
    messages += [{"key": key, "value": value, "headers": headers}] * 2
    messages += [{"key": "camera-2", "value": grey(number)} for number in range(3)]
    for message in messages:
        producer.produce(settings.images_topic, **message)
    assert producer.flush(60) == 0
    wait_until_acknowledged(len(messages), worker)
    kudu = KuduReader(settings.kudu_options())
    for number in range(4):
        row = kudu.get(f"/camera/1 {number}")
        assert row is not None
        assert row["image"] == grey(number)
        assert row["event_time"] == 1_779_021_000_500_000 + number * 1_000_000
    assert (kudu.get("a.png") or {})["event_time"] == 1_767_225_600_000_000
    assert (kudu.get("camera-2") or {})["image"] == grey(2)
    assert (kudu.get("camera-2") or {})["event_time"] is None
    assert kudu.count() == 6
    kudu.close()
    solr = SolrReader(settings.solr_options())
    solr.commit()
    assert solr.count() == 6
    solr.close()
    metrics = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    assert "flumen_images_replaced_total 2.0" in metrics
    told = [line for line in worker.lines() if line.get("image_id") == "camera-2"]
    assert len(told) == 1
    assert "set image_id to content" in told[0]["event"]
    assert worker.stop() == 0
