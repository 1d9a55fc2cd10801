"""`flumen models activate`, `shadow` and the like, in topics of each test's own; test_swap_fleet.py has fleets."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, Producer
from swap_fleet import Run, commands, done, fleet, models, printed, revision
from swap_models import register, softmax_model
from worker_statuses import worker_status

from flumen.models.errors import ModelCorrupt
from flumen.models.repository import CHAMPION, MODEL_FILE, Repository
from flumen.streams.control.keys import new_key_pair
from flumen.streams.control.operator.writer import read_newest
from flumen.streams.control.records import DesiredState, Refused, WorkerStatus, now, to_json
from flumen.streams.control.status_headers import StatusHeaders
from flumen.streams.errors import (
    BadKey,
    ScoresWorse,
    WorkerRefused,
)
from flumen.streams.settings import Settings

Start = Callable[..., Any]

GHOST = worker_status(worker="ghost", at=now(), started_at=now())
REFUSAL = {"ref": None, "revision": 0, "reason": "RecordForged", "message": "the record is not signed"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A worker is silent after ten seconds, twenty of its heartbeats: one that lives on a busy machine is not."""
    return settings.model_copy(update={"heartbeat_s": 2.0})


@pytest.fixture
def repository(models_root: Path) -> Repository:
    """Three versions of `mnist`, the first one the champion."""
    repository = Repository(str(models_root))
    for seed in (2, 3):
        register(repository, seed)
    return repository


@pytest.fixture
def run(settings: Settings, repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `flumen models` with these arguments and the test's settings."""
    return commands(settings, monkeypatch, tmp_path)


@pytest.fixture
def start(start_worker: Start, run: Run, wait_until: Callable[..., Any]) -> Start:
    """Start a worker of this name, and return once the fleet knows what it serves: its status may follow its log."""

    def start_one(name: str, **extra: Any) -> Any:
        worker = start_worker(worker_id=name, heartbeat_s=0.5, **extra)
        worker.wait_for_line("worker is ready")
        wait_until(lambda: models(run).get(name), f"the model of {name}", worker.check)
        return worker

    return start_one


def test_what_fails_where_it_is_asked_for_does_not_trouble_the_fleet(run: Run, settings: Settings) -> None:
    damaged = Path(settings.model_repository) / "mnist" / "2" / MODEL_FILE
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert isinstance(run("activate", "mnist@2").exception, ModelCorrupt)
    assert run("activate", "mnist").exit_code == 2
    assert run("shadow").exit_code == 2
    assert run("shadow", "mnist@2", "--off").exit_code == 2
    assert fleet(run)["desired"] is None
    assert printed(run("history", "--json")) == []


def test_a_worse_score_is_asked_about_before_anything_is_written(
    run: Run, repository: Repository, wait_until: Callable[..., Any]
) -> None:
    """No terminal is here to ask on: so it is refused, unless the command says that it shall be so."""
    scores = repository.manifest("mnist", 1).scores
    assert scores is not None
    content, manifest = softmax_model(4)
    version = repository.register(content, replace(manifest, scores=replace(scores, accuracy=0.9473)))
    refused = run("activate", f"mnist@{version}")
    assert isinstance(refused.exception, ScoresWorse), refused.output
    assert f"mnist@{version} has an accuracy of 0.9473" in str(refused.exception)
    assert f"{scores.accuracy:.4f}, on the same 10,000 images" in str(refused.exception)
    assert fleet(run)["desired"] is None
    done(run("activate", f"mnist@{version}", "--yes"))
    wait_until(lambda: revision(run) == 2, "the worse one")
    done(run("activate", "mnist@1"))
    wait_until(lambda: revision(run) == 4, "the former one")
    assert fleet(run)["desired"]["champion"]["version"] == 1


def test_the_alias_follows_a_swap_that_stands_though_a_worker_has_not_made_it(
    run: Run,
    settings: Settings,
    repository: Repository,
    wait_until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLUMEN_HEARTBEAT_S", "60")  # so that nobody is taken for dead
    producer = Producer(settings.producer_config())

    def say(status: WorkerStatus) -> None:
        producer.produce(settings.status_topic, key="ghost", value=to_json(status))
        assert producer.flush(60) == 0

    def asked(revision: int) -> DesiredState:
        def newest() -> DesiredState | None:
            state = read_newest(settings, "mnist")
            return state if state and state.revision == revision else None

        return cast(DesiredState, wait_until(newest, f"revision {revision}"))

    def get_ready_and_refuse() -> None:
        say(replace(GHOST, prepared=asked(1).prepare, heard=1))
        champion = asked(2).champion
        say(replace(GHOST, refused=Refused(champion, 2, "NotRunnable", "gone meanwhile"), heard=2))

    member = Consumer({**settings.consumer_config(), "client.id": "ghost"})
    member.subscribe([settings.images_topic])
    wait_until(lambda: member.poll(0.1) or member.assignment(), "a member of the group")
    say(GHOST)
    thread = threading.Thread(target=get_ready_and_refuse)
    thread.start()
    result = run("activate", "mnist@2")
    thread.join()
    member.close()
    assert isinstance(result.exception, WorkerRefused), result.output
    assert "The state stands at revision 2" in str(result.exception)
    assert repository.alias("mnist", CHAMPION) == 2


def test_who_takes_no_images_holds_nothing_up(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to the status topic can say that a worker lives; Kafka knows of none."""
    monkeypatch.setenv("FLUMEN_HEARTBEAT_S", "0.2")  # so that they have a second's time to join their group
    ghost = json.loads(to_json(GHOST))
    said = [
        (GHOST.worker, ghost | {"state": "preparing"}),
        ("refusing", ghost | {"worker": "refusing", "refused": REFUSAL}),
        ("newer", {"schema": 2, "worker": "newer", "model": "mnist"}),
    ]
    producer = Producer(settings.producer_config())
    ended = threading.Event()

    def say() -> None:
        steps = 0
        while not ended.wait(0.1):
            steps += 1
            for worker, status in said:
                headers = StatusHeaders(settings.group_id, steps).sent()
                producer.produce(settings.status_topic, json.dumps(status), worker, headers=headers)
            producer.flush(60)

    speaker = threading.Thread(target=say)
    speaker.start()
    try:
        outcome = printed(run("activate", "mnist@2", "--json"))
    finally:
        ended.set()
        speaker.join()
    assert (outcome["workers"], outcome["left_out"]) == ([], ["ghost", "newer", "refusing"])


def test_a_command_ends_once_readers_see_what_it_wrote(
    run: Run, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker says that a transaction is committed a moment before that: here, half a second."""

    class Early(Producer):
        def commit_transaction(self, *args: Any) -> None:
            threading.Timer(0.5, super().commit_transaction, args).start()

    monkeypatch.setattr("flumen.streams.kafka.errors.Producer", Early)
    done(run("activate", "mnist@2"))
    assert (revision(run), repository.alias("mnist", CHAMPION)) == (2, 2)
    done(run("shadow", "mnist@3"))
    assert revision(run) == 3


def test_signed_workers_obey_who_has_the_key(
    run: Run,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    wait_until: Callable[..., Any],
) -> None:
    ours, other = new_key_pair(), new_key_pair()
    (tmp_path / "ours.key").write_bytes(ours.private)
    (tmp_path / "other.key").write_bytes(other.private)
    start("w1", control_public_keys=[ours.public])

    unsigned = run("activate", "mnist@2", "--timeout", "20")
    assert isinstance(unsigned.exception, WorkerRefused), unsigned.output
    assert "w1: RecordForged: the record is not signed" in str(unsigned.exception)
    wait_until(lambda: revision(run) == 2, "what is taken back")
    assert models(run) == {"w1": "mnist@1"}

    monkeypatch.setenv("FLUMEN_CONTROL_PUBLIC_KEYS", json.dumps([ours.public]))
    for key in (None, "other.key", "nothing.key"):
        if key:
            monkeypatch.setenv("FLUMEN_CONTROL_PRIVATE_KEY_FILE", key)
        assert isinstance(run("activate", "mnist@2").exception, BadKey)
    assert fleet(run)["desired"] is None, "what nobody signed is no state"
    assert [one["signed"] for one in printed(run("history", "--json"))] == [False, False]

    monkeypatch.setenv("FLUMEN_CONTROL_PRIVATE_KEY_FILE", "ours.key")
    done(run("activate", "mnist@2"))
    done(run("activate", "mnist@3"))
    done(run("rollback"))
    assert models(run) == {"w1": "mnist@2"}
    assert [one["signed"] for one in printed(run("history", "--json"))] == [True] * 6 + [False] * 2
    assert "(not signed)" in done(run("history"))
