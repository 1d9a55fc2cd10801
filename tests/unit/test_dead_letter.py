"""What a dead letter says, which dead letters a filter takes, and what is left of it when it is sent back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flumen.streams.dead_letters.dead_letter import (
    DeadLetterFilters,
    original_headers,
    parse_moment,
    parse_place,
    read_dead_letter,
)
from flumen.streams.dead_letters.writer import attempt_of
from flumen.streams.kafka.message import Headers, RawMessage

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
SAID: Headers = (
    ("__connect.errors.topic", b"images"),
    ("__connect.errors.partition", b"3"),
    ("__connect.errors.offset", b"1024"),
    ("__connect.errors.stage", b"decode"),
    ("__connect.errors.exception.class.name", b"flumen.interceptor.errors.NotAnImage"),
    ("__connect.errors.exception.message", b"Cannot identify IMAGE file"),
    ("flumen.attempt", b"2"),
    ("flumen.model", b"mnist@7"),
    ("flumen.sha256", b"ab12"),
)


def message(headers: Headers = SAID, offset: int = 17) -> RawMessage:
    at = int(NOON.timestamp() * 1000)
    return RawMessage("images.dead", 0, offset, b"a/b.png", b"bytes", headers, at)


def test_a_dead_letter_says_what_its_headers_say() -> None:
    dead_letter = read_dead_letter(message())
    assert (dead_letter.place, dead_letter.key, dead_letter.failed_at) == ("0/17", "a/b.png", NOON)
    assert (dead_letter.origin, dead_letter.origin_topic) == ("images/3/1024", "images")
    assert (dead_letter.stage, dead_letter.reason) == ("decode", "Cannot identify IMAGE file")
    assert (dead_letter.model, dead_letter.attempt, dead_letter.sha256) == ("mnist@7", 2, "ab12")
    assert dead_letter.size_bytes == 5


def test_what_the_worker_wrote_wins_over_what_the_sender_forged() -> None:
    forged = (("__connect.errors.topic", b"secrets"), ("flumen.attempt", b"0"), *SAID)
    assert read_dead_letter(message(forged)) == read_dead_letter(message())


@pytest.mark.parametrize("timestamp_ms", [-1, 2**62])
def test_a_message_that_is_no_dead_letter_of_ours_is_read_all_the_same(timestamp_ms: int) -> None:
    raw = RawMessage(
        "images.dead", 1, 5, b"\xff", None, (("own", None), ("flumen.model", None)), timestamp_ms
    )
    dead_letter = read_dead_letter(raw)
    assert (dead_letter.key, dead_letter.origin, dead_letter.origin_topic, dead_letter.attempt) == (
        "\\xff",
        "",
        "",
        0,
    )
    assert dead_letter.identity == "1/5"


def test_dead_letters_of_one_image_at_one_attempt_are_the_same() -> None:
    first, twice = read_dead_letter(message()), read_dead_letter(message(offset=18))
    assert first.identity == twice.identity
    for other in (
        replace(first, attempt=3),
        replace(first, origin="images/3/7"),
        replace(first, sha256="00"),
    ):
        assert other.identity != first.identity


@pytest.mark.parametrize(
    ("filters", "takes"),
    [
        ({}, True),
        ({"reason": "image FILE"}, True),
        ({"reason": "timeout"}, False),
        ({"stage": "decode"}, True),
        ({"stage": "dec"}, False),
        ({"model": "mnist"}, True),
        ({"model": "mnist@7"}, True),
        ({"model": "mnist@"}, False),
        ({"model": "mnist@70"}, False),
        ({"topic": "images"}, True),
        ({"topic": "image"}, False),
        ({"since": NOON}, True),
        ({"since": NOON + timedelta(seconds=1)}, False),
        ({"until": NOON}, False),
        ({"until": NOON + timedelta(seconds=1)}, True),
        ({"stage": "decode", "topic": "other"}, False),
    ],
)
def test_a_filter_takes_what_it_names(filters: dict[str, Any], takes: bool) -> None:
    assert DeadLetterFilters(**filters).match(read_dead_letter(message())) is takes


def test_an_image_goes_back_with_its_own_headers_and_its_count() -> None:
    own: Headers = (("ce_id", b"x"), ("own", None), ("own", b"\xff"))
    raw = message((*own, ("flumen.attempt", b"1"), *SAID))
    assert original_headers(raw) == [*own, ("flumen.attempt", "2")]


@pytest.mark.parametrize(
    ("given", "attempt"),
    [(None, 0), (b"", 0), (b"0", 0), (b"12", 12), (b"-1", 0), (b" 1", 0), (b"\xb2", 0), (b"9" * 5000, 0)],
)
def test_an_attempt_is_counted_only_if_it_is_a_sane_number(given: bytes | None, attempt: int) -> None:
    assert attempt_of((("flumen.attempt", given),)) == attempt


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOON - timedelta(seconds=90)),
        ("2h", NOON - timedelta(hours=2)),
        ("7d", NOON - timedelta(days=7)),
        ("2030-01-31T12:00:00Z", NOON),
        ("2030-01-31T14:00+02:00", NOON),
        ("2030-01-31T12:00", datetime(2030, 1, 31, 12).astimezone(UTC)),
    ],
)
def test_a_moment_is_a_duration_or_a_time(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOON) == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2 h", "999999999w", "2030-02-31", "0001-01-01T00:00+23:00"]
)
def test_what_is_no_moment_is_told_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="30m, 2h or 7d, or ISO 8601"):
        parse_moment(text, NOON)


@pytest.mark.parametrize(
    "text", ["", "17", "0/", "a/b", "-1/0", "0/1/2", "0/9999999999999999999", "²/1", "0/1\n"]
)
def test_what_names_no_place_is_told(text: str) -> None:
    assert parse_place(text) is None


def test_a_place_is_partition_and_offset() -> None:
    assert parse_place("3/1024") == (3, 1024)


def test_a_dead_letter_of_a_newer_schema_is_told_and_not_replayed() -> None:
    mine = [("__connect.errors.topic", b"images"), ("flumen.schema", b"2"), ("flumen.moved_to", b"s3://x")]
    found = read_dead_letter(RawMessage("images.dead", 0, 0, None, b"", tuple(mine), 0))
    assert found.schema == 2
    # What a producer says of itself stands before what the worker says, and is no schema of the dead letter's.
    theirs = [("flumen.schema", b"2"), ("flumen.left_out_bytes", b"7"), ("__connect.errors.topic", b"images")]
    found = read_dead_letter(RawMessage("images.dead", 0, 0, None, b"", tuple(theirs), 0))
    assert (found.schema, found.left_out_bytes) == (1, 0)
