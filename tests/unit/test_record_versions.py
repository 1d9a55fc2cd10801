"""Records of other versions: those of the last release, and those of releases to come.

`tests/data/records/0.1.0` holds what 0.1.0 wrote, and the code it reads with, which refuses every key it does not know.
"""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from clocks import Clock
from desired_states import ref, state

from flumen.cli.models import fleet as model_fleet
from flumen.streams.control.gate import Gate
from flumen.streams.control.keys import Keyring, new_key_pair, read_private_key, sign
from flumen.streams.control.operator.audit_log import champion_before, join_audit_log
from flumen.streams.control.operator.fleet import Fleet, FleetView, Roster
from flumen.streams.control.operator.members import Members
from flumen.streams.control.operator.rollout import Order, Rollout
from flumen.streams.control.records import (
    Command,
    Desired,
    DesiredState,
    WorkerState,
    parse_audit,
    parse_desired,
    parse_status,
    to_json,
)
from flumen.streams.control.status_headers import StatusHeaders
from flumen.streams.errors import (
    RecordConflict,
    RecordForged,
    RecordMalformed,
    RecordTooNew,
    RecordUnrecorded,
    WorkerTooNew,
)
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings

FROZEN = Path(__file__).parents[1] / "data" / "records" / "0.1.0"
PARSED: dict[str, Callable[[bytes], Any]] = {
    "desired": parse_desired,
    "desired-prepare": parse_desired,
    "status": parse_status,
    "change-first": parse_audit,
    "change": parse_audit,
    "effective": parse_audit,
}
SETTINGS = Settings()
CONTROL, AUDIT = SETTINGS.control_topic, SETTINGS.audit_topic


@pytest.fixture(scope="module")
def last_release() -> Iterator[ModuleType]:
    """The record code of 0.1.0."""
    spec = importlib.util.spec_from_file_location("records_of_0_1_0", FROZEN / "reader.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def frozen(name: str) -> bytes:
    return (FROZEN / f"{name}.json").read_bytes()


def record(value: bytes | dict[str, Any], topic: str = CONTROL) -> RawMessage:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return RawMessage(topic, 0, 0, b"mnist", content, (), 0)


def written(one: DesiredState, **more: Any) -> dict[str, Any]:
    return {**json.loads(to_json(one)), **more}


def change(one: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"event": "desired", "command": "activate", "state": one, "former": None, **more}


def gate(*keys: str) -> Gate:
    return Gate(SETTINGS, "mnist", Keyring(keys), Clock())


def newer(revision: int) -> dict[str, Any]:
    """A state of a schema to come: of what is known here, it has only what every schema has."""
    return {"schema": 2, "model": "mnist", "revision": revision, "champions": [{"version": 9, "share": 0.5}]}


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else ():
        yield from objects(part)


@pytest.mark.parametrize("name", PARSED)
def test_what_the_last_release_wrote_is_read_and_written_alike(name: str) -> None:
    assert to_json(PARSED[name](frozen(name))) == frozen(name)


@pytest.mark.parametrize("name", PARSED)
def test_the_last_release_reads_what_is_written_now(name: str, last_release: ModuleType) -> None:
    value = to_json(PARSED[name](frozen(name)))
    read = getattr(last_release, PARSED[name].__name__)(value)
    assert last_release.to_json(read) == value


def test_the_last_release_refuses_what_it_does_not_know(last_release: ModuleType) -> None:
    for more in ({"schema": 1}, {"tag": "x"}):
        with pytest.raises(last_release.RecordMalformed):
            last_release.parse_desired(json.dumps(written(state(1, 1), **more)).encode())


def test_an_audit_log_and_a_control_topic_of_the_last_release_are_followed() -> None:
    tested = gate()
    for name, topic in (("change-first", AUDIT), ("desired", CONTROL), ("change", AUDIT)):
        tested.admit(record(frozen(name), topic))
    tested.admit(record(frozen("desired-prepare")))
    assert tested.state == parse_desired(frozen("desired-prepare"))
    assert (tested.overdue(), tested.conflict, tested.next_revision) == ([], None, 3)


@pytest.mark.parametrize("name", PARSED)
def test_unknown_keys_are_ignored_wherever_they_stand(name: str) -> None:
    document = json.loads(frozen(name))
    for found in list(objects(document)):
        if set(found) != {"0", "3"}:  # offsets: its keys are partitions
            found["from_later"] = {"deep": [1, None, "x"]}
    value = json.dumps(document).encode()
    assert PARSED[name](value) == PARSED[name](frozen(name))


@pytest.mark.parametrize("name", PARSED)
def test_a_newer_schema_is_refused_with_what_to_do(name: str) -> None:
    value = json.dumps({**json.loads(frozen(name)), "schema": 2}).encode()
    with pytest.raises(RecordTooNew, match=r"has schema 2, and .* reads 1 at most\. Upgrade flumen here"):
        PARSED[name](value)


@pytest.mark.parametrize("more", ["1" * 5000, "1e999", "[" * 500 + "]" * 500, '"\\ud800"', "NaN"])
def test_an_unknown_key_may_not_hold_what_is_no_json_or_out_of_bounds(more: str) -> None:
    value = to_json(state(1, 1)).replace(b"{", b'{"x":' + more.encode() + b",", 1)
    with pytest.raises(RecordMalformed):
        parse_desired(value)


def test_states_that_differ_in_unknown_keys_alone_are_different_states() -> None:
    tested, one = gate(), state(1, 1)
    tested.admit(record(change(written(one, share=0.1)), AUDIT))
    with pytest.raises(RecordConflict):
        tested.admit(record(written(one, share=0.2)))
    reordered = dict(reversed(written(one, share=0.1).items()))
    tested.admit(record(json.dumps(reordered, indent=2).encode()))
    assert (tested.state, tested.conflict, tested.unknown) == (one, None, ("share",))
    tested.admit(record(change(written(state(2, 2))), AUDIT))
    assert tested.unknown == ()


def test_a_state_that_is_too_new_takes_its_place_and_leaves_the_model_as_it_is() -> None:
    tested, first, third = gate(), state(1, 1), state(3, 3)
    tested.admit(record(change(written(first)), AUDIT))
    tested.admit(record(written(first)))
    with pytest.raises(RecordTooNew):
        tested.admit(record(change(newer(2)), AUDIT))
    with pytest.raises(RecordTooNew):
        tested.admit(record(newer(2)))
    assert (tested.state, tested.next_revision) == (first, 3)
    assert isinstance(tested.too_new, RecordTooNew)
    assert "RecordTooNew: the record has schema 2" in (tested.conflict or "")
    with pytest.raises(RecordConflict):  # an operator of this version, who did not know
        tested.admit(record(change(written(state(2, 5))), AUDIT))
    assert tested.state == first
    # Its former state is the one that is too new: told, and nothing hangs on it.
    assert tested.admit(record(change(written(third), former=newer(2)), AUDIT)) == third
    tested.admit(record(written(third)))
    assert (tested.state, tested.too_new, tested.conflict) == (third, None, None)


def test_a_line_that_comes_late_and_is_too_new_decides_its_record_all_the_same() -> None:
    tested = gate()
    tested.admit(record(newer(1)))
    assert len(tested.overdue(wait_s=0)) == 1
    with pytest.raises(RecordTooNew):
        tested.admit(record(change(newer(1)), AUDIT))
    assert (tested.has_lost, type(tested.refused)) == (False, RecordTooNew)


def test_nobody_unsigned_blocks_a_model_with_a_newer_schema(tmp_path: Path) -> None:
    pair = new_key_pair()
    (tmp_path / "key").write_bytes(pair.private)
    private = read_private_key(tmp_path / "key")
    tested = gate(pair.public)

    def signed(raw: RawMessage) -> RawMessage:
        return raw._replace(headers=tuple(sign(private, raw.topic, raw.key or b"", raw.value or b"")))

    for raw in (record(change(newer(1)), AUDIT), record(newer(1))):
        with pytest.raises(RecordForged):
            tested.admit(raw)
    assert (tested.too_new, tested.next_revision) == (None, 2)
    with pytest.raises(RecordTooNew):
        tested.admit(signed(record(change(newer(1)), AUDIT)))
    tested.admit(signed(record(newer(7))))  # signed, and given up
    (refused,) = tested.overdue(wait_s=0)
    assert isinstance(refused, RecordUnrecorded)


def test_the_audit_log_counts_what_it_could_not_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    effect = json.loads(frozen("effective"))
    raws = [
        record(change(written(state(1, 1))), AUDIT),
        record(change(newer(2)), AUDIT),
        record({**effect, "schema": 2}, AUDIT),
        record(b"no record", AUDIT),
        record(change(written(state(3, 3)), former=newer(2)), AUDIT),
    ]
    audit_log = join_audit_log(raws, "mnist", Keyring(()))
    assert [one.state.revision for one in audit_log.changes if one.counts] == [1, 3]
    assert [(one.error, one.revision) for one in audit_log.unread] == [
        ("RecordTooNew", 2),
        ("RecordTooNew", 0),
        ("RecordMalformed", 0),
    ]
    with pytest.raises(RecordTooNew, match="flumen models activate NAME@VERSION"):
        champion_before(audit_log, "mnist", ref(3))
    monkeypatch.setattr(model_fleet, "read_audit_log", lambda *_: audit_log)
    model_fleet.history("mnist", as_json=True)
    shown = capsys.readouterr()
    rows = json.loads(shown.out)
    assert [(row["revision"], row["refused"], row["counts"]) for row in rows] == [
        (3, None, True),
        (None, "RecordMalformed", False),
        (None, "RecordTooNew", False),
        (2, "RecordTooNew", True),
        (1, None, True),
    ]
    assert len({tuple(sorted(row)) for row in rows}) == 1
    assert "2 entries could not be read (of the changes that count, revision 2)" in shown.err
    assert "the record has schema 2" in shown.err
    assert "1 entry could not be read, being no record" in shown.err


class _Group:
    """What Kafka says of the group of a fleet, each of whose members has one name."""

    silent_after_s = 5.0

    def __init__(self, *members: frozenset[str]) -> None:
        self._members = members

    def members(self, _model: str) -> Members:
        return Members({"flumen": self._members}, "flumen")


def test_a_worker_that_says_what_is_too_new_holds_a_rollout_up() -> None:
    roster = Roster(1.0, Clock())
    status = json.loads(frozen("status"))
    name = status["worker"]
    later = {"schema": 2, "worker": name, "model": "mnist", "state": "warming"}
    headers = tuple(StatusHeaders("flumen").sent())
    roster.hear(
        record(later, SETTINGS.status_topic)._replace(key=name.encode(), headers=headers), is_news=True
    )
    (seen,) = roster.workers("mnist")
    assert (seen.is_too_new, seen.is_live, seen.status.state) == (True, True, WorkerState.REFUSED)
    order = Order(command=Command.ACTIVATE, model="mnist", actor="a", reason="", timeout_s=1)
    unused: Any = None
    fleet = cast(Fleet, _Group(frozenset({name})))
    rollout = Rollout(fleet, unused, order, lambda *_: None)
    with pytest.raises(WorkerTooNew, match=f"{name}. Nothing was written.*Upgrade flumen here"):
        rollout.activate(FleetView("mnist", state(1, 1), (seen,)), ref(2), ref(1))
    with pytest.raises(RecordTooNew, match="cannot be read"):
        rollout.activate(FleetView("mnist", state(1, 1), (), too_new="schema 2"), ref(2), ref(1))
    not_there = cast(Fleet, _Group())
    nobodys = Rollout(not_there, unused, order, lambda *_: None).shadow(
        FleetView("mnist", None, (seen,)), None, ref(1)
    )
    assert nobodys.state is None, "who takes no images may say what he likes"
    roster.hear(record(status, SETTINGS.status_topic)._replace(key=name.encode()), is_news=True)
    assert not roster.workers("mnist")[0].is_too_new


def test_a_former_state_is_not_written_with_keys_that_are_unknown_here() -> None:
    """What this version writes is all its own: it vouches for no key that it cannot read."""
    former = parse_desired(json.dumps(written(state(1, 1), share=0.2)).encode())
    value = to_json(Desired(command=Command.ACTIVATE, state=state(2, 2), former=former))
    assert b"share" not in value
