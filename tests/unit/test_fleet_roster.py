"""Who of a fleet is still there, by what each worker said last and when that was heard."""

from collections.abc import Sized
from dataclasses import replace

import pytest
from clocks import Clock
from worker_statuses import worker_status

from flumen.streams.control.operator.fleet import FleetView, Roster
from flumen.streams.control.records import ModelRef, WorkerState, WorkerStatus, to_json
from flumen.streams.kafka.message import RawMessage

HEARTBEAT_S = 2.0
NOW = 1_800_000_000.0
REF = ModelRef(1, "a" * 64)
STATUS = worker_status(champion=REF, heard=1, revision=1)


def message(status: WorkerStatus | None, worker: str = "w1", said_at: float = NOW) -> RawMessage:
    value = None if status is None else to_json(status)
    return RawMessage("models.status", 0, 0, worker.encode(), value, (), int(said_at * 1000))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def roster(clock: Clock) -> Roster:
    return Roster(HEARTBEAT_S, clock, lambda: NOW)


def view(roster: Roster) -> FleetView:
    return FleetView("mnist", None, roster.workers("mnist"))


def test_a_worker_that_beats_is_live_and_one_that_does_not_becomes_silent(
    roster: Roster, clock: Clock
) -> None:
    roster.hear(message(STATUS), is_news=True)
    clock.now += 5 * HEARTBEAT_S
    assert [status.worker for status in view(roster).live] == ["w1"]
    clock.now += 0.1
    assert [seen.status.worker for seen in view(roster).silent] == ["w1"]
    assert view(roster).live == ()
    roster.hear(message(STATUS), is_news=True)
    assert view(roster).silent == ()


def test_an_old_word_is_doubted_before_it_is_believed(roster: Roster, clock: Clock) -> None:
    roster.hear(message(STATUS, said_at=NOW - 3600), is_news=False)
    assert roster.has_doubts()
    assert view(roster).silent == ()
    assert view(roster).workers[0].age_s == pytest.approx(3600)
    clock.now += 2 * HEARTBEAT_S
    assert not roster.has_doubts()
    assert [seen.status.worker for seen in view(roster).silent] == ["w1"]


def test_a_worker_whose_clock_is_behind_is_believed_when_it_speaks(roster: Roster, clock: Clock) -> None:
    roster.hear(message(STATUS, said_at=NOW - 3600), is_news=False)
    clock.now += HEARTBEAT_S
    roster.hear(message(STATUS, said_at=NOW - 3600 + HEARTBEAT_S), is_news=True)
    assert not roster.has_doubts()
    clock.now += HEARTBEAT_S
    assert view(roster).silent == ()


def test_a_dead_worker_whose_clock_was_ahead_is_found_out(roster: Roster, clock: Clock) -> None:
    roster.hear(message(STATUS, said_at=NOW + 3600), is_news=False)
    assert view(roster).workers[0].age_s == 0
    clock.now += 5 * HEARTBEAT_S + 0.1
    assert [seen.status.worker for seen in view(roster).silent] == ["w1"]


def test_who_stops_in_order_is_gone_and_who_was_stopped_by_an_error_is_shown_and_not_waited_for(
    roster: Roster, clock: Clock
) -> None:
    roster.hear(message(STATUS), is_news=False)
    roster.hear(message(replace(STATUS, worker="w2", state=WorkerState.STOPPED), "w2"), is_news=False)
    roster.hear(message(None), is_news=True)
    clock.now += 3600
    assert not roster.has_doubts()
    assert [(seen.status.worker, seen.is_silent, seen.is_live) for seen in view(roster).workers] == [
        ("w2", False, False)
    ]
    assert (view(roster).live, view(roster).silent) == ((), ())


@pytest.mark.parametrize(
    "record",
    [
        message(STATUS, worker="w2"),
        RawMessage("models.status", 0, 0, None, to_json(STATUS), (), 0),
        RawMessage("models.status", 0, 0, b"\xff", b"\xff", (), 0),
        RawMessage("models.status", 0, 0, b"w1", b"{}", (), 0),
        RawMessage("models.status", 0, 0, b"w2", None, (), 0),
    ],
)
def test_what_is_no_status_of_the_worker_that_it_names_changes_nothing(
    roster: Roster, record: RawMessage
) -> None:
    roster.hear(message(STATUS), is_news=False)
    roster.hear(record, is_news=True)
    assert [seen.status for seen in view(roster).workers] == [STATUS]


def test_workers_of_other_models_are_another_fleet(roster: Roster) -> None:
    roster.hear(message(STATUS), is_news=False)
    roster.hear(message(replace(STATUS, worker="w2", model="flowers"), "w2"), is_news=False)
    assert [seen.status.worker for seen in roster.workers("flowers")] == ["w2"]
    assert sorted(roster.models()) == ["flowers", "mnist"]


def test_of_a_worker_that_is_gone_nothing_is_kept(roster: Roster) -> None:
    def kept() -> list[str]:
        return [name for name, value in vars(roster).items() if isinstance(value, Sized) and len(value)]

    roster.hear(message(STATUS)._replace(headers=(("flumen.group", b"flumen"),)), is_news=True)
    later = b'{"schema": 2, "worker": "w2", "model": "mnist"}'
    roster.hear(message(STATUS, "w2")._replace(value=later), is_news=True)
    assert (len(roster.workers("mnist")), len(kept())) == (2, 1)
    for worker in ("w1", "w2"):
        roster.hear(message(None, worker), is_news=True)
    assert kept() == []
