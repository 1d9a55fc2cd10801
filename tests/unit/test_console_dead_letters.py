"""Dead letters as the console knows them: bounded, each once, grouped; and shown as nothing that their sender wants."""

import pytest
from starlette.datastructures import QueryParams

from flumen.console.dead_letters.asked import check_attempts, check_places, read_view
from flumen.console.dead_letters.listed import DeadLetterList
from flumen.console.dead_letters.shown import LONGEST_VALUE, Header, headers_of, hexdump
from flumen.console.errors import BadQuestion
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.dead_letters.queue import Entry
from flumen.streams.dead_letters.resolutions import UNRESOLVED, Resolution, State, resolution_message
from flumen.streams.kafka.message import RawMessage


def dead_letter(offset: int, kind: str = "NotAnImage", at: int = 0, reason: str = "no image") -> RawMessage:
    headers = (
        ("__connect.errors.topic", b"images"),
        ("__connect.errors.partition", b"0"),
        ("__connect.errors.offset", str(offset).encode()),
        ("__connect.errors.stage", b"decode"),
        ("__connect.errors.exception.class.name", f"flumen.errors.{kind}".encode()),
        ("__connect.errors.exception.message", reason.encode()),
    )
    return RawMessage("images.dead", 0, offset, b"key", b"bytes", headers, at or offset + 1)


def resolved(raw: RawMessage, state: State) -> RawMessage:
    sent = resolution_message(
        "marks", read_dead_letter(raw), Resolution(state, "2027-01-15T08:00:00Z", "eva")
    )
    return RawMessage(sent.topic, 0, 0, sent.key, sent.value, (), 0)


def test_the_newest_are_known_each_once_with_what_became_of_them() -> None:
    known = DeadLetterList(most=3)
    known.take_resolution(resolved(dead_letter(4), State.PARKED))  # whichever is heard first
    for offset in range(5):
        known.take_dead_letter(dead_letter(offset, "TooLarge" if offset == 3 else "NotAnImage"))
        known.take_dead_letter(dead_letter(offset))
    assert known.is_full
    assert [letter.place for letter in known.letters(None)] == ["0/4", "0/3", "0/2"]
    assert [letter.place for letter in known.letters()] == ["0/3", "0/2"]
    (parked,) = known.letters(State.PARKED)
    assert parked.resolution.actor == "eva"
    known.resolve(read_dead_letter(dead_letter(2)).identity, Resolution(State.REPLAYED, "", "a" * 9_999))
    assert len(known.letters(State.REPLAYED)[0].resolution.actor) == 200
    known.forget("0/3")
    assert known.letters() == []
    known.take_resolution(RawMessage("marks", 0, 0, None, b"{", (), 0))  # it is none


def test_groups_are_of_a_stage_and_a_kind_with_the_newest_reason() -> None:
    known = DeadLetterList()
    for offset, kind in enumerate(["NotAnImage", "TooLarge", "NotAnImage"]):
        known.take_dead_letter(dead_letter(offset, kind, reason=f"reason {offset}"))
    assert [(each.stage, each.kind, each.count, each.reason) for each in known.groups()] == [
        ("decode", "NotAnImage", 2, "reason 2"),
        ("decode", "TooLarge", 1, "reason 1"),
    ]
    assert [letter.place for letter in known.letters(kind="TooLarge")] == ["0/1"]
    assert known.letters(stage="kudu") == []


def test_what_is_long_is_kept_cut() -> None:
    known = DeadLetterList()
    known.take_dead_letter(dead_letter(0, "k" * 10_000, reason="r" * 10_000))
    (letter,) = known.letters()
    assert (len(letter.kind), len(letter.reason)) == (100, 600)
    known.take_dead_letter(
        RawMessage("images.dead", 0, 9, None, None, (), -(2**63))
    )  # it says nothing at all
    assert len(known.letters()) == 2


def test_a_hexdump_is_that_of_hexdump_c() -> None:
    assert hexdump(b"<script>\x00\xff\x7f ~") == (
        "00000000  3c 73 63 72 69 70 74 3e  00 ff 7f 20 7e           |<script>... ~|"
    )
    assert hexdump(bytes(17)).splitlines()[1] == f"00000010  00{' ' * 46}  |.|"
    assert hexdump(b"") == ""


def test_headers_are_text_where_they_are_and_bounded() -> None:
    raw = dead_letter(0)._replace(
        headers=(
            ("a", None),
            ("b", b"\xff\x00"),
            ("c", "é".encode() * 20_000),
            ("d", b"x" + "é".encode() * 20_000),
        )
    )
    entry = Entry(read_dead_letter(raw), UNRESOLVED, raw)
    null, binary, even, odd = headers_of(entry)
    assert null == Header("a")
    assert binary == Header("b", None, "ff 00")
    assert even.text == "é" * (LONGEST_VALUE // 2)
    assert odd.text == "x" + "é" * (LONGEST_VALUE // 2 - 1)


@pytest.mark.parametrize("asked", ["state=gone", "start=-1", "start=9999999", f"stage={'x' * 201}"])
def test_a_view_that_there_is_not_is_refused(asked: str) -> None:
    with pytest.raises(BadQuestion):
        read_view(QueryParams(asked))


@pytest.mark.parametrize(
    "asked", ["", "state=all", "state=parked&stage=decode&kind=A%26b", "kind=", "stage=decode&start=50"]
)
def test_a_view_stands_whole_in_its_address(asked: str) -> None:
    view = read_view(QueryParams(asked))
    assert read_view(QueryParams(view.address.removeprefix("?"))) == view
    assert view.of(None, None).start == 0


def test_what_is_to_be_settled_is_bounded() -> None:
    assert check_places(["0/1"]) == ["0/1"]
    for places in ([], ["0/1"] * 2_001):
        with pytest.raises(BadQuestion):
            check_places(places)
    assert check_attempts("100") == 100
    for text in ("", "0", "101", "9" * 5_000, "-1", "²", "1.5"):
        with pytest.raises(BadQuestion):
            check_attempts(text)
