"""Several operators, and one who gives up: the newest state is always somebody's whole decision."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from swap_models import register
from worker_statuses import worker_status

from flumen.cli.background import environment_of
from flumen.models.repository import Repository
from flumen.streams.control.operator.fleet import Fleet, forget
from flumen.streams.control.operator.rollout import Order, Rollout, RolloutResult
from flumen.streams.control.operator.writer import DesiredChange, StateWriter, make_signer, read_newest
from flumen.streams.control.records import (
    MAX_REVISION,
    Command,
    Desired,
    DesiredState,
    ModelRef,
    WorkerStatus,
    now,
    parse_audit,
    parse_desired,
    to_json,
)
from flumen.streams.errors import RolloutTimedOut, StateChanged
from flumen.streams.kafka.message import RawMessage
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings

CHANGE = DesiredChange(
    command=Command.ACTIVATE,
    model="mnist",
    champion=ModelRef(1, "1" * 64),
    challenger=None,
    prepare=None,
    actor="alice@desk",
    reason="it is better",
)
INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from flumen.cli.main import run; run()"
)
"""`flumen`, also where whoever started the tests has Ctrl-C ignored, as a shell does with what it runs behind."""

SECOND, THIRD = ModelRef(2, "2" * 64), ModelRef(3, "3" * 64)
GHOST = worker_status(worker="ghost", champion=CHANGE.champion, at=now(), started_at=now())


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No worker is taken for dead while a test runs."""
    ensure_topics(settings)
    return settings.model_copy(update={"heartbeat_s": 60.0})


@pytest.fixture
def writer(settings: Settings) -> Callable[[], StateWriter]:
    """Give one more operator a writer."""
    return lambda: StateWriter(settings, "mnist", make_signer(settings))


@pytest.fixture
def read_back(
    settings: Settings, observer: TopicReader, wait_until: Callable[..., Any]
) -> Callable[[int], list[DesiredState]]:
    """Read so many states, which stand in the control topic and in the audit log alike.

    A broker says that a transaction is committed before readers see it, and they see it in one topic before the other.
    """

    def read(count: int) -> list[DesiredState]:
        def complete(topic: str) -> list[RawMessage] | None:
            found = list(observer.read(topic))
            return found if len(found) >= count else None

        def records(topic: str) -> list[RawMessage]:
            return cast(list[RawMessage], wait_until(lambda: complete(topic), f"{count} records in {topic}"))

        states = [parse_desired(raw.value) for raw in records(settings.control_topic)]
        entries = [parse_audit(raw.value) for raw in records(settings.audit_topic)]
        assert [entry.state for entry in entries if isinstance(entry, Desired)] == states
        assert len(entries) == len(states)
        return states

    return read


def say(settings: Settings, status: WorkerStatus) -> None:
    """Speak for a worker."""
    producer = Producer(settings.producer_config())
    producer.produce(settings.status_topic, key=status.worker, value=to_json(status))
    assert producer.flush(60) == 0


def test_who_comes_later_is_refused_and_told_what_changed(
    writer: Callable[[], StateWriter], read_back: Callable[[int], list[DesiredState]]
) -> None:
    alice, bob = writer(), writer()
    first = alice.write(replace(CHANGE, prepare=SECOND), None)
    with pytest.raises(StateChanged) as refused:
        bob.write(replace(CHANGE, actor="bob@home"), None)
    for part in (
        "alice@desk",
        "revision 1",
        "champion 1, prepare 2",
        "it is better",
        "flumen models history",
    ):
        assert part in str(refused.value)

    second = bob.write(replace(CHANGE, champion=THIRD, actor="bob@home", reason="mine"), first)
    with pytest.raises(
        StateChanged, match=r"bob@home .* revision 2 .* champion 1 → 3, prepare 2 .* \(mine\)"
    ):
        alice.write(replace(CHANGE, champion=SECOND), first)
    third = alice.write(replace(CHANGE, champion=SECOND), second)
    assert [state.revision for state in (first, second, third)] == [1, 2, 3]
    assert read_back(3) == [first, second, third]


def test_many_at_once_write_one_after_another(
    settings: Settings, writer: Callable[[], StateWriter], read_back: Callable[[int], list[DesiredState]]
) -> None:
    written: list[DesiredState] = []
    start = threading.Barrier(4)

    def operate() -> None:
        own = writer()
        start.wait()
        for _ in range(3):
            while True:
                seen = read_newest(settings, "mnist")
                try:
                    written.append(own.write(CHANGE, seen))
                    break
                except StateChanged:
                    continue

    operators = [threading.Thread(target=operate) for _ in range(4)]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join()
    assert sorted(state.revision for state in written) == list(range(1, 13))
    assert read_back(12) == sorted(written, key=lambda state: state.revision)


def test_of_ten_at_once_one_wins_and_all_others_are_told(
    writer: Callable[[], StateWriter], read_back: Callable[[int], list[DesiredState]]
) -> None:
    """All have looked at the same: nothing. Each takes the right from another, and somebody has to write at last."""
    written: list[DesiredState] = []
    told: list[StateChanged] = []
    start = threading.Barrier(10)

    def operate(number: int) -> None:
        own = writer()
        start.wait()
        try:
            written.append(own.write(replace(CHANGE, actor=f"operator-{number}"), None))
        except StateChanged as error:
            told.append(error)

    operators = [threading.Thread(target=operate, args=(number,)) for number in range(10)]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join()
    (winner,) = written
    assert len(told) == 9
    assert all(str(error).startswith(f"{winner.actor} changed mnist to revision 1 at") for error in told)
    assert read_back(1) == [winner]


@pytest.mark.parametrize(
    ("code", "committed"),
    [
        (KafkaError.UNKNOWN, [True]),
        (KafkaError.UNKNOWN, [False, False, True]),
        (KafkaError._FENCED, [True]),
        (KafkaError._FENCED, [False]),
    ],
    ids=str,
)
def test_an_answer_that_says_nothing_is_looked_into(
    writer: Callable[[], StateWriter],
    read_back: Callable[[int], list[DesiredState]],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    committed: list[bool],
) -> None:
    """A broker may answer so whether it has committed or not: written once, whichever it was."""
    tries = iter(committed)

    class Doubtful(Producer):
        def commit_transaction(self, *args: Any) -> None:
            is_committed = next(tries, None)
            if is_committed is not False:
                super().commit_transaction(*args)
            if is_committed is not None:
                raise KafkaException(KafkaError(code))

    monkeypatch.setattr("flumen.streams.kafka.errors.Producer", Doubtful)
    own = writer()
    first = own.write(CHANGE, None)
    second = own.write(replace(CHANGE, champion=SECOND), first)
    assert (first.revision, second.revision, second.champion) == (1, 2, SECOND)
    assert read_back(2) == [first, second]
    assert next(tries, None) is None, "every doubt was met"


def test_a_topic_that_was_made_anew_goes_on_above_what_workers_know(
    settings: Settings, writer: Callable[[], StateWriter]
) -> None:
    say(settings, replace(GHOST, champion=SECOND, revision=41))
    order = Order(command=Command.ACTIVATE, model="mnist", actor="a", reason="", timeout_s=0.1, force=True)
    with Fleet(settings) as fleet:
        view = fleet.view("mnist")
        result = Rollout(fleet, writer(), order, lambda *_: None).shadow(view, None, SECOND)
        assert (result.state, result.workers) == (None, ("ghost",))
    state = writer().write(CHANGE, view.desired, max(status.revision for status in view.live))
    assert state.revision == 42


def test_who_waits_learns_that_somebody_else_decided(
    settings: Settings, writer: Callable[[], StateWriter], wait_until: Callable[..., Any]
) -> None:
    say(settings, GHOST)
    ended: list[RolloutResult | StateChanged] = []

    def activate() -> None:
        order = Order(command=Command.ACTIVATE, model="mnist", actor="alice", reason="", timeout_s=120)
        with Fleet(settings) as fleet:
            try:
                rollout = Rollout(fleet, writer(), order, lambda *_: None)
                ended.append(rollout.activate(fleet.view("mnist"), SECOND, CHANGE.champion))
            except StateChanged as error:
                ended.append(error)

    alice = threading.Thread(target=activate)
    alice.start()
    prepared = wait_until(lambda: read_newest(settings, "mnist"), "what alice prepares")
    assert prepared.prepare == SECOND
    decided = writer().write(replace(CHANGE, champion=THIRD, actor="bob"), prepared)
    alice.join()
    assert isinstance(ended[0], StateChanged)
    assert "bob changed mnist to revision 2" in str(ended[0])
    wait_until(lambda: read_newest(settings, "mnist") != prepared, "what bob decided")
    assert read_newest(settings, "mnist") == decided, "and hers is not taken back: it is gone"


def test_what_a_worker_said_before_it_heard_of_a_change_is_no_answer(
    settings: Settings, writer: Callable[[], StateWriter]
) -> None:
    """It had the version ready for a try that was given up, and has let go of it."""
    say(settings, replace(GHOST, prepared=SECOND))
    order = Order(command=Command.ACTIVATE, model="mnist", actor="alice", reason="", timeout_s=1)
    with Fleet(settings) as fleet, pytest.raises(RolloutTimedOut, match="not so far: ghost"):
        Rollout(fleet, writer(), order, lambda *_: None).activate(
            fleet.view("mnist"), SECOND, CHANGE.champion
        )


def test_what_is_chosen_on_an_older_state_is_not_written(
    settings: Settings, writer: Callable[[], StateWriter]
) -> None:
    order = Order(command=Command.ROLLBACK, model="mnist", actor="alice", reason="", timeout_s=60)
    with Fleet(settings) as fleet:
        view = fleet.view("mnist")
        decided = writer().write(replace(CHANGE, champion=THIRD, actor="bob"), None)
        with pytest.raises(StateChanged, match="bob changed mnist"):
            Rollout(fleet, writer(), order, lambda *_: None).activate(view, SECOND, CHANGE.champion)
    assert read_newest(settings, "mnist") == decided


def test_a_revision_that_nobody_can_have_reached_uses_none_up(
    settings: Settings, writer: Callable[[], StateWriter]
) -> None:
    say(settings, replace(GHOST, heard=MAX_REVISION, revision=MAX_REVISION, challenger=SECOND))
    order = Order(command=Command.SHADOW, model="mnist", actor="alice", reason="", timeout_s=60)
    with Fleet(settings) as fleet:
        rollout = Rollout(fleet, writer(), order, lambda *_: None)
        result = rollout.shadow(fleet.view("mnist"), SECOND, CHANGE.champion)
    assert result.state is not None
    assert result.state.revision == 1


@pytest.mark.parametrize(
    ("verb", "number"),
    [("activate", signal.SIGINT), ("shadow", signal.SIGTERM)],
)
def test_who_is_interrupted_takes_back_what_he_wrote(
    settings: Settings,
    wait_until: Callable[..., Any],
    models_root: Any,
    read_back: Callable[[int], list[DesiredState]],
    verb: str,
    number: signal.Signals,
) -> None:
    say(settings, GHOST)
    register(Repository(str(models_root)), 2)
    command = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "models", verb, "mnist@2", "--timeout", "3600"],
        env={**os.environ, **environment_of(settings)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: read_newest(settings, "mnist"), "what is written")
        command.send_signal(number)
        _, told = command.communicate(timeout=120)
    finally:
        command.kill()
        command.wait()
    assert command.returncode == 128 + number
    assert "RolloutInterrupted: interrupted while this waited for all workers to" in told
    left = "The preparation is taken back" if verb == "activate" else "The former challenger is put back"
    assert left in told
    first, second = read_back(2)
    assert SECOND.version in (
        first.prepare and first.prepare.version,
        first.challenger and first.challenger.version,
    )
    assert (second.revision, second.champion.version, second.prepare, second.challenger) == (2, 1, None, None)


def test_who_is_forgotten_is_gone_until_he_speaks(settings: Settings) -> None:
    say(settings, GHOST)
    forget(settings, ["ghost", "nobody"])
    with Fleet(settings) as fleet:
        assert fleet.models() == []
    say(settings, GHOST)
    with Fleet(settings) as fleet:
        assert [status.worker for status in fleet.view("mnist").live] == ["ghost"]
