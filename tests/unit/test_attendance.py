"""Whom a rollout waits for: by what Kafka says of its members, and by what a worker gets done."""

from dataclasses import dataclass, replace

import pytest
from clocks import Clock
from test_fleet_roster import STATUS

from flumen.streams.control.operator.attendance import Attendance, say_idle
from flumen.streams.control.operator.fleet import Seen
from flumen.streams.control.operator.members import Members
from flumen.streams.control.status_headers import StatusHeaders
from flumen.streams.kafka.group_members import Answer, Unknown

GRACE_S = 10.0
GROUP = "flumen"
NAMED = StatusHeaders(GROUP)


def worker(name: str, headers: StatusHeaders = NAMED) -> Seen:
    return Seen(replace(STATUS, worker=name), 60.0, is_silent=False, headers=headers)


OURS, NOBODYS = worker("w1"), worker("ghost")
OLDER = worker("old", StatusHeaders())
"""Of a version that does not name its group: Kafka knows it as `rdkafka`."""


def group(*members: set[str]) -> Members:
    return Members({GROUP: [frozenset(names) for names in members]}, GROUP)


SILENCE = Members({GROUP: Unknown("it is forbidden")}, GROUP)


@dataclass
class Kafka:
    """What the coordinators answer, how many seconds that takes them, and how often they were asked."""

    members: Members
    clock: Clock
    takes_s: float = 0.0
    asked: int = 0

    def __call__(self) -> Members:
        self.asked += 1
        self.clock.now += self.takes_s
        return self.members


def attend(members: Members, *, force: bool = False) -> tuple[Attendance, Clock, Kafka]:
    clock = Clock()
    kafka = Kafka(members, clock)
    attendance = Attendance(kafka, GRACE_S, force, clock)
    attendance.begin()
    return attendance, clock, kafka


def names(workers: list[Seen]) -> list[str]:
    return [seen.status.worker for seen in workers]


@pytest.mark.parametrize(
    ("members", "lacking"),
    [
        pytest.param(group({"w1"}), ["ghost"], id="the-older-one-may-be-in-another-group"),
        pytest.param(group({"w1"}, {"rdkafka"}), ["ghost"], id="the-older-one-may-be-that-one"),
        pytest.param(group({"w1"}, {"rdkafka", "old"}), ["ghost"], id="its-static-name-is-a-name"),
        pytest.param(group(), ["w1", "ghost"], id="nobody-is"),
        pytest.param(SILENCE, [], id="nobody-knows"),
        pytest.param(Members({}, GROUP), [], id="nobody-was-asked"),
    ],
)
def test_who_is_no_member_is_known_only_where_kafka_says_so(members: Members, lacking: list[str]) -> None:
    everybody = [OURS, NOBODYS, OLDER]
    assert [one.status.worker for one in everybody if members.lacks(one.status.worker, one.group)] == lacking
    assert not any(members.has(name) for name in lacking)


def test_a_group_that_may_not_be_asked_about_tells_nothing_of_its_workers_alone() -> None:
    forbidden: Answer = Unknown("Group authorization failed")
    members = Members({GROUP: [frozenset({"w1"})], "other": forbidden}, GROUP)
    assert members.lacks("ghost", GROUP)
    assert not members.lacks("ghost", "other")
    assert "Group authorization failed" in members.describe("ghost", "other")


def test_a_silent_worker_holds_up_while_it_is_a_member() -> None:
    attendance, _, kafka = attend(group({"w1"}))
    assert names(attendance.holding_up([OURS, NOBODYS])) == ["w1"]
    assert attendance.holding_up([]) == []
    assert attendance.describe(OURS) == "a member of its group 'flumen'"
    assert attendance.describe(NOBODYS) == "no member of its group 'flumen'"
    assert kafka.asked == 1
    assert names(attend(SILENCE)[0].holding_up([NOBODYS])) == ["ghost"]
    assert attend(SILENCE, force=True)[0].holding_up([NOBODYS]) == []


def test_a_worker_that_names_no_group_is_waited_for_whoever_takes_its_name() -> None:
    """Whoever may write a status may write one of `rdkafka`; and such a worker's group may be another than ours."""
    attendance, clock, _ = attend(group({"rdkafka"}))
    clock.now += GRACE_S
    assert attendance.absent([OLDER, worker("rdkafka", StatusHeaders())]) == set()
    assert names(attendance.holding_up([OLDER])) == ["old"]
    assert "may be a member" in attendance.describe(OLDER)
    assert attend(group({"old"}))[0].describe(OLDER) == "a member of its group 'flumen'"


def test_a_coordinator_that_does_not_answer_costs_one_ask_however_many_workers_there_are() -> None:
    attendance, clock, kafka = attend(SILENCE)
    kafka.takes_s = 5.0
    workers = [worker(f"w{number}") for number in range(10)]
    assert attendance.counting(workers) == workers
    assert (kafka.asked, clock.now) == (1, 5.0)
    assert attendance.holding_up(workers) == workers
    assert kafka.asked == 1, "an answer is as old as it came"
    clock.now += GRACE_S
    assert attendance.absent(workers) == set()
    assert kafka.asked == 2


def test_a_worker_that_is_no_member_has_time_to_become_one() -> None:
    attendance, clock, kafka = attend(group({"w1"}))
    assert attendance.absent([OURS, NOBODYS]) == set()
    assert kafka.asked == 0, "where all goes well nobody is asked"
    assert names(attendance.counting([OURS, NOBODYS])) == ["w1"], "but its refusal counts for nothing"
    clock.now += GRACE_S
    assert attendance.absent([OURS, NOBODYS]) == {"ghost"}
    attendance.begin()
    assert attendance.absent([OURS, NOBODYS]) == {"ghost"}, "and does not get it twice"
    kafka.members = group({"w1"}, {"ghost"})
    clock.now += GRACE_S
    assert attendance.absent([OURS, NOBODYS]) == set(), "it has joined"


@pytest.mark.parametrize(
    ("members", "known"), [(SILENCE, []), (group({"w1"}, {"rdkafka"}), ["w1"]), (group({"old"}), ["old"])]
)
def test_force_needs_no_proof_and_leaves_no_member_out(members: Members, known: list[str]) -> None:
    attendance, clock, _ = attend(members, force=True)
    elsewhere = worker("forged", StatusHeaders("a group that nobody may ask about"))
    assert names(attendance.counting([OURS, OLDER, elsewhere])) == known, (
        "what members say counts, and no more"
    )
    clock.now += GRACE_S
    assert attendance.absent([OURS, OLDER, elsewhere]) == {"w1", "old", "forged"} - set(known)


def test_time_counts_only_while_a_worker_gets_nothing_done() -> None:
    attendance, clock, _ = attend(group({"w1"}))
    for step in range(10):
        clock.now += 100
        assert attendance.idle([worker("w1", StatusHeaders(GROUP, step))], timeout_s=120) == []
    stopped = worker("w1", StatusHeaders(GROUP, 9))
    clock.now += 121
    late = worker("late")
    assert attendance.idle([stopped, late], timeout_s=120) == [(stopped, 121)], "the other has just come"
    assert say_idle(attendance, [(stopped, 121)], 2) == (
        "\n  w1: serving for 121 s without a step, has not answered revision 2, heard of 60 s ago, "
        "a member of its group 'flumen'"
    )


def test_who_takes_no_images_is_never_idle() -> None:
    attendance, clock, _ = attend(group({"w1"}))
    attendance.idle([OURS, NOBODYS], timeout_s=GRACE_S)
    clock.now += GRACE_S + 1
    assert attendance.idle([OURS, NOBODYS], timeout_s=GRACE_S) == [(OURS, GRACE_S + 1)]


def test_a_worker_that_begins_again_and_again_gets_nothing_done() -> None:
    attendance, clock, _ = attend(group({"w1"}))
    for step in (0, 1, 2, 0, 1, 2, 0, 1):
        clock.now += 30
        idle = attendance.idle([worker("w1", StatusHeaders(GROUP, step))], timeout_s=120)
    assert [idle_s for _, idle_s in idle] == [150]
