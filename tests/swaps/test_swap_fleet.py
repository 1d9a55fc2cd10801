"""`flumen models activate`, `shadow`, `rollback`, `status` and `history`, on a fleet of two real workers."""

import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from in_process import call_flumen
from swap_fleet import Run, commands, done, fleet, models, printed, revision
from swap_models import register
from swap_scene import Scene
from worker_statuses import worker_status

from flumen.cli.testing import WorkerProcess
from flumen.models.repository import CHAMPION, MODEL_FILE, Repository
from flumen.streams.control.records import now, to_json
from flumen.streams.control.status_headers import StatusHeaders
from flumen.streams.errors import NothingBefore, RolloutTimedOut, WorkerRefused, WorkerSilent
from flumen.streams.kafka.brokers import group_config
from flumen.streams.kafka.group_members import Unknown, group_members
from flumen.streams.settings import Settings

Copied = Callable[..., int]

SEEDS = count(2)


@pytest.fixture
def settings(shared_settings: Settings) -> Settings:
    """A worker is silent after ten seconds, twenty of its heartbeats: one that lives on a busy machine is not."""
    return shared_settings.model_copy(update={"heartbeat_s": 2.0})


@pytest.fixture(scope="module")
def repository(shared_settings: Settings) -> Repository:
    """Three versions of `mnist`, the first one the champion, to which tests add others."""
    repository = Repository(shared_settings.model_repository)
    for _ in range(2):
        register(repository, next(SEEDS))
    return repository


@pytest.fixture(scope="module")
def copy_of_w2(shared_settings: Settings, repository: Repository) -> Path:
    """The repository of the second worker."""
    return Path(shutil.copytree(repository.url, shared_settings.home / "copy"))


@pytest.fixture(scope="module")
def workers(shared_scene: Scene, copy_of_w2: Path) -> Sequence[WorkerProcess]:
    """`w1`, and `w2` with a repository of its own: the fleet of all tests of this file."""
    both = [
        shared_scene.begin(worker_id="w1", heartbeat_s=0.5),
        shared_scene.begin(worker_id="w2", heartbeat_s=0.5, models_root=str(copy_of_w2)),
    ]
    for worker in both:
        worker.wait_for_line("worker is ready")
    served = shared_scene.shipped
    shared_scene.wait_for_statuses(2, lambda status: status.champion == served, "two workers that serve")
    return both


@pytest.fixture
def copied(repository: Repository, copy_of_w2: Path) -> Copied:
    """Make a new version, in the repository of `w2` as well: with other content there, if a change is given."""

    def make(change: Callable[[bytes], bytes] = lambda content: content) -> int:
        version = register(repository, next(SEEDS)).version
        folder = Path(
            shutil.copytree(f"{repository.url}/mnist/{version}", copy_of_w2 / "mnist" / str(version))
        )
        file = folder / MODEL_FILE
        file.write_bytes(change(file.read_bytes()))
        return version

    return make


@pytest.fixture
def run(
    settings: Settings,
    workers: Sequence[WorkerProcess],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Run]:
    """Run `flumen models` with these arguments, on the fleet."""
    yield commands(settings, monkeypatch, tmp_path)
    for worker in workers:
        worker.check()


@pytest.fixture
def base(run: Run) -> int:
    """The revision at which the fleet serves mnist@1, and nothing in shadow: whatever a test before has left."""
    done(run("shadow", "--off"))
    done(run("activate", "mnist@1"))
    assert models(run) == {"w1": "mnist@1", "w2": "mnist@1"}
    return revision(run)


def test_activate_and_roll_back_over_two_workers(run: Run, repository: Repository) -> None:
    """It comes first: nobody has changed anything so far."""
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


def test_history_tells_where_a_change_took_effect(
    run: Run, shared_scene: Scene, base: int, wait_until: Callable[..., Any]
) -> None:
    """Images flow to two workers, a partition each; each says from which offset on the new model answers."""
    stop = threading.Event()
    publisher = threading.Thread(target=shared_scene.publish_until, args=(stop, 200))
    publisher.start()
    try:
        shared_scene.wait_for_images(shared_scene.acknowledged() + 100)
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
    shared_scene.wait_for_images()


def test_one_worker_that_refuses_keeps_the_fleet_as_it_is(
    run: Run, repository: Repository, copied: Copied, base: int, wait_until: Callable[..., Any]
) -> None:
    """The file in its repository is damaged. As a user sees it: exit code 1, and each reason."""
    bad = copied(lambda content: content[:-1] + b"?")
    ended = call_flumen({}, "models", "activate", f"mnist@{bad}")
    assert ended.returncode == 1
    assert "WorkerRefused: 1 of 2 workers refused. The preparation is taken back" in ended.stderr
    assert f"w2: ModelCorrupt: the file of mnist@{bad} has sha256" in ended.stderr
    wait_until(lambda: revision(run) == base + 2, "what is taken back")
    after = fleet(run)
    assert (after["desired"]["champion"]["version"], after["desired"]["prepare"]) == (1, None)
    assert models(run) == {"w1": "mnist@1", "w2": "mnist@1"}
    assert repository.alias("mnist", CHAMPION) == 1
    assert [one["change"] for one in printed(run("history", "--json", "--limit", 2))] == [
        f"prepare {bad} taken back",
        f"prepare {bad}",
    ]
    done(run("activate", "mnist@3"))
    assert models(run) == {"w1": "mnist@3", "w2": "mnist@3"}


def test_a_dead_worker_is_waited_for_unless_forced(
    run: Run, settings: Settings, base: int, wait_until: Callable[..., Any]
) -> None:
    """What it leaves is its last status, a minute old, and its place in the group, which Kafka keeps for a while."""
    producer = Producer(settings.producer_config())
    status = to_json(worker_status(worker="dead", at=now(), started_at=now()))
    headers = StatusHeaders(settings.group_id, 1).sent()
    producer.produce(
        settings.status_topic, status, "dead", headers=headers, timestamp=int(time.time() - 60) * 1000
    )
    assert producer.flush(60) == 0
    config = settings.kafka_options().member_config("dead")
    member = Consumer({**group_config(config), **config})
    member.subscribe([settings.images_topic])

    def is_member() -> bool:
        member.poll(0.1)
        (names,) = group_members(settings.admin_config(), [settings.group_id]).values()
        return not isinstance(names, Unknown) and any("dead" in one for one in names)

    wait_until(is_member, "a member of the group")
    try:
        refused = run("activate", "mnist@2")
        assert isinstance(refused.exception, WorkerSilent), refused.output
        assert re.search("dead \\([0-9]+ s; a member of its group", str(refused.exception))
        assert "--force" in str(refused.exception)
        assert "w1" not in str(refused.exception)
        assert fleet(run)["workers"]["dead"]["state"] == "silent"
        assert fleet(run)["workers"]["w1"]["model"] == "mnist@1"

        result = printed(run("activate", "mnist@2", "--force", "--json"))
        assert (result["workers"], result["left_out"]) == (["w1", "w2"], ["dead"])
        assert models(run) == {"w1": "mnist@2", "w2": "mnist@2"}
    finally:
        member.close()


def test_a_worker_that_takes_too_long_keeps_the_fleet_as_it_is(
    run: Run,
    workers: Sequence[WorkerProcess],
    base: int,
    wait_until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, slow = workers
    monkeypatch.setenv("FLUMEN_HEARTBEAT_S", "60")  # so that it is not taken for dead
    slow.process.send_signal(signal.SIGSTOP)
    try:
        result = run("activate", "mnist@2", "--timeout", "1")
    finally:
        slow.process.send_signal(signal.SIGCONT)
    assert isinstance(result.exception, RolloutTimedOut), result.output
    assert re.search("not so far: (w1, )?w2. The preparation is taken back", str(result.exception))
    wait_until(
        lambda: {row["revision"] for row in fleet(run)["workers"].values()} == {base + 2},
        "what is taken back",
    )
    assert models(run) == {"w1": "mnist@1", "w2": "mnist@1"}
    done(run("activate", "mnist@2"))
    assert models(run) == {"w1": "mnist@2", "w2": "mnist@2"}


def test_a_challenger_and_none_again(run: Run, base: int) -> None:
    assert "mnist@2 is scored in shadow on 2 workers" in done(run("shadow", "mnist@2"))
    assert fleet(run)["workers"]["w1"]["challenger"] == "mnist@2"
    done(run("activate", "mnist@3"))
    assert fleet(run)["workers"]["w1"]["challenger"] == "mnist@2"
    done(run("activate", "mnist@2"))
    assert (fleet(run)["desired"]["challenger"], models(run)) == (None, {"w1": "mnist@2", "w2": "mnist@2"})
    done(run("shadow", "mnist@1"))
    assert "nothing is scored in shadow of mnist" in done(run("shadow", "--off"))
    assert fleet(run)["workers"]["w1"]["challenger"] is None
    assert [one["change"] for one in printed(run("history", "--json", "--limit", 2))] == [
        "challenger 1 → none",
        "challenger none → 1",
    ]


def test_a_challenger_that_is_refused_makes_room_for_the_former_one(
    run: Run, copied: Copied, base: int, wait_until: Callable[..., Any]
) -> None:
    bad = copied(lambda _: b"")
    done(run("shadow", "mnist@2"))
    refused = run("shadow", f"mnist@{bad}")
    assert isinstance(refused.exception, WorkerRefused), refused.output
    assert "w2: ModelEmpty" in str(refused.exception)
    wait_until(lambda: revision(run) == base + 3, "the former challenger")
    assert fleet(run)["desired"]["challenger"]["version"] == 2


def test_a_fleet_whose_champion_one_worker_refuses_takes_another_one(
    run: Run,
    copied: Copied,
    base: int,
    shared_scene: Scene,
    tmp_path: Path,
    wait_until: Callable[..., Any],
) -> None:
    """It came late, with a damaged copy of the repository, and serves the alias: the next swap mends that."""
    champion, challenger = copied(), copied()
    copy = shutil.copytree(shared_scene.settings.model_repository, tmp_path / "copy")
    for version in (champion, challenger):
        (copy / "mnist" / str(version) / MODEL_FILE).write_bytes(b"")
    done(run("activate", f"mnist@{champion}"))
    done(run("shadow", f"mnist@{challenger}"))
    late = shared_scene.start(worker_id="late", heartbeat_s=0.5, models_root=str(copy))
    wait_until(lambda: models(run).get("late"), "the model of the late one", late.check)
    sound = f"mnist@{champion}"
    assert models(run) == {"w1": sound, "w2": sound, "late": "mnist@1"}
    assert fleet(run)["workers"]["late"]["refused"]["reason"] == "ModelEmpty"
    done(run("activate", "mnist@3"))
    assert models(run) == {"w1": "mnist@3", "w2": "mnist@3", "late": "mnist@3"}

    again = run("shadow", f"mnist@{challenger}")
    assert isinstance(again.exception, WorkerRefused), again.output
    assert "late: ModelEmpty" in str(again.exception)
    assert "it stays the challenger" in str(again.exception)
    assert late.stop() == 0
    assert set(models(run)) == {"w1", "w2"}


def test_what_took_effect_is_the_swap_though_no_image_came_before_the_next_change(
    run: Run, shared_scene: Scene, base: int, wait_until: Callable[..., Any]
) -> None:
    """Also where images met the same version last, before another one that none has met."""
    done(run("activate", "mnist@2"))
    shared_scene.publish(20)
    shared_scene.wait_for_images()
    done(run("activate", "mnist@1"))
    done(run("activate", "mnist@2"))
    done(run("shadow", "mnist@3"))
    shared_scene.publish(20)
    shared_scene.wait_for_images()

    def took_effect() -> dict[str, bool]:
        newest = printed(run("history", "--json", "--limit", 3))
        found = {one["change"]: bool(one["took_effect"]) for one in newest}
        return found if any(found.values()) else {}

    assert wait_until(took_effect, "what took effect") == {
        "challenger none → 3": False,
        "champion 1 → 2": True,
        "prepare 2": False,
    }
