"""`flumen models activate`, `shadow`, `rollback`, `status` and `history`, against a fleet of real workers."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, Producer
from swap_fleet import Run, done, fleet, models, printed, revision
from swap_models import register, softmax_model
from swap_scene import Scene
from typer.testing import CliRunner
from worker_statuses import worker_status

from flumen.cli.background import environment_of
from flumen.cli.main import app
from flumen.models.errors import ModelCorrupt
from flumen.models.repository import CHAMPION, MODEL_FILE, Repository
from flumen.streams.control.keys import new_key_pair
from flumen.streams.control.operator.writer import read_newest
from flumen.streams.control.records import DesiredState, Refused, WorkerStatus, now, to_json
from flumen.streams.control.status_headers import StatusHeaders
from flumen.streams.errors import (
    BadKey,
    NothingBefore,
    RolloutTimedOut,
    ScoresWorse,
    WorkerRefused,
    WorkerSilent,
)
from flumen.streams.kafka.topics import ensure_topics
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
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)
    ensure_topics(settings)
    return lambda *arguments: CliRunner().invoke(app, ["models", *map(str, arguments)])


@pytest.fixture
def start(start_worker: Start, run: Run, wait_until: Callable[..., Any]) -> Start:
    """Start a worker of this name, and return once the fleet knows what it serves: its status may follow its log."""

    def start_one(name: str, **extra: Any) -> Any:
        worker = start_worker(worker_id=name, heartbeat_s=0.5, **extra)
        worker.wait_for_line("worker is ready")
        wait_until(lambda: models(run).get(name), f"the model of {name}", worker.check)
        return worker

    return start_one


def test_activate_and_roll_back_over_two_workers(run: Run, start: Start, repository: Repository) -> None:
    workers = [start("w1"), start("w2")]
    before = fleet(run)
    assert before["desired"] is None
    assert models(run) == {"w1": "mnist@1", "w2": "mnist@1"}

    said = done(run("activate", "mnist@2", "--reason", "better on sevens"))
    assert models(run) == {"w1": "mnist@2", "w2": "mnist@2"}
    assert repository.alias("mnist", CHAMPION) == 2
    lines = said.splitlines()
    assert "Waiting for all workers to be ready with mnist@2" in lines
    assert "w1: ready, mnist@1, revision 1, prepared mnist@2" in lines
    assert "Waiting for all workers to classify with mnist@2" in lines
    assert "w2: serving, mnist@2, revision 2" in lines
    assert lines[-1].startswith("mnist@2 classifies on 2 workers since revision 2")

    aside = done(run("activate", "shapes@1"))
    assert "shapes@1 classifies as soon as a worker starts: none runs now" in aside
    assert "follow another model's name: mnist (w1, w2)" in aside
    assert "FLUMEN_MODEL_NAME=shapes" in aside
    assert models(run) == {"w1": "mnist@2", "w2": "mnist@2"}

    again = printed(run("activate", "mnist@champion", "--json"))
    assert (again["state"]["revision"], again["workers"]) == (2, ["w1", "w2"])
    assert printed(run("activate", "mnist@3", "--json"))["state"]["champion"]["version"] == 3

    done(run("rollback", "--reason", "worse on ones"))
    assert models(run) == {"w1": "mnist@2", "w2": "mnist@2"}
    done(run("rollback", "mnist"))
    assert models(run) == {"w1": "mnist@1", "w2": "mnist@1"}
    assert repository.alias("mnist", CHAMPION) == 1
    assert isinstance(run("rollback").exception, NothingBefore)

    newest = printed(run("history", "--json"))
    assert [(one["revision"], one["command"], one["change"]) for one in newest] == [
        (8, "rollback", "champion 2 → 1"),
        (7, "rollback", "prepare 1"),
        (6, "rollback", "champion 3 → 2"),
        (5, "rollback", "prepare 2"),
        (4, "activate", "champion 2 → 3"),
        (3, "activate", "prepare 3"),
        (2, "activate", "champion 1 → 2"),
        (1, "activate", "champion 1, prepare 2"),
    ]
    assert newest[2]["reason"] == "worse on ones"
    assert "@" in newest[0]["actor"]
    table = done(run("history", "--limit", "3"))
    assert "champion 3 → 2" in table
    assert "better on sevens" not in table
    assert [worker.stop() for worker in workers] == [0, 0]
    assert fleet(run)["workers"] == {}


def test_history_tells_where_a_change_took_effect(
    run: Run, start: Start, scene: Scene, wait_until: Callable[..., Any]
) -> None:
    """Images flow to two workers, a partition each; each says from which offset on the new model answers."""
    workers = [start("w1"), start("w2")]
    stop = threading.Event()
    publisher = threading.Thread(target=scene.publish_until, args=(stop, 200))
    publisher.start()
    try:
        scene.wait_for_images(100)
        done(run("activate", "mnist@2"))

        def effects() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = printed(run("history", "--json", "--limit", 1))[0]["took_effect"]
            return found if {one["worker"] for one in found} == {"w1", "w2"} else []

        found = wait_until(effects, "both workers' first batches")
    finally:
        stop.set()
        publisher.join()
    assert {one["version"] for one in found} == {2}
    assert all(one["first_offsets"] for one in found)
    assert "w1, w2" in done(run("history")) or "w2, w1" in done(run("history"))
    scene.wait_for_images()
    assert [worker.stop() for worker in workers] == [0, 0]


def test_one_worker_that_refuses_keeps_the_fleet_as_it_is(
    run: Run,
    start: Start,
    settings: Settings,
    repository: Repository,
    tmp_path: Path,
    wait_until: Callable[..., Any],
) -> None:
    """Its copy of the repository is damaged. As a user sees it: exit code 1, and each reason."""
    copy = tmp_path / "copy"
    shutil.copytree(settings.model_repository, copy)
    damaged = copy / "mnist" / "2" / MODEL_FILE
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    start("sound")
    start("damaged", models_root=str(copy))
    ended = subprocess.run(
        [sys.executable, "-m", "flumen", "models", "activate", "mnist@2"],
        env={**os.environ, **environment_of(settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "WorkerRefused: 1 of 2 workers refused. The preparation is taken back" in ended.stderr
    assert "damaged: ModelCorrupt: the file of mnist@2 has sha256" in ended.stderr
    wait_until(lambda: revision(run) == 2, "what is taken back")
    after = fleet(run)
    assert (after["desired"]["champion"]["version"], after["desired"]["prepare"]) == (1, None)
    assert models(run) == {"sound": "mnist@1", "damaged": "mnist@1"}
    assert repository.alias("mnist", CHAMPION) == 1
    assert [one["change"] for one in printed(run("history", "--json"))] == [
        "prepare 2 taken back",
        "champion 1, prepare 2",
    ]
    done(run("activate", "mnist@3"))
    assert models(run) == {"sound": "mnist@3", "damaged": "mnist@3"}


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


def test_a_dead_worker_is_waited_for_unless_forced(run: Run, start: Start) -> None:
    start("alive")
    dead = start("dead", kafka_properties={"session.timeout.ms": "300000"})  # so long Kafka counts on it
    dead.process.kill()
    dead.process.wait()
    refused = run("activate", "mnist@2")
    assert isinstance(refused.exception, WorkerSilent)
    assert re.search("dead \\([0-9]+ s; a member of its group", str(refused.exception))
    assert "--force" in str(refused.exception)
    assert "alive" not in str(refused.exception)
    assert fleet(run)["workers"]["dead"]["state"] == "silent"
    assert fleet(run)["workers"]["alive"]["model"] == "mnist@1"

    result = printed(run("activate", "mnist@2", "--force", "--json"))
    assert (result["workers"], result["left_out"]) == (["alive"], ["dead"])
    assert models(run) == {"alive": "mnist@2"}


def test_a_worker_that_takes_too_long_keeps_the_fleet_as_it_is(
    run: Run, start: Start, wait_until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    start("quick")
    slow = start("slow")
    monkeypatch.setenv("FLUMEN_HEARTBEAT_S", "60")  # so that it is not taken for dead
    slow.process.send_signal(signal.SIGSTOP)
    result = run("activate", "mnist@2", "--timeout", "1")
    slow.process.send_signal(signal.SIGCONT)
    assert isinstance(result.exception, RolloutTimedOut), result.output
    assert re.search("not so far: (quick, )?slow. The preparation is taken back", str(result.exception))
    wait_until(lambda: {row["revision"] for row in fleet(run)["workers"].values()} == {2}, "revision 2")
    assert models(run) == {"quick": "mnist@1", "slow": "mnist@1"}
    done(run("activate", "mnist@2"))
    assert models(run) == {"quick": "mnist@2", "slow": "mnist@2"}


def test_a_challenger_and_none_again(run: Run, start: Start) -> None:
    start("w1")
    assert "mnist@2 is scored in shadow on 1 worker" in done(run("shadow", "mnist@2"))
    assert fleet(run)["workers"]["w1"]["challenger"] == "mnist@2"
    done(run("activate", "mnist@3"))
    assert fleet(run)["workers"]["w1"]["challenger"] == "mnist@2"
    done(run("activate", "mnist@2"))
    assert (fleet(run)["desired"]["challenger"], models(run)) == (None, {"w1": "mnist@2"})
    done(run("shadow", "mnist@1"))
    assert "nothing is scored in shadow of mnist" in done(run("shadow", "--off"))
    assert fleet(run)["workers"]["w1"]["challenger"] is None
    assert [one["change"] for one in printed(run("history", "--json", "--limit", 2))] == [
        "challenger 1 → none",
        "challenger none → 1",
    ]


def test_a_challenger_that_is_refused_makes_room_for_the_former_one(
    run: Run, start: Start, settings: Settings, tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(settings.model_repository, copy)
    (copy / "mnist" / "3" / MODEL_FILE).write_bytes(b"")
    start("w1", models_root=str(copy))
    done(run("shadow", "mnist@2"))
    refused = run("shadow", "mnist@3")
    assert isinstance(refused.exception, WorkerRefused), refused.output
    assert "w1: ModelEmpty" in str(refused.exception)
    wait_until(lambda: revision(run) == 3, "the former challenger")
    assert fleet(run)["desired"]["challenger"]["version"] == 2


def test_a_fleet_whose_champion_one_worker_refuses_takes_another_one(
    run: Run, start: Start, settings: Settings, tmp_path: Path
) -> None:
    """It came late, with a damaged copy of the repository, and serves the alias: the next swap mends that."""
    copy = tmp_path / "copy"
    shutil.copytree(settings.model_repository, copy)
    (copy / "mnist" / "2" / MODEL_FILE).write_bytes(b"")
    start("sound")
    done(run("activate", "mnist@2"))
    start("late", models_root=str(copy))
    assert models(run) == {"sound": "mnist@2", "late": "mnist@1"}
    assert fleet(run)["workers"]["late"]["refused"]["reason"] == "ModelEmpty"
    done(run("activate", "mnist@3"))
    assert models(run) == {"sound": "mnist@3", "late": "mnist@3"}

    done(run("shadow", "mnist@1"))
    (copy / "mnist" / "1" / MODEL_FILE).write_bytes(b"")
    start("later", models_root=str(copy))
    again = run("shadow", "mnist@1")
    assert isinstance(again.exception, WorkerRefused), again.output
    assert "later: ModelEmpty" in str(again.exception)
    assert "it stays the challenger" in str(again.exception)


def test_what_took_effect_is_the_swap_though_no_image_came_before_the_next_change(
    run: Run, start: Start, scene: Scene, wait_until: Callable[..., Any]
) -> None:
    start("w1")
    done(run("activate", "mnist@2"))
    done(run("shadow", "mnist@3"))
    scene.publish(10)
    scene.wait_for_images()

    def took_effect() -> dict[str, list[str]]:
        newest = printed(run("history", "--json"))
        found = {one["change"]: [effect["worker"] for effect in one["took_effect"]] for one in newest}
        return found if any(found.values()) else {}

    assert wait_until(took_effect, "what took effect") == {
        "challenger none → 3": [],
        "champion 1 → 2": ["w1"],
        "champion 1, prepare 2": [],
    }


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


def test_without_a_worker_the_state_waits_for_one(run: Run, start: Start) -> None:
    assert "none runs now" in done(run("activate", "mnist@2"))
    start("late")
    assert models(run) == {"late": "mnist@2"}


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
