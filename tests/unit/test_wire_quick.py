"""What is read the quick way is what is read the plain way: values, verdicts and their words."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from flumen.interceptor import envelope
from flumen.streams import events
from flumen.streams.events import HEADERS, Event, Malformed, read_event, text_of
from flumen.streams.wire import SourceImage, to_message

PRODUCED = SourceImage(
    "photos/möwe.jpg", b"content", "möwe.jpg", "file:///photos", "image/jpeg", 7, datetime.now(UTC)
)
NAMES = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_knownlabel", "ce_time")
EVERY_CHARACTER = [chr(code) for code in range(0x110000)]


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Malformed as malformed:
        return str(malformed)


def plainly(value: bytes, headers: Mapping[str, bytes | None]) -> Event:
    """Read an event in binary mode, each header in full."""
    if headers.get("ce_specversion", b"1.0") not in (b"1.0", None):
        events._refuse_version(headers["ce_specversion"], HEADERS)
    texts = {}
    for name in ("ce_id", "ce_source", "ce_type", "ce_subject"):
        what = f"the header {name}"
        texts[name] = events._string(text_of(what, headers.get(name) or b"", HEADERS), what, HEADERS)
    label = text_of("the header ce_knownlabel", headers.get("ce_knownlabel") or b"", HEADERS)
    return Event(
        content=value,
        id=texts["ce_id"],
        source=texts["ce_source"],
        subject=texts["ce_subject"],
        known_label=events._label("header ce_knownlabel", label, HEADERS) if label else None,
        time=events._any_time((headers.get("ce_time") or b"").decode("utf-8", "replace")),
    )


def mutated(given: bytes, seed: int) -> bytes:
    """Return bytes that differ a little from those given."""
    chance = random.Random(seed)
    changed = bytearray(given)
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(changed))
        piece = chance.choice(
            [b"", b"\0", b"\x85", b"\xc2\xa0", b"-", b"1", b"9", b"\xef\xbf\xbe", b" ", b"Z"]
        )
        changed[at : at + chance.randint(0, 2)] = piece
    return bytes(changed)


@given(
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2**32)),
    st.dictionaries(
        st.sampled_from(NAMES), st.one_of(st.none(), st.binary(max_size=30), st.text().map(str.encode))
    ),
)
@example({}, {})
@example({}, {"ce_knownlabel": b"9" * 10})
def test_a_message_that_was_changed_is_read_as_in_full(
    seeds: dict[str, int], others: dict[str, bytes | None]
) -> None:
    _, value, sent = to_message(PRODUCED)
    headers = {name: content for name, content in sent if not isinstance(content, str)}
    headers |= {name: mutated(headers[name] or b"", seed) for name, seed in seeds.items()} | others
    assert outcome(lambda: read_event(value, tuple(headers.items()))) == outcome(
        lambda: plainly(value, headers)
    )


@given(st.from_regex(events._TIMESTAMP, fullmatch=True), st.integers(0, 2**32))
@example("2026-02-30T00:00:00.000000Z", 0)
@example("2026-05-17T23:59:60.000000Z", 0)
@example("0001-05-17T00:00:00.000000Z", 0)
@example("2026-05-17T00:00:00.00000\N{ARABIC-INDIC DIGIT ONE}Z", 0)
def test_a_time_is_the_same(time: str, seed: int) -> None:
    for text in (time, mutated(time.encode(), seed).decode("utf-8", "replace")):
        assert events._time(text) == events._any_time(text)


def test_no_character_that_is_refused_can_be_printed() -> None:
    printable = "".join(character for character in EVERY_CHARACTER if character.isprintable())
    assert len(printable) > 100_000
    assert not events._NO_STRING.search(printable)
    assert not envelope._CONTROL.search(printable)


@given(st.text(st.one_of(st.characters(), st.characters(max_codepoint=127))), st.integers(0, 20))
def test_a_text_is_refused_for_the_same_reason(text: str, limit: int) -> None:
    def in_full() -> str | None:
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            return "is not valid Unicode"
        if size > limit:
            return f"has {size:,} bytes in UTF-8, more than the {limit:,} that the stores take"
        control = envelope._CONTROL.search(text)
        return None if control is None else f"holds the control character U+{ord(control[0]):04X}"

    assert envelope._text_defect(text, limit) == in_full()
