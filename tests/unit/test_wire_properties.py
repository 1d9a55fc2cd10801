"""Any message is read without an exception, and what is written is read back."""

from datetime import UTC, datetime, timedelta, timezone

import orjson
from hypothesis import given
from hypothesis import strategies as st

from flumen.interceptor import ImageMessage
from flumen.streams.kafka.message import RawMessage
from flumen.streams.wire import Identity, SourceImage, to_image, to_images, to_message

texts = st.text(st.characters(exclude_categories=["Cs"]))
strings = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]))
"""What CloudEvents takes for a String."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
identities = st.sampled_from(["event", "key", "content"])
attributes = ["specversion", "id", "source", "subject", "knownlabel", "time", "type"]
names = st.one_of(st.sampled_from([*(f"ce_{name}" for name in attributes), "content-type"]), texts)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)
events = st.dictionaries(
    st.one_of(
        st.sampled_from([*attributes, "data", "data_base64"]),
        texts,
    ),
    st.one_of(json_values, st.sampled_from(["1.0", "AAAA", "7"])),
).map(orjson.dumps)
known_values = st.sampled_from(
    [None, b"", b"1.0", b"7", b"application/cloudevents+json", b"application/cloudevents+json;x", b"\xff"]
)
messages = st.builds(
    RawMessage,
    topic=st.just("images"),
    partition=st.integers(0, 100),
    offset=st.integers(0, 2**62),
    key=st.one_of(st.none(), st.binary(max_size=20)),
    value=st.one_of(st.none(), st.binary(max_size=50), events),
    headers=st.lists(st.tuples(names, st.one_of(known_values, st.binary(max_size=20))), max_size=8).map(
        tuple
    ),
    timestamp_ms=st.integers(),
)
moments = st.datetimes(
    min_value=datetime(2, 1, 1),
    max_value=datetime(9998, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
source_images = st.builds(
    SourceImage,
    id=strings.filter(bool),
    content=st.binary(),
    name=strings,
    source=strings,
    content_type=st.sampled_from(["image/png", "application/octet-stream"]),
    known_label=st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
    time=moments,
)


@given(messages, identities)
def test_any_message_is_read_and_has_an_id_that_can_be_sent(raw: RawMessage, identity: Identity) -> None:
    image = to_image(raw, 1, identity)
    assert image.id.encode()
    assert image.defect is None or "; " in image.defect
    assert image.origin is raw
    for text in (image.name, image.source, image.defect or ""):
        text.encode()
    assert image.known_label is None or -(2**31) <= image.known_label < 2**31


@given(st.lists(messages, max_size=5))
def test_a_batch_is_read_as_its_messages_are(raws: list[RawMessage]) -> None:
    assert to_images(raws, 1) == [to_image(raw, 1) for raw in raws]


@given(source_images)
def test_what_is_written_is_read_back(source: SourceImage) -> None:
    key, value, headers = to_message(source)
    received = tuple((name, content) for name, content in headers if not isinstance(content, str))
    assert len(received) == len(headers)
    image = to_image(RawMessage("images", 0, 0, key, value, received, 0), 1)
    assert image.defect is None
    assert image == ImageMessage(
        source.id,
        source.content,
        1,
        source.source,
        source.name,
        source.known_label,
        (source.time - EPOCH) // timedelta(microseconds=1),
    )
