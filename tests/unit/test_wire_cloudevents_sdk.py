"""The CloudEvents project's own library reads what we write, and we read what it writes."""

from datetime import UTC, datetime

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from flumen.interceptor import ImageMessage
from flumen.streams.kafka.message import RawMessage
from flumen.streams.wire import SourceImage, to_image, to_message

IMAGE = bytes(range(256))
TIME = datetime(2026, 5, 17, 12, 30, 15, 123456, UTC)
MICROSECONDS = 1_779_021_015_123_456


def received(message: KafkaMessage) -> ImageMessage:
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return to_image(RawMessage("images", 0, 0, key, message.value, tuple(message.headers.items()), 0), 1)


def sdk_event() -> CloudEvent:
    return CloudEvent(
        attributes={
            "id": "e-1",
            "source": "/camera",
            "type": "com.example.image",
            "subject": "schön.png",
            "time": TIME,
            "datacontenttype": "image/png",
            "knownlabel": 7,
        },
        data=IMAGE,
    )


def test_the_library_reads_what_we_write() -> None:
    source = SourceImage("id-1", IMAGE, "schön.png", "photos", "image/png", 7, TIME)
    key, value, headers = to_message(source)
    sent = {name: content for name, content in headers if isinstance(content, bytes)}
    event = from_kafka(KafkaMessage(sent, key, value), JSONFormat())
    assert event.get_specversion() == "1.0"
    assert event.get_id() == "id-1"
    assert event.get_source() == "photos"
    assert event.get_type() == "flumen.image.v1"
    assert event.get_subject() == "schön.png"
    assert event.get_time() == TIME
    assert event.get_datacontenttype() == "image/png"
    assert event.get_extension("knownlabel") == "7"
    assert event.get_data() == IMAGE


def test_we_read_binary_mode_of_the_library() -> None:
    image = received(to_binary(sdk_event(), JSONFormat()))
    assert image == ImageMessage("/camera e-1", IMAGE, 1, "/camera", "schön.png", 7, MICROSECONDS)


def test_we_read_structured_mode_of_the_library() -> None:
    image = received(to_structured(sdk_event(), JSONFormat()))
    assert image == ImageMessage("/camera e-1", IMAGE, 1, "/camera", "schön.png", 7, MICROSECONDS)


def test_the_key_given_by_the_library_may_be_a_partition_key() -> None:
    message = to_binary(sdk_event(), JSONFormat(), key_mapper=lambda _event: "from-key")
    assert received(message).id == "/camera e-1"
    message = to_binary(sdk_event(), JSONFormat(), key_mapper=lambda _event: "e-1")
    assert received(message).id == "e-1"
