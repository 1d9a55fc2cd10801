"""The records of control, status and audit: what is read back, and what is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_statuses import worker_status

from flumen.streams.control.documents import MAX_RECORD_BYTES
from flumen.streams.control.records import (
    MAX_MESSAGE,
    MAX_REVISION,
    AuditEntry,
    Desired,
    DesiredState,
    Effective,
    ModelRef,
    Refused,
    WorkerState,
    first_offsets,
    now,
    parse_audit,
    parse_desired,
    parse_status,
    to_json,
)
from flumen.streams.errors import RecordMalformed

REF = ModelRef(3, "ab" * 32)
STATE = DesiredState(
    model="mnist",
    champion=REF,
    challenger=ModelRef(4, "cd" * 32),
    prepare=None,
    revision=7,
    actor="ana",
    reason="better on sevens",
    at="2026-10-01T10:00:00.123Z",
)
STATUS = worker_status(
    worker="host-12-ab",
    state=WorkerState.READY,
    champion=REF,
    prepared=REF,
    refused=Refused(None, 0, "RecordMalformed", "not JSON"),
    images_per_s=12.5,
    at=now(),
    started_at=now(),
)

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=MAX_MESSAGE // 40)
refs = st.builds(
    ModelRef, st.integers(1, 999_999_999), st.binary(min_size=32, max_size=32).map(lambda raw: raw.hex())
)
states = st.builds(
    DesiredState,
    model=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,99}", fullmatch=True),
    champion=refs,
    challenger=st.none() | refs,
    prepare=st.none() | refs,
    revision=st.integers(1, MAX_REVISION),
    actor=text.filter(bool).map(lambda actor: actor[:200]),
    reason=text,
    at=st.just("2026-10-01T10:00:00Z"),
)
audits = st.builds(Desired, state=states, former=st.none() | states) | st.builds(
    Effective,
    model=st.just("mnist"),
    worker=st.just("w"),
    revision=st.integers(0, MAX_REVISION),
    champion=refs,
    at=st.just(now()),
    offsets=st.dictionaries(st.integers(0, 999), st.integers(0, 2**62)).map(first_offsets),
)


@given(states)
def test_a_state_reads_back(state: DesiredState) -> None:
    assert parse_desired(to_json(state)) == state


@given(audits)
def test_an_audit_entry_reads_back(entry: AuditEntry) -> None:
    assert parse_audit(to_json(entry)) == entry


def test_a_status_reads_back() -> None:
    assert parse_status(to_json(STATUS)) == STATUS


@pytest.mark.parametrize("parse", [parse_desired, parse_status, parse_audit])
@given(
    value=st.none()
    | st.binary()
    | st.recursive(st.none() | text, st.lists).map(lambda x: json.dumps(x).encode())
)
def test_no_bytes_do_more_than_be_refused(parse: Any, value: bytes | None) -> None:
    with pytest.raises(RecordMalformed):
        parse(value)


@given(st.data())
def test_a_damaged_record_is_refused_or_another_record(data: st.DataObject) -> None:
    value = bytearray(to_json(STATE))
    place = data.draw(st.integers(0, len(value) - 1))
    value[place] = data.draw(st.integers(0, 255))
    try:
        state = parse_desired(bytes(value))
    except RecordMalformed:
        return
    assert parse_desired(to_json(state)) == state


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"revision": 0}, "revision"),
        ({"revision": True}, "revision"),
        ({"revision": 1.5}, "revision"),
        ({"revision": "7"}, "revision"),
        ({"revision": 10**400}, "revision"),
        ({"model": "../other"}, "model"),
        ({"model": "s3://other/model"}, "model"),
        ({"model": "mnist\n"}, "model"),
        ({"champion": None}, "champion"),
        ({"champion": {"version": "../2", "sha256": "ab" * 32}}, "champion.version"),
        ({"champion": {"version": -1, "sha256": "ab" * 32}}, "champion.version"),
        ({"champion": {"version": 2}}, "champion.sha256"),
        ({"champion": {"version": 2, "sha256": "AB" * 32}}, "champion.sha256"),
        ({"prepare": [2]}, "prepare"),
        ({"actor": ""}, "actor"),
        ({"reason": "x" * (MAX_MESSAGE + 1)}, "reason"),
        ({"schema": 0}, "schema"),
        ({"schema": "2"}, "schema"),
        ({"schema": True}, "schema"),
        ({"schema": 2**60}, "schema"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-10-01T10:00:00+02:00"}, "at"),
    ],
)
def test_what_a_state_may_not_hold_is_named(change: dict[str, Any], named: str) -> None:
    value = json.dumps({**json.loads(to_json(STATE)), **change}).encode()
    with pytest.raises(RecordMalformed, match=f"not valid: {named}: "):
        parse_desired(value)


@pytest.mark.parametrize("missing", ["model", "champion", "challenger", "prepare", "revision", "actor", "at"])
def test_a_missing_key_is_named(missing: str) -> None:
    content = json.loads(to_json(STATE))
    del content[missing]
    with pytest.raises(RecordMalformed, match=missing):
        parse_desired(json.dumps(content).encode())


def test_too_large_and_too_deep_are_refused() -> None:
    with pytest.raises(RecordMalformed, match="bytes; allowed"):
        parse_desired(to_json(STATE) + b" " * MAX_RECORD_BYTES)
    with pytest.raises(RecordMalformed):
        parse_desired(b"[" * (MAX_RECORD_BYTES - 1))


def test_what_could_not_be_read_back_is_not_written() -> None:
    with pytest.raises(RecordMalformed, match="revision"):
        to_json(replace(STATE, revision=0))
