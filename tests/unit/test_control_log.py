"""The control topic and the audit log as one: all who read them come to the same, whatever they are."""

from collections.abc import Callable, Iterable

import pytest
from clocks import Clock
from desired_states import state
from hypothesis import given
from hypothesis import strategies as st

from flumen.streams.control.control_log import ControlLog
from flumen.streams.control.gate import SETTLED_WITHIN_S
from flumen.streams.control.operator.fleet import Fleet, FleetView
from flumen.streams.control.records import Command, Desired, DesiredState, to_json
from flumen.streams.control.worker.reader import ControlReader
from flumen.streams.errors import ControlRefused, RecordMalformed, RecordUnrecorded
from flumen.streams.kafka.memory import MemoryFollower, MemoryTopic
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings

SETTINGS = Settings()
CONTROL, AUDIT, STATUS = SETTINGS.control_topic, SETTINGS.audit_topic, SETTINGS.status_topic

Record = tuple[str, bytes]
"""A topic and a value."""


def control(one: DesiredState) -> Record:
    return CONTROL, to_json(one)


def audit(one: DesiredState) -> Record:
    return AUDIT, to_json(Desired(command=Command.ACTIVATE, state=one, former=None))


def raw(record: Record, key: bytes = b"mnist") -> RawMessage:
    return RawMessage(record[0], 0, 0, key, record[1], (), 0)


class Topics:
    """The three topics, and who reads them; time passes with each look for what is new."""

    def __init__(self, *records: Record) -> None:
        self.clock = Clock()
        self.topics = {name: MemoryTopic(name, 1) for name in (CONTROL, AUDIT, STATUS)}
        self.coming: list[Record] = []
        self.publish(records)

    def publish(self, records: Iterable[Record]) -> None:
        for topic, value in records:
            self.topics[topic].publish(0, value, b"mnist", timestamp_ms=sum(map(self.count, self.topics)))

    def count(self, name: str) -> int:
        return len(self.topics[name].messages[name, 0])

    def follower(self) -> MemoryFollower:
        return MemoryFollower(self.topics.values(), self.pass_time)

    def pass_time(self) -> None:
        self.clock.now += SETTLED_WITHIN_S / 4
        self.publish([self.coming.pop(0)] if self.coming else [])

    def worker(self) -> ControlReader:
        return ControlReader(SETTINGS, self.follower(), self.clock)

    def fleet(self) -> FleetView:
        with Fleet(SETTINGS, self.follower(), self.clock) as fleet:
            fleet.settle()
            return fleet.view("mnist")


FIRST, SECOND, OTHER = state(1, 1), state(2, 2), state(2, 3)


def test_it_is_told_what_each_record_has_changed() -> None:
    log = ControlLog(SETTINGS)
    assert log.take(raw(control(FIRST))) is None
    assert log.disagrees
    assert log.take(raw(audit(FIRST))) == FIRST
    assert log.overdue() == []
    assert not log.disagrees
    assert isinstance(log.take(raw((CONTROL, b"not JSON"))), RecordMalformed)
    assert log.take(raw(control(SECOND))) is None
    (unrecorded,) = log.overdue(wait_s=0)
    assert isinstance(unrecorded, RecordUnrecorded)
    assert log.gate("mnist").state == FIRST
    assert log.models() == {"mnist"}


def test_a_record_is_about_the_model_that_is_its_key() -> None:
    of_all, of_one = ControlLog(SETTINGS), ControlLog(SETTINGS, "photos")
    for record in (audit(FIRST), control(FIRST)):
        assert isinstance(of_all.take(raw(record, b"photos")), ControlRefused)
        assert of_all.take(raw(record, b"\xff")) is None, "of no model that can be named"
        assert of_one.take(raw(record)) is None
    assert of_one.models() == of_all.models() == set()


@pytest.mark.parametrize(
    "read", [lambda topics: topics.worker().read_to_end()[0], lambda topics: topics.fleet().desired]
)
@pytest.mark.parametrize(("late", "expected"), [(3, SECOND), (9, FIRST)])
def test_a_line_that_comes_within_a_moment_is_waited_for(
    read: Callable[[Topics], DesiredState | None], late: int, expected: DesiredState
) -> None:
    topics = Topics(audit(FIRST), control(FIRST), control(SECOND))
    topics.coming = [*[(STATUS, b"")] * (late - 1), audit(SECOND)]
    assert read(topics) == expected
    assert topics.clock.now <= SETTLED_WITHIN_S


STATES = st.builds(state, st.integers(1, 4), st.integers(1, 2))
RECORDS = st.lists(
    st.builds(control, STATES) | st.builds(audit, STATES) | st.just((CONTROL, b"{}")), max_size=9
)


@given(RECORDS)
def test_a_worker_an_operator_and_a_writer_come_to_the_same(records: list[Record]) -> None:
    topics = Topics(*records)
    log = ControlLog(SETTINGS, "mnist")
    for record in records:
        log.take(raw(record))
    log.overdue(wait_s=0)
    gate, view, (desired, refused) = log.gate("mnist"), topics.fleet(), topics.worker().read_to_end()
    assert gate.state == view.desired == desired
    assert gate.conflict == view.conflict
    assert (gate.refused and type(gate.refused).__name__) == (refused and refused.reason)
