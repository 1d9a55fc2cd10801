"""Resolutions as they are written and read, and what may be replayed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_dead_letter import SAID, message

from flumen.streams.dead_letters import queue
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.dead_letters.queue import DeadLetterQueue, Entry, ReplayRules, refusal
from flumen.streams.dead_letters.resolutions import (
    UNRESOLVED,
    Resolution,
    State,
    parse_resolution,
    resolution_message,
)
from flumen.streams.errors import KafkaUnavailable
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings

TOPICS = frozenset({"images", "images.dead"})
REPLAYED = Resolution(State.REPLAYED, "2030-01-31T12:00:00.000+00:00", "me@here")


def entry(attempt: bytes = b"2", resolution: Resolution = UNRESOLVED, **changes: Any) -> Entry:
    raw = message((*SAID, ("flumen.attempt", attempt)))
    return Entry(replace(read_dead_letter(raw), **changes), resolution, raw)


def test_a_resolution_is_read_as_it_was_written() -> None:
    dead_letter = entry().dead_letter
    sent = resolution_message("images.dead.marks", dead_letter, REPLAYED)
    assert (sent.topic, sent.key) == ("images.dead.marks", b"0/17")
    assert parse_resolution(sent.value) == (dead_letter.identity, REPLAYED)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"7",
        b"{}",
        b'{"state": "eaten", "letter": "x", "at": "", "actor": ""}',
        b'{"state": [], "letter": "x", "at": "", "actor": ""}',
        b'{"state": "parked", "letter": 7, "at": "", "actor": ""}',
        b'{"state": "parked", "letter": "x", "at": {}, "actor": ""}',
    ],
)
def test_what_is_no_resolution_is_left_out(value: bytes | None) -> None:
    assert parse_resolution(value) is None


@pytest.mark.parametrize(
    ("attempt", "most", "may"),
    [(b"0", 1, True), (b"1", 1, False), (b"2", 3, True), (b"3", 3, False), (b"4", 3, False), (b"4", 5, True)],
)
def test_a_dead_letter_at_the_cap_is_not_replayed(attempt: bytes, most: int, may: bool) -> None:
    assert (refusal(entry(attempt), ReplayRules(max_attempts=most), TOPICS) == "") is may


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (entry(b"3"), "--max-attempts is 3"),
        (entry(resolution=REPLAYED), "replayed on 2030-01-31T12:00:00.000+00:00 by me@here; --again"),
        (entry(resolution=replace(REPLAYED, state=State.PARKED)), "parked"),
        (entry(origin=""), "dead show --save"),
        (entry(schema=2), "has schema 2, and this one reads 1 at most. Upgrade flumen here"),
        (entry(origin="gone/0/1"), "no topic 'gone'"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(found: Entry, why: str) -> None:
    assert why in refusal(found, ReplayRules(), TOPICS)


def test_again_lets_resolved_dead_letters_through_and_not_those_at_the_cap() -> None:
    again = ReplayRules(again=True)
    assert refusal(entry(resolution=REPLAYED), again, TOPICS) == ""
    assert "--max-attempts" in refusal(entry(b"3", REPLAYED), again, TOPICS)


def test_a_queue_that_cannot_be_opened_leaves_no_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    closed: list[bool] = []

    class Down:
        def __init__(self, _settings: Settings) -> None: ...

        def read(self, _topic: str) -> Iterator[RawMessage]:
            raise KafkaUnavailable("down")

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(queue, "TopicReader", Down)
    with pytest.raises(KafkaUnavailable):
        DeadLetterQueue(Settings(home=tmp_path))
    assert closed == [True]
