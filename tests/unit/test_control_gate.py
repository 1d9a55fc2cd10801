"""Which control records may change a worker."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.control.keys import Keyring, new_key_pair
from streams.control.reader import Gate
from streams.control.records import DesiredState, ModelRef, now, to_json
from streams.errors import ControlRefused, RecordForged, RecordMalformed, RecordMisplaced, RecordStale
from streams.wire import RawMessage

TOPIC = "models.control"


def state(revision: int) -> DesiredState:
    return DesiredState(
        model="mnist",
        champion=ModelRef(1, "0" * 64),
        challenger=None,
        prepare=None,
        revision=revision,
        actor="test",
        reason="",
        at=now(),
    )


def record(value: bytes | None, key: bytes | None = b"mnist") -> RawMessage:
    return RawMessage(TOPIC, 0, 0, key, value, (), 0)


def gate(*keys: str) -> Gate:
    return Gate(TOPIC, "mnist", Keyring(keys))


def test_revisions_only_rise() -> None:
    tested, third = gate(), state(3)
    assert tested.admit(record(to_json(third))) == third
    for revision in (3, 2, 1):
        with pytest.raises(RecordStale, match=f"revision {revision}, and 3 counts"):
            tested.admit(record(to_json(state(revision))))
    assert tested.admit(record(to_json(state(4)))) is not None


def test_another_models_record_is_not_looked_at() -> None:
    tested = gate(new_key_pair().public)
    for key in (b"other", b"mnist2", b"\xff", None):
        assert tested.admit(record(b"not JSON", key)) is None


def test_a_record_under_the_wrong_key_is_refused() -> None:
    with pytest.raises(RecordMisplaced, match="other"):
        gate().admit(record(to_json(replace(state(1), model="other"))))


def test_a_refused_record_does_not_count() -> None:
    tested = gate()
    with pytest.raises(RecordMisplaced):
        tested.admit(record(to_json(replace(state(9), model="other"))))
    assert tested.admit(record(to_json(state(1)))) is not None


def test_with_keys_a_record_is_forged_before_it_is_malformed() -> None:
    """Nothing that a stranger wrote is parsed."""
    with pytest.raises(RecordForged):
        gate(new_key_pair().public).admit(record(b"not JSON"))
    with pytest.raises(RecordForged):
        gate(new_key_pair().public).admit(record(None))
    with pytest.raises(RecordMalformed, match="tombstone"):
        gate().admit(record(None))


@given(st.none() | st.binary(), st.lists(st.tuples(st.text(), st.none() | st.binary())))
def test_no_bytes_get_through(value: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
    raw = RawMessage(TOPIC, 0, 0, b"mnist", value, tuple(headers), 0)
    for tested in (gate(), gate(new_key_pair().public)):
        with pytest.raises(ControlRefused):
            tested.admit(raw)
