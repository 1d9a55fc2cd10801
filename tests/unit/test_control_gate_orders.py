"""The control topic and the audit log are read apart: what a gate comes to does not depend on which is read when."""

from collections.abc import Sequence

from clocks import Clock
from desired_states import state
from hypothesis import given
from hypothesis import strategies as st

from flumen.streams.control.gate import RECORDED_WITHIN_S, Gate
from flumen.streams.control.keys import Keyring
from flumen.streams.control.records import Command, Desired, DesiredState, to_json
from flumen.streams.errors import ControlRefused
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings

SETTINGS = Settings()
CONTROL_TOPIC = st.lists(st.none() | st.builds(state, st.integers(1, 4), st.integers(1, 3)), max_size=6)
"""States of the audit log, others of the same revisions, ones above its end, None for what is no state."""


def outcome(written: Sequence[RawMessage], recorded: Sequence[RawMessage], steps: Sequence[str]) -> object:
    """Return what a gate says in the end, and of what it has told that it does not count.

    Steps: the next record of the control topic, the next of the audit log, `overdue`, and that after a long time.
    """
    clock = Clock()
    gate = Gate(SETTINGS, "mnist", Keyring(()), clock)
    topics = {"control": list(written), "audit": list(recorded)}
    told: list[str] = []
    for step in [*steps, *(["audit"] * len(recorded)), *(["control"] * len(written)), "overdue", "late"]:
        try:
            if topics.get(step):
                gate.admit(topics[step].pop(0))
        except ControlRefused as error:
            told.append(type(error).__name__)
        if step == "late":
            clock.now += RECORDED_WITHIN_S
        if step in ("overdue", "late"):
            told += [type(error).__name__ for error in gate.overdue()]
    # A line that is late is told as missing first: only that depends on the time.
    lasting = sorted(name for name in told if name != "RecordUnrecorded")
    conflict = gate.conflict and gate.conflict.partition(":")[0]
    return gate.state, gate.has_lost, gate.is_waiting, conflict, lasting


def control(one: DesiredState | None) -> RawMessage:
    return RawMessage(SETTINGS.control_topic, 0, 0, b"mnist", to_json(one) if one else b"not JSON", (), 0)


def audit(one: DesiredState) -> RawMessage:
    value = to_json(Desired(command=Command.ACTIVATE, state=one, former=None))
    return RawMessage(SETTINGS.audit_topic, 0, 0, b"mnist", value, (), 0)


@given(CONTROL_TOPIC, st.integers(0, 4), st.lists(st.sampled_from(("control", "audit", "overdue", "late"))))
def test_however_the_two_topics_are_read_the_outcome_is_the_same(
    states: list[DesiredState | None], newest: int, steps: list[str]
) -> None:
    written = list(map(control, states))
    recorded = [audit(state(revision, 1)) for revision in range(1, newest + 1)]
    assert outcome(written, recorded, steps) == outcome(written, recorded, ["audit"] * newest)
