"""Kafka's word on who takes images, in what an operator's commands do with it."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from desired_states import ref, state
from test_fleet_roster import STATUS

from flumen.models.repository import Repository
from flumen.streams.control.operator import fleet as fleet_module
from flumen.streams.control.operator.fleet import Fleet, FleetView, Seen
from flumen.streams.control.operator.members import Members
from flumen.streams.control.operator.rollout import Order, Rollout
from flumen.streams.control.operator.standing import standing_champion
from flumen.streams.control.records import Command, Refused, WorkerState, to_json
from flumen.streams.control.status_headers import StatusHeaders
from flumen.streams.errors import RolloutTimedOut, WorkerRefused
from flumen.streams.kafka import group_members as group_members_module
from flumen.streams.kafka.group_members import Answer, Unknown, group_members
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings

GROUP = "flumen"
SETTINGS = Settings()
REFUSAL = Refused(ref(2), 1, "NotRunnable", "no")


def saying(name: str, group: str | None = GROUP, **said: Any) -> Seen:
    """A worker that says this of itself."""
    return Seen(replace(STATUS, worker=name, **said), 0.0, is_silent=False, headers=StatusHeaders(group))


def known(*names: str) -> Members:
    return Members({GROUP: [frozenset({name}) for name in names]}, GROUP)


class _Fleet:
    """A fleet that stays as it is."""

    silent_after_s = 300.0

    def __init__(self, members: Members, *workers: Seen) -> None:
        self._members = members
        self.seen = FleetView("mnist", state(1, 1, challenger=2), workers)

    def view(self, _model: str) -> FleetView:
        return self.seen

    def members(self, _model: str) -> Members:
        return self._members

    def listen(self, _timeout_s: float) -> None:
        time.sleep(0.01)


def shadow(fleet: _Fleet, *, force: bool = False) -> Sequence[str]:
    """Wait for a challenger that is wanted already, and return who was left out."""
    order = Order(command=Command.SHADOW, model="mnist", actor="a", reason="", timeout_s=0.2, force=force)
    unused: Any = None
    return (
        Rollout(cast(Fleet, fleet), unused, order, lambda *_: None)
        .shadow(fleet.seen, ref(2), ref(1))
        .left_out
    )


def test_who_is_no_member_is_left_out_before_a_timeout_that_is_shorter_than_its_time_to_join() -> None:
    ghost = saying("ghost", state=WorkerState.PREPARING)
    assert shadow(_Fleet(known("w1"), ghost)) == ("ghost",)
    with pytest.raises(RolloutTimedOut, match="not so far: ghost"):
        shadow(_Fleet(known("ghost"), ghost))


@pytest.mark.parametrize(
    "said",
    [
        saying("ghost", "x", state=WorkerState.REFUSED, refused=REFUSAL),
        replace(saying("ghost", "x", state=WorkerState.REFUSED), is_too_new=True),
    ],
    ids=["refused", "too-new"],
)
def test_force_goes_on_without_what_kafka_does_not_know_and_never_over_a_member(said: Seen) -> None:
    assert shadow(_Fleet(known("w1"), said), force=True) == ("ghost",)
    member = saying("w1", state=WorkerState.REFUSED, refused=REFUSAL)
    with pytest.raises(WorkerRefused, match="w1"):
        shadow(_Fleet(known("w1"), said, member), force=True)


class _Aliased:
    """A repository whose alias names version 1."""

    url = "models"

    def alias(self, *_: object) -> int:
        return 1

    def manifest(self, *_: object) -> Any:
        return ref(1)


@pytest.mark.parametrize(
    ("members", "champion"),
    [
        (known("w1"), ref(2)),
        (known(), ref(1)),
        (Members({GROUP: Unknown("it is forbidden")}, GROUP), ref(1)),
    ],
)
def test_what_an_operator_signs_is_what_members_run_or_the_alias(members: Members, champion: object) -> None:
    fleet = _Fleet(members, saying("w1", champion=ref(2)), saying("forged", None, champion=ref(3)))
    repository = cast(Repository, _Aliased())
    for workers in (fleet.seen.workers, fleet.seen.workers[:1]):
        view = replace(fleet.seen, desired=None, workers=workers)
        assert standing_champion(cast(Fleet, fleet), view, repository) == champion


class _Admin:
    """Answers for the groups of one call, or refuses the whole call where one is called `bad`."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def describe_consumer_groups(self, groups: list[str], **_: object) -> dict[str, Any]:
        self.calls.append(groups)
        if "bad" in groups:
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG, "bad"))
        none: Future[Any] = Future()
        none.set_exception(KafkaException(KafkaError(KafkaError.GROUP_ID_NOT_FOUND)))
        return dict.fromkeys(groups, none)

    def poll(self, _timeout_s: float) -> None:
        pass


def test_groups_that_workers_name_keep_no_answer_of_the_own_one_back(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = _Admin()
    monkeypatch.setattr(group_members_module, "make_admin", lambda _: admin)
    answers = group_members(SETTINGS.admin_config(), [GROUP, "good", "bad", GROUP])
    assert admin.calls == [[GROUP], ["bad", "good"]]
    assert answers == {GROUP: (), "good": Unknown("bad"), "bad": Unknown("bad")}
    assert group_members(SETTINGS.admin_config(), [GROUP]) == {GROUP: ()}


class _Follower:
    """The three topics, of which only that of the statuses has records."""

    def __init__(self, raws: Iterable[RawMessage]) -> None:
        self._raws = raws

    def follow(self, _topics: Sequence[str]) -> Iterable[RawMessage]:
        return self._raws

    def close(self) -> None:
        pass


def test_no_number_of_groups_that_somebody_names_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []

    def answer(_config: object, groups: Sequence[str]) -> dict[str, Answer]:
        asked.append(groups)
        return dict.fromkeys(groups, ())

    monkeypatch.setattr(fleet_module, "group_members", answer)
    named = {f"a{number:03}": f"forged-{number}" for number in range(200)}
    named |= {"x": SETTINGS.group_id, "y": "theirs", "z": "theirs", "none": None}
    raws = [
        RawMessage(
            SETTINGS.status_topic,
            0,
            0,
            worker.encode(),
            to_json(replace(STATUS, worker=worker)),
            tuple((name, value) for name, value in StatusHeaders(group).sent()),
            0,
        )
        for worker, group in named.items()
    ]
    with Fleet(SETTINGS, cast(Any, _Follower(raws))) as fleet:
        members = fleet.members("mnist")
    assert [groups[:2] for groups in asked] == [[SETTINGS.group_id, "theirs"]]
    assert [len(groups) for groups in asked] == [101]
    assert members.lacks("y", "theirs")
    assert not members.lacks("a199", "forged-199")
    assert "more than 100 groups" in members.describe("a199", "forged-199")
