"""`flumen reclassify --apply` on real servers: killed, shared, beside a worker that gets the same images again."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from live_images import COLUMNS, damaged, digits, live

from flumen.cli.background import environment_of
from flumen.cli.commands import Commands
from flumen.interceptor import Batch
from flumen.interceptor.batch import plain
from flumen.models.repository import Repository
from flumen.replay.audit import Audit
from flumen.stores.corrections import DELETE, Correction
from flumen.stores.kudu import KuduCorrections, KuduReader, KuduSink
from flumen.stores.kudu.writing import answer_columns
from flumen.stores.results import ANSWER
from flumen.stores.solr import SolrReader, SolrSink
from flumen.stores.solr.documents import SolrDocuments
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

COUNT = 240
BROKEN = 3
CHANGED = (*ANSWER, "probabilities", "image_as_pgm", "view_chunks")
main = Commands(name="flumen")


class Scene:
    """Images that mnist@1 has answered, in both stores, and the command."""

    def __init__(
        self, settings: Settings, root: Path, mnist: Path, capture: pytest.CaptureFixture[str]
    ) -> None:
        self.settings, self._capture = settings, capture
        self.repository, self.files = Repository(root), digits(mnist, COUNT)
        self.kudu = KuduReader(settings.kudu_options())
        self.delivered = damaged(self.answered(1), [BROKEN], b"no image")
        self.store(self.delivered)

    def answered(self, version: int) -> Batch:
        return live(self.files, self.repository.load("mnist", version))

    def store(self, batch: Batch) -> None:
        for sink in (
            KuduSink(self.settings.kudu_options(), COLUMNS),
            SolrSink(self.settings.solr_options(), COLUMNS),
        ):
            with closing(sink):
                sink.connect()
                assert not sink.write(batch)

    def rows(self) -> dict[str, dict[str, Any]]:
        names = self.kudu.schema("images").names
        return {row["id"]: row for rows in self.kudu.scan("images", names) for row in rows.to_pylist()}

    def predictions(self, version: int) -> set[str]:
        scan = self.kudu.scan("predictions", ["id", "model_version"])
        return {row["id"] for rows in scan for row in rows.to_pylist() if row["model_version"] == version}

    def flumen(self, *arguments: str) -> Any:
        main([*arguments, "--json"], standalone_mode=False)
        return json.loads(self._capture.readouterr().out)

    def begin(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "flumen", *arguments],
            env={**os.environ, **environment_of(self.settings)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def differences(self) -> int:
        with (
            closing(KuduReader(self.settings.kudu_options())) as tables,
            closing(SolrDocuments(self.settings.solr_options(), COLUMNS)) as documents,
        ):
            documents.connect()
            return Audit(tables, documents, COLUMNS, grace_s=0.0).run().left

    def expected(self, before: dict[str, dict[str, Any]], version: int) -> dict[str, dict[str, Any]]:
        """What rows are once that version's answers stand in them, but for the time."""
        columns = {name: plain(values) for name, values in answer_columns(self.answered(version)).items()}
        columns["control_revision"], columns["view_chunks"] = [0] * COUNT, [0] * COUNT
        return {
            image_id: before[image_id] | {name: columns[name][row] for name in CHANGED}
            for row, image_id in enumerate(columns["id"])
        }


def timeless(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each: row | {"classified_at": None} for each, row in rows.items()}


@pytest.fixture
def root(models_root: Path, tmp_path: Path) -> Path:
    """The shipped models, and a copy of mnist@1 as mnist@3."""
    shutil.copytree(models_root, tmp_path / "models")
    repository = Repository(tmp_path / "models")
    content = (tmp_path / "models" / "mnist" / "1" / "model.onnx").read_bytes()
    assert repository.register(content, repository.manifest("mnist", 1)) == 3
    return tmp_path / "models"


@pytest.fixture
def flumen_overrides(root: Path) -> dict[str, Any]:
    """Several parts a job."""
    return {"topic_partitions": 2, "kudu_partitions": 6, "models_root": str(root)}


@pytest.fixture
def scene(
    settings: Settings,
    root: Path,
    mnist: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Scene]:
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    scene = Scene(settings, root, mnist, capsys)
    yield scene
    scene.kudu.close()


def test_killed_at_random_and_shared_it_ends_as_one_run_does(
    scene: Scene, wait_until: Callable[..., Any]
) -> None:
    before = scene.rows()
    wanted = scene.expected(before, 2)
    wanted["digit-0003"] = before["digit-0003"]
    command = ("reclassify", "mnist@2", "--apply", "--share", "0.3")
    chance = random.Random(8)
    changed: list[int] = []

    def has_gone_on() -> bool:
        done = sum(row["model_version"] == 2 for row in scene.rows().values())
        return done > (changed[-1] if changed else 0) or all(each.poll() is not None for each in processes)

    for sharing in (2, 1, 1):
        processes = [scene.begin(*command) for _ in range(sharing)]
        try:
            wait_until(has_gone_on, "a part to be done")
            time.sleep(chance.uniform(0.0, 0.3))
        finally:
            for process in processes:
                process.send_signal(signal.SIGKILL)
                process.wait()
        changed.append(sum(row["model_version"] == 2 for row in scene.rows().values()))
    assert changed[0] < COUNT - 1
    told = scene.flumen("reclassify", "mnist@2", "--apply")
    assert (told["written_into"], told["answered"]) == ("images", COUNT - 1)
    assert told["left_out"] == {"that cannot be decoded": 1}
    assert told["not_shown"] == {}
    found = scene.rows()
    assert timeless(found) == timeless(wanted)
    assert len({row["classified_at"] for row in found.values()}) == 2
    assert scene.predictions(1) == found.keys() - {"digit-0003"}
    assert scene.predictions(2) == set()
    assert scene.differences() == 0
    # Once more, there is nothing to ask; with --all, there is, and it says the same.
    again = scene.flumen("reclassify", "mnist@2", "--apply", "--again")
    assert (again["answered"], again["answered_by_it_already"]) == (0, COUNT - 1)
    assert scene.flumen("reclassify", "mnist@2", "--apply", "--all")["answered"] == COUNT - 1
    assert timeless(scene.rows()) == timeless(wanted)
    assert scene.differences() == 0


def test_some_are_changed_and_corrections_stay(scene: Scene) -> None:
    chosen = "prediction < 4 and id < 'digit-0200'"
    before = scene.rows()
    wanted = {each: row for each, row in before.items() if row["prediction"] < 4 and each < "digit-0200"}
    labelled, deleted, unindexed = sorted(wanted.keys() - {"digit-0003"})[:3]
    scene.flumen("label", labelled, "9")
    with closing(KuduCorrections(scene.settings.kudu_options())) as log:
        log.connect()
        # Written down, and not done yet: it holds already.
        log.append([Correction(deleted, DELETE, "somebody", 1)])
    with closing(SolrSink(scene.settings.solr_options(), COLUMNS)) as sink:
        sink.connect()
        sink.remove(scene.delivered.take([int(unindexed.removeprefix("digit-"))]))
    plan = scene.flumen("reclassify", "mnist@2", "--apply", "--where", chosen, "--dry-run")
    assert plan == {
        "images": len(wanted),
        "answers": [{"model": "mnist", "model_version": 1, "images": len(wanted)}],
    }
    assert timeless(scene.rows())[deleted] == timeless(before)[deleted]
    told = scene.flumen("reclassify", "mnist@2", "--apply", "--where", chosen, "--reason", "it is better")
    (job,) = scene.flumen(
        "sql", "select model, written_into, choice, actor, reason from reclassifications where part = -1"
    )
    assert "@" in job.pop("actor")
    assert list(job.values()) == ["mnist", "images", chosen, "it is better"]
    assert told["not_shown"] == {"Solr has no document of": 1}
    assert told["left_out"]["that were deleted"] == 1
    found, new = scene.rows(), scene.expected(before, 2)
    for image_id, row in found.items():
        is_changed = image_id in wanted and image_id not in (deleted, "digit-0003")
        same = (new if is_changed else before)[image_id] | {"classified_at": row["classified_at"]}
        assert row == same | ({"knownlabel": 9} if image_id == labelled else {})
    with closing(SolrReader(scene.settings.solr_options())) as reader:
        shown = reader.get(labelled) or {}
        assert (shown["model_version"], shown["knownlabel"]) == (2, 9)
        assert shown["correct"] == (shown["prediction"] == 9)
        assert reader.get(unindexed) is None
    assert scene.flumen("audit", "--fix", "--grace", "0")["left"] == 0
    assert scene.differences() == 0


def test_beside_a_worker_that_gets_the_same_images_again(
    scene: Scene,
    start_worker: Callable[..., Any],
    observer: Any,
    wait_until_acknowledged: Callable[..., None],
) -> None:
    """Four jobs, one after another, while a worker, with mnist@2, stores the same images again and again."""
    settings = scene.settings
    ensure_topics(settings)
    worker = start_worker(max_batch_size=50, max_batch_time_ms=5)
    sent, ended = [0], threading.Event()

    def go_on() -> None:
        chance = random.Random(4)
        while not ended.wait(0.3):  # so that the worker keeps up on a busy machine
            rows = chance.sample(range(COUNT), 30)
            images = [
                SourceImage(f"digit-{row:04}", scene.files[row], "", "", "", None, datetime.now(UTC))
                for row in rows
            ]
            publish(images, settings.producer_config(), settings.images_topic, None, lambda _: None)
            sent[0] += len(rows)

    worker.wait_for_line("partitions assigned")
    sending = threading.Thread(target=go_on)
    sending.start()
    try:
        told = [
            scene.flumen("reclassify", f"mnist@{version}", "--apply", "--again") for version in (3, 2, 3, 3)
        ]
    finally:
        ended.set()
        sending.join()
    wait_until_acknowledged(sent[0], worker)
    worker.stop()
    assert sum(each["answered"] for each in told) > 0
    assert sum(each["left_out"].get("that got a newer answer meanwhile", 0) for each in told) > 0
    last = {
        (message.key or b"").decode(): (message.partition, message.offset)
        for message in observer.read(settings.images_topic)
    }
    of_version = {version: scene.expected(scene.rows(), version) for version in (1, 2)}
    found = scene.rows()
    assert len(found) == COUNT
    applied = 0
    for image_id, row in found.items():
        if image_id in last:
            assert (row["kafka_partition"], row["kafka_offset"]) == last[image_id]
        version = row["model_version"]
        if row["control_revision"] == 0 and row["classified_at"] != row["ingested_at"]:
            applied += 1
            # Nothing that arrived behind the moment of a job has its answer.
            assert row["ingested_at"] < row["classified_at"]
        else:
            assert version == (2 if image_id in last else 1)
        wanted = of_version[{1: 1, 2: 2, 3: 1}[version]][image_id]
        names = ("prediction", "label", "confidence", "probabilities", "image_as_pgm", "view_chunks")
        if image_id != "digit-0003":
            assert [row[name] for name in names] == [wanted[name] for name in names]
    assert applied > 0
    assert scene.differences() == 0
