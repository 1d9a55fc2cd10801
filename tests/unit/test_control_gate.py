"""Which records may change a worker: those of the audit log, in one line; and what is said of all others."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from desired_states import state
from hypothesis import given
from hypothesis import strategies as st

from flumen.streams.control.gate import RECORDED_WITHIN_S, Gate
from flumen.streams.control.keys import Keyring, new_key_pair, read_private_key, sign
from flumen.streams.control.records import (
    MAX_FIRST_REVISION,
    MAX_REVISION,
    Command,
    Desired,
    DesiredState,
    Effective,
    to_json,
)
from flumen.streams.errors import (
    ControlRefused,
    RecordConflict,
    RecordForged,
    RecordMalformed,
    RecordMisplaced,
    RecordOutOfLine,
    RecordStale,
    RecordUnrecorded,
)
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings

SETTINGS = Settings()
CONTROL, AUDIT = SETTINGS.control_topic, SETTINGS.audit_topic

Sign = Callable[[RawMessage], RawMessage]


def record(value: bytes | None, key: bytes | None = b"mnist", topic: str = CONTROL) -> RawMessage:
    return RawMessage(topic, 0, 0, key, value, (), 0)


def control(one: DesiredState) -> RawMessage:
    return record(to_json(one))


def audit(one: DesiredState, former: DesiredState | None = None) -> RawMessage:
    return record(to_json(Desired(command=Command.ACTIVATE, state=one, former=former)), topic=AUDIT)


def gate(*keys: str, clock: Any = None) -> Gate:
    return Gate(SETTINGS, "mnist", Keyring(keys), clock or Clock())


@pytest.fixture
def signed(tmp_path: Path) -> tuple[str, Sign]:
    """A public key, and what signs records with the private one."""
    pair = new_key_pair()
    (tmp_path / "key").write_bytes(pair.private)
    private = read_private_key(tmp_path / "key")
    return pair.public, lambda raw: raw._replace(
        headers=tuple(sign(private, raw.topic, raw.key or b"", raw.value or b""))
    )


def fill(tested: Gate, *raws: RawMessage) -> Gate:
    for raw in raws:
        tested.admit(raw)
    assert tested.overdue() == []
    return tested


def test_a_state_counts_once_the_audit_log_has_it() -> None:
    tested, first = gate(), state(1, 1)
    assert tested.admit(control(first)) is None
    assert (tested.state, tested.is_waiting) == (None, True)
    assert tested.admit(audit(first)) == first
    assert tested.overdue() == []
    assert (tested.state, tested.is_waiting, tested.has_lost, tested.conflict) == (first, False, False, None)


@given(st.lists(st.sampled_from("cto"), max_size=40))
def test_what_was_written_in_order_is_never_stale(steps: list[str]) -> None:
    """The two topics are read apart: any of one may come before any of the other, and be judged at any time."""
    tested, states = gate(), [state(revision, 1) for revision in range(1, 6)]
    records = {"c": list(map(control, states)), "t": list(map(audit, states))}
    for step in steps + list("ttttt") + list("ccccc"):
        if step == "o":
            assert tested.overdue() == []
        elif records[step]:
            tested.admit(records[step].pop(0))
    assert tested.overdue() == []
    assert (tested.state, tested.is_waiting, tested.conflict) == (states[-1], False, None)


def test_a_refusal_that_another_record_brought_to_light_is_told_with_the_next() -> None:
    tested, second = gate(), state(2, 2)
    tested.admit(control(state(2, 3)))  # given up
    tested.admit(audit(state(1, 1)))
    tested.admit(audit(second))
    tested.admit(control(second))
    (refused,) = tested.overdue()
    assert isinstance(refused, RecordConflict)
    assert (tested.state, tested.conflict) == (second, None)


def test_the_audit_log_may_be_read_before_the_control_topic() -> None:
    tested, first = gate(), state(1, 1)
    assert tested.admit(audit(first)) == first
    assert tested.has_lost
    assert tested.conflict is not None
    assert "lacks revision 1" in tested.conflict
    assert tested.admit(control(first)) is None
    assert tested.conflict is None


def test_what_was_given_up_and_is_sent_again_is_a_conflict_and_never_served(signed: tuple[str, Sign]) -> None:
    """Both were signed by one who may; one of the two transactions was committed."""
    public, sign_it = signed
    committed, given_up = state(2, 2), state(2, 3)
    for tested, raw in ((gate(public), sign_it), (gate(), lambda raw: raw)):
        fill(
            tested,
            *map(raw, (control(state(1, 1)), audit(state(1, 1)), control(committed), audit(committed))),
        )
        with pytest.raises(RecordConflict, match="another state of revision 2"):
            tested.admit(raw(control(given_up)))
        assert tested.state == committed
        assert tested.conflict is not None
        assert tested.conflict.startswith("RecordConflict")
        with pytest.raises(RecordConflict, match="the first one counts"):
            tested.admit(raw(audit(given_up)))
        assert tested.state == committed
        fill(tested, *map(raw, (control(state(3, 2)), audit(state(3, 2)))))
        assert (tested.state, tested.conflict) == (state(3, 2), None), "the next state heals it"


def test_whatever_order_the_two_topics_are_read_in_all_come_to_the_same_state() -> None:
    """One has heard of what was given up before the audit log's own, one after it, one never."""
    committed, given_up = [state(1, 1), state(2, 2)], state(2, 3)
    audit_log = list(map(audit, committed))
    orders: Sequence[Sequence[RawMessage]] = (
        [*audit_log, *map(control, committed), control(given_up)],
        [control(committed[0]), control(given_up), *audit_log],
        [*audit_log, control(given_up)],
        [control(given_up), audit_log[0], audit(committed[1]), control(committed[1])],
        audit_log,
    )
    for order in orders:
        tested = gate()
        for raw in order:
            try:
                tested.admit(raw)
            except RecordConflict:
                continue
        assert all(isinstance(error, RecordConflict) for error in tested.overdue())
        assert tested.state == committed[1]


def test_a_record_that_the_audit_log_does_not_get_is_told_in_time() -> None:
    clock = Clock()
    tested = fill(gate(clock=clock), control(state(1, 1)), audit(state(1, 1)))
    assert tested.admit(control(state(2, 2))) is None
    clock.now += RECORDED_WITHIN_S - 1
    assert tested.overdue() == []
    clock.now += 2
    (refused,) = tested.overdue()
    assert isinstance(refused, RecordUnrecorded)
    assert "ends with 1" in str(refused)
    assert tested.overdue() == [], "once"
    assert tested.state == state(1, 1)
    assert tested.admit(audit(state(2, 2))) == state(2, 2), "an audit log that is late is followed"


def test_a_line_that_comes_late_ends_the_conflict() -> None:
    clock = Clock()
    tested = gate(clock=clock)
    fill(tested, control(state(1, 1)))
    clock.now += RECORDED_WITHIN_S
    assert len(tested.overdue()) == 1
    assert tested.conflict is not None
    assert tested.admit(audit(state(1, 1))) == state(1, 1)
    assert (tested.conflict, tested.refused) == (None, None)


def test_a_record_that_waited_ends_no_refusal_of_one_that_stands_behind_it() -> None:
    """Compaction keeps the last: that is the refused one, whenever the other's line in the audit log is read."""
    tested, first = gate(), state(1, 1)
    tested.admit(control(first))
    with pytest.raises(RecordMalformed):
        tested.admit(record(b"not JSON"))
    tested.admit(audit(first))
    assert tested.overdue() == []
    assert isinstance(tested.refused, RecordMalformed)
    fill(tested, control(state(2, 2)), audit(state(2, 2)))
    assert tested.refused is None


def test_a_line_that_comes_late_ends_no_refusal_of_a_record_behind_its_own() -> None:
    tested = gate()
    tested.admit(control(state(1, 1)))
    assert len(tested.overdue(wait_s=0)) == 1
    with pytest.raises(RecordMalformed):
        tested.admit(record(None))
    assert tested.admit(audit(state(1, 1))) == state(1, 1)
    assert isinstance(tested.refused, RecordMalformed)


@pytest.mark.parametrize("revision", [MAX_REVISION, MAX_FIRST_REVISION + 1, 4])
def test_no_revision_closes_a_model(revision: int) -> None:
    tested = fill(gate(), audit(state(1, 1)), audit(state(2, 2)))
    with pytest.raises(RecordOutOfLine, match="3 is the next"):
        tested.admit(audit(state(revision, 3)))
    tested.admit(control(state(revision, 3)))
    assert isinstance(tested.overdue(wait_s=0)[0], RecordUnrecorded)
    assert (tested.state, tested.next_revision) == (state(2, 2), 3)
    fill(tested, control(state(3, 1)), audit(state(3, 1)))
    assert (tested.state, tested.conflict) == (state(3, 1), None)


def test_an_audit_log_begins_where_it_begins_and_far_below_the_last_revision() -> None:
    tested = gate()
    with pytest.raises(RecordOutOfLine, match="begins with 1,000,000 at most"):
        tested.admit(audit(state(MAX_REVISION, 1)))
    assert (tested.state, tested.next_revision) == (None, 1)
    assert tested.admit(audit(state(42, 1))) == state(42, 1)
    with pytest.raises(RecordStale):
        tested.admit(audit(state(41, 1)))
    assert tested.next_revision == 43


def test_the_first_signed_state_is_above_all_that_nobody_signed(signed: tuple[str, Sign]) -> None:
    """Workers without keys, that still run, follow it as well."""
    public, sign_it = signed
    tested, other = gate(public), gate()
    for raw in (audit(state(1, 1)), audit(state(2, 2))):
        other.admit(raw)
        with pytest.raises(RecordForged):
            tested.admit(raw)
    assert (tested.state, tested.next_revision) == (None, 3)
    raw = sign_it(audit(state(tested.next_revision, 3)))
    assert tested.admit(raw) == other.admit(raw) == state(3, 3)


def test_a_copy_is_stale() -> None:
    tested = fill(gate(), *map(audit, (state(1, 1), state(2, 2))), *map(control, (state(1, 1), state(2, 2))))
    for raw in (audit(state(1, 1)), audit(state(2, 2)), control(state(1, 1)), control(state(2, 2))):
        with pytest.raises(RecordStale, match="2 counts already"):
            tested.admit(raw)
    assert tested.state == state(2, 2)


def test_another_models_record_is_not_looked_at() -> None:
    tested = gate(new_key_pair().public)
    for key in (b"other", b"mnist2", b"\xff", None):
        for topic in (CONTROL, AUDIT):
            assert tested.admit(record(b"not JSON", key, topic)) is None


def test_a_record_under_the_wrong_key_is_refused() -> None:
    tested, other = gate(), replace(state(1, 1), model="other")
    for raw in (control(other), audit(other)):
        with pytest.raises(RecordMisplaced, match="other"):
            tested.admit(raw)
    assert tested.state is None


def test_what_a_worker_says_changes_nothing() -> None:
    effect = Effective(
        model="mnist", worker="w1", revision=9, champion=state(9, 9).champion, at=state(9, 9).at, offsets={}
    )
    tested = gate(new_key_pair().public)
    assert tested.admit(record(to_json(effect), topic=AUDIT)) is None
    assert (tested.state, tested.next_revision) == (None, 1)


def test_with_keys_a_record_is_forged_before_it_is_malformed() -> None:
    """Nothing that a stranger wrote is parsed."""
    with pytest.raises(RecordForged):
        gate(new_key_pair().public).admit(record(b"not JSON"))
    with pytest.raises(RecordForged):
        gate(new_key_pair().public).admit(record(None))
    with pytest.raises(RecordForged):
        gate(new_key_pair().public).admit(audit(state(1, 1)))
    with pytest.raises(RecordMalformed, match="tombstone"):
        gate().admit(record(None))


@given(
    st.sampled_from((CONTROL, AUDIT)),
    st.none() | st.binary(),
    st.lists(st.tuples(st.text(), st.none() | st.binary())),
)
def test_no_bytes_get_through(
    topic: str, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    raw = RawMessage(topic, 0, 0, b"mnist", value, tuple(headers), 0)
    for tested in (gate(), gate(new_key_pair().public)):
        with pytest.raises(ControlRefused):
            tested.admit(raw)
