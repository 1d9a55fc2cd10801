"""`flumen reclassify` on a real Kudu: killed at random it ends as one run does, and what is wrong is told."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live_images import COLUMNS, damaged, digits, live, store

from flumen.cli.background import environment_of
from flumen.models.experiments.claimant import Claimant
from flumen.models.repository import Repository
from flumen.replay.reclassify.memory import MemoryParts
from flumen.replay.reclassify.parts import Counts, Parts, find_job, make_job
from flumen.replay.scoring import Plan
from flumen.stores.kudu import KuduReader, KuduReclassifications, KuduSink

COUNT = 240
BROKEN = 3
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def flumen_overrides() -> dict[str, Any]:
    """Several parts a job."""
    return {"topic_partitions": 2, "kudu_partitions": 6}


@pytest.fixture
def stored(settings: Any, mnist: Path, models_root: Path) -> Any:
    """Images that mnist@1 has answered, but for some that mnist@2 has."""
    repository, files = Repository(models_root), digits(mnist, COUNT)
    first = live(files, repository.load("mnist", 1))
    second = live(files[:20], repository.load("mnist", 2), prefix="later")
    store(settings.kudu_options(), damaged(first, [BROKEN], b"no image"), second)
    return settings


def predictions(settings: Any) -> list[dict[str, Any]]:
    reader = KuduReader(settings.kudu_options())
    try:
        names = reader.schema("predictions").names
        rows = [row for batch in reader.scan("predictions", names) for row in batch.to_pylist()]
    finally:
        reader.close()
    return sorted(rows, key=lambda row: row["id"])


def without_time(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "classified_at"} for row in rows]


def test_killed_at_random_it_ends_as_one_run_does(stored: Any, ask_flumen: Run) -> None:
    command = [sys.executable, "-m", "flumen", "reclassify", "mnist@2", "--json", "--share", "0.2"]
    seconds = random.Random(7)
    for _ in range(3):
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment_of(stored)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(seconds.uniform(1.0, 2.2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    ended = ask_flumen("reclassify", "mnist@2", "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["answered"] == COUNT - 1
    assert told["answered_by_it_already"] == 20
    assert told["left_out"] == {"that cannot be decoded": 1}
    pieces = predictions(stored)
    assert len(pieces) == COUNT - 1
    assert len({row["classified_at"] for row in pieces}) == 1
    whole = ask_flumen("reclassify", "mnist@2", "--json", "--again")
    assert whole.returncode == 0, whole.stderr
    assert without_time(predictions(stored)) == without_time(pieces)
    finished = ask_flumen("reclassify", "mnist@2")
    assert finished.returncode == 0
    assert b"is done already; --again" in finished.stderr


def test_what_is_wrong_is_told(settings: Any, ask_flumen: Run) -> None:
    sink = KuduSink(settings.kudu_options(), COLUMNS)
    sink.connect()
    sink.close()
    for arguments, code, said in (
        (("mnist@77",), 1, b"there is no mnist@77"),
        (("mnist@2", "--where", "predicton < 3"), 1, b"predicton"),
        (("mnist@2", "--since", "yesterday"), 2, b"is no time"),
    ):
        ended = ask_flumen("reclassify", *arguments)
        assert (ended.returncode, said in ended.stderr) == (code, True), ended.stderr
    assert ask_flumen("reclassify", "mnist@2").returncode == 0
    assert predictions(settings) == []


@pytest.mark.parametrize("kind", ["kudu", "memory"])
def test_two_share_a_job_and_a_claim_is_taken_over(settings: Any, kind: str) -> None:
    now = [0.0]
    table = KuduReclassifications(settings.kudu_options()) if kind == "kudu" else MemoryParts()
    try:
        assert find_job(table, "work") is None
        assert not table.rows("work", ["parts"])
        job = make_job(table, "work", Plan(1_790_000_000_000_000, (b"one", b"two"), 9, {}))
        assert find_job(table, "work") == job
        # Elsewhere, so that nothing is known of the process.
        elsewhere = Claimant("elsewhere", 1, "nowhere", 2)
        one = Parts(table, job, 60.0, elsewhere, clock=lambda: now[0])
        other = Parts(table, job, 60.0, clock=lambda: now[0])
        first, second = one.claim(), other.claim()
        assert first is not None
        assert second is not None
        assert {first.token, second.token} == {b"one", b"two"}
        assert other.claim() is None
        other.finish(second, Counts(5, 4, 1, (("torn", 2),)))
        now[0] = 50.0
        one.renew(first)
        assert other.claim() is None
        now[0] = 105.0
        assert other.claim() is None
        now[0] = 115.0
        taken = other.claim()
        assert taken is not None
        assert (taken.number, taken.attempt, taken.token) == (first.number, 2, first.token)
        one.finish(first, Counts(4, 4))
        other.finish(taken, Counts(4, 4))
        assert one.progress().done == 2
        assert one.progress().counts == Counts(9, 8, 1, (("torn", 2),))
        assert one.claim() is None
    finally:
        table.close()
