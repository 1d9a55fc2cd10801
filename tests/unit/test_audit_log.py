"""The audit log: what took effect beside what asked for it, the way back, and a change in a few words."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from desired_states import ref, state

from flumen.streams.control.keys import Keyring, new_key_pair, read_private_key, sign
from flumen.streams.control.operator.audit_log import (
    AuditLog,
    Change,
    champion_before,
    describe_change,
    join_audit_log,
)
from flumen.streams.control.records import Command, Desired, DesiredState, Effective, to_json
from flumen.streams.errors import NothingBefore
from flumen.streams.kafka.message import RawMessage

TOPIC = "models.audit"
ANYBODY = Keyring(())


def raw(value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> RawMessage:
    return RawMessage(TOPIC, 0, 0, b"mnist", value, tuple(headers), 0)


def audit_log(*champions: int) -> AuditLog:
    """Return an audit log of activations; a negative version is a rollback to it."""
    changes = [
        Change(Command.ROLLBACK if version < 0 else Command.ACTIVATE, state(number, abs(version)), None, ())
        for number, version in enumerate(champions, 1)
    ]
    return AuditLog(changes, [])


def keys(folder: Path) -> tuple[str, Any]:
    """Return a public key as settings have it, and its private one as it signs."""
    pair = new_key_pair()
    (folder / "key").write_bytes(pair.private)
    return pair.public, read_private_key(folder / "key")


def activations(*champions: int) -> list[bytes]:
    return [
        to_json(Desired(command=Command.ACTIVATE, state=state(number, champion), former=None))
        for number, champion in enumerate(champions, 1)
    ]


def test_what_took_effect_stands_beside_the_change_that_asked_for_it() -> None:
    effect = Effective(
        model="mnist", worker="w1", revision=2, champion=ref(2), at="2027-01-15T08:00:01Z", offsets={"0": 17}
    )
    entries = [
        Desired(command=Command.ACTIVATE, state=state(1, 1), former=None),
        Desired(command=Command.ACTIVATE, state=state(2, 2), former=state(1, 1)),
        effect,
        replace(effect, worker="w2"),
        replace(effect, worker="w3", revision=9),
    ]
    first, second = join_audit_log(
        [raw(b"{}"), *(raw(to_json(entry)) for entry in entries)], "mnist", ANYBODY
    ).changes
    assert (first.state, first.former, first.effects) == (state(1, 1), None, ())
    assert [effect.worker for effect in second.effects] == ["w1", "w2"]
    assert second.effects[0].offsets == {"0": 17}
    assert first.is_signed
    assert first.counts


def test_what_a_worker_says_that_contradicts_the_audit_log_is_left_out() -> None:
    """Workers hold no keys, so anybody may speak for them; but not of what never was."""
    said = Effective(
        model="mnist", worker="w1", revision=1, champion=ref(1), at="2027-01-15T08:00:01Z", offsets={"0": 17}
    )
    entries = [
        replace(said, worker="before"),
        Desired(command=Command.ACTIVATE, state=state(1, 1), former=None),
        replace(said, worker="other-model", champion=ref(9)),
        replace(said, worker="misplaced", model="other"),
        Desired(command=Command.ACTIVATE, state=state(1, 5), former=None),
        replace(said, worker="of-the-conflict", champion=ref(5)),
        said,
    ]
    changes = join_audit_log([raw(to_json(entry)) for entry in entries], "mnist", ANYBODY).changes
    assert [(change.refused, [one.worker for one in change.effects]) for change in changes] == [
        (None, ["w1"]),
        ("RecordConflict", []),
    ]


def test_each_change_that_does_not_count_says_why() -> None:
    entries = [
        Desired(command=Command.ACTIVATE, state=state(revision, champion), former=None)
        for revision, champion in ((1, 1), (2, 2), (1, 1), (2, 3), (4, 4), (2**53, 5), (3, 6))
    ]
    joined = join_audit_log([raw(to_json(entry)) for entry in entries], "mnist", ANYBODY)
    changes = joined.changes
    assert [change.refused for change in changes] == [
        None,
        None,
        "RecordStale",
        "RecordConflict",
        "RecordOutOfLine",
        "RecordOutOfLine",
        None,
    ]
    assert champion_before(joined, "mnist", ref(6)) == ref(2)


@pytest.mark.parametrize(
    ("champions", "before"),
    [
        ((1, 2), 1),
        ((1, 1, 2, 2, 2), 1),
        ((1, 2, 3), 2),
        ((1, 2, 3, -2), 1),
        ((1, 2, 3, -2, 4), 2),
        ((1, 2, 3, -2, -1, 3), 1),
        ((1, 2, 3, 2), 3),
        ((1, 2, 1), 2),
        ((1, 2, 1, -2), 1),
        ((1, 2, 3, -1), 3),
    ],
)
def test_a_rollback_is_no_step_forward(champions: tuple[int, ...], before: int) -> None:
    assert champion_before(audit_log(*champions), "mnist", ref(abs(champions[-1]))) == ref(before)


@pytest.mark.parametrize("champions", [(), (1,), (1, 1), (1, 2, -1), (1, 2, 3, -2, -1)])
def test_there_is_an_end_to_going_back(champions: tuple[int, ...]) -> None:
    with pytest.raises(NothingBefore, match="flumen models activate"):
        champion_before(audit_log(*champions), "mnist", ref(1))


def test_a_champion_that_the_audit_log_does_not_know_is_one_step_further() -> None:
    assert champion_before(audit_log(1, 2), "mnist", ref(5)) == ref(2)


def test_what_nobody_signed_is_shown_and_not_followed(tmp_path) -> None:
    public, private = keys(tmp_path)
    values = activations(1, 6, 2)
    own, foreign, latest = values
    signed = [
        raw(own, sign(private, TOPIC, b"mnist", own)),
        raw(foreign, sign(private, "models.control", b"mnist", foreign)),
        raw(latest, sign(private, TOPIC, b"mnist", latest)),
    ]
    joined = join_audit_log(signed, "mnist", Keyring([public]))
    changes = joined.changes
    assert [change.is_signed for change in changes] == [True, False, True]
    assert champion_before(joined, "mnist", ref(2)) == ref(1)


def test_a_signed_change_that_is_copied_is_not_followed_again(tmp_path) -> None:
    public, private = keys(tmp_path)
    values = activations(1, 6, 2)
    signed = [raw(value, sign(private, TOPIC, b"mnist", value)) for value in values]
    joined = join_audit_log([*signed, signed[1]], "mnist", Keyring([public]))
    changes = joined.changes
    assert [change.counts for change in changes] == [True, True, True, False]
    assert champion_before(joined, "mnist", ref(2)) == ref(6)
    assert all(change.is_signed for change in changes)


@pytest.mark.parametrize(
    ("now", "former", "words"),
    [
        (state(1, 1), None, "champion 1"),
        (state(1, 1, prepare=2), None, "champion 1, prepare 2"),
        (state(2, 1, prepare=2), state(1, 1), "prepare 2"),
        (state(3, 2), state(2, 1, prepare=2), "champion 1 → 2"),
        (state(3, 1), state(2, 1, prepare=2), "prepare 2 taken back"),
        (state(3, 1, prepare=2), state(2, 1, prepare=2), "prepare 2 again"),
        (state(3, 1, prepare=3), state(2, 1, prepare=2), "prepare 3"),
        (state(2, 1, challenger=2), state(1, 1), "challenger none → 2"),
        (state(2, 1), state(1, 1, challenger=2), "challenger 2 → none"),
        (state(2, 2), state(1, 1, challenger=2), "champion 1 → 2, challenger 2 → none"),
        (state(2, 1), state(1, 1), "nothing"),
    ],
)
def test_a_change_in_a_few_words(now: DesiredState, former: DesiredState | None, words: str) -> None:
    assert describe_change(now, former) == words
