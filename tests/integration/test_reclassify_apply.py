"""`flumen reclassify` on real servers: from a first job to corrections, killed, shared, beside a worker."""

import json
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from forked_commands import begin
from live_images import COLUMNS, damaged, digits, giving_embeddings, live
from typer.testing import CliRunner, Result

from flumen.cli import main
from flumen.cli.background import environment_of
from flumen.interceptor import Batch
from flumen.interceptor.batch import plain
from flumen.models.repository import MODEL_FILE, Repository
from flumen.replay.audit import Audit, Pace
from flumen.stores.corrections import DELETE, Correction
from flumen.stores.kudu import KuduCorrections, KuduReader, KuduSink
from flumen.stores.kudu.writing import answer_columns
from flumen.stores.results import ANSWER, VIEW
from flumen.stores.solr import SolrReader, SolrSink
from flumen.stores.solr.documents import SolrDocuments
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

COUNT = 120
BROKEN = 3
"""An image that is none any more."""
COMING_AGAIN = 80
"""So many are published once more; the others stay as they are."""
PARTS = 4
WRITES_A_PART = 5
"""A claim, former answers, new ones, documents, and that it is done."""

Rows = dict[str, dict[str, Any]]


class Scene:
    """Images that mnist@1 has answered, in both stores, and the command."""

    def __init__(self, settings: Settings, root: Path, mnist: Path) -> None:
        self.settings = settings
        self.repository, self.files = Repository(root), digits(mnist, COUNT)
        self.kudu = KuduReader(settings.kudu_options())
        self.delivered = damaged(self.answered(1), [BROKEN], b"no image")
        for sink in (
            KuduSink(settings.kudu_options(), COLUMNS),
            SolrSink(settings.solr_options(), COLUMNS),
        ):
            with closing(sink):
                sink.connect()
                assert not sink.write(self.delivered)

    def answered(self, version: int) -> Batch:
        return live(self.files, self.repository.load("mnist", version))

    def rows(self) -> Rows:
        names = self.kudu.schema("images").names
        return {row["id"]: row for rows in self.kudu.scan("images", names) for row in rows.to_pylist()}

    def predictions(self, version: int) -> Rows:
        scan = self.kudu.scan("predictions", self.kudu.schema("predictions").names)
        found = (row for rows in scan for row in rows.to_pylist())
        return {row["id"]: row for row in found if row["model_version"] == version}

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main.app, arguments)

    def told(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.exit_code == 0, done.exception or done.output
        return json.loads(done.stdout)

    def differences(self) -> int:
        """How many documents are not what their rows would make, or have none."""
        with (
            closing(KuduReader(self.settings.kudu_options())) as tables,
            closing(SolrDocuments(self.settings.solr_options(), COLUMNS)) as documents,
        ):
            documents.connect()
            return Audit(tables, documents, COLUMNS, pace=Pace(grace_s=0.0)).run().left

    def answers(self, version: int) -> Rows:
        """What a version answers on the live path, by id: the columns that change, but for the time."""
        columns = {name: plain(values) for name, values in answer_columns(self.answered(version)).items()}
        columns["control_revision"], columns["view_chunks"] = [0] * COUNT, [0] * COUNT
        columns.setdefault("embedding", [None] * COUNT)
        names = [name for name in (*ANSWER, *VIEW) if name != "classified_at"]
        return {
            image_id: {name: columns[name][row] for name in names}
            for row, image_id in enumerate(columns["id"])
        }


def timeless(rows: Rows) -> Rows:
    return {
        each: {name: value for name, value in row.items() if name != "classified_at"}
        for each, row in rows.items()
    }


@pytest.fixture(scope="module")
def root(models_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped models, and mnist@2 as mnist@3, which gives its embedding as well."""
    folder = tmp_path_factory.mktemp("reclassify") / "models"
    shutil.copytree(models_root, folder)
    repository = Repository(folder)
    content = (folder / "mnist" / "2" / MODEL_FILE).read_bytes()
    assert repository.register(*giving_embeddings(content, repository.manifest("mnist", 2))) == 3
    return folder


@pytest.fixture
def flumen_overrides(root: Path) -> dict[str, Any]:
    """Several parts a job."""
    return {"topic_partitions": 2, "kudu_partitions": PARTS, "models_root": str(root)}


@pytest.fixture
def scene(settings: Settings, root: Path, mnist: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    scene = Scene(settings, root, mnist)
    yield scene
    scene.kudu.close()


def test_from_a_first_job_to_corrections(scene: Scene) -> None:
    wrong_orders_are_refused(scene)
    answers_go_into_predictions(scene)
    killed_and_shared_it_ends_as_one_run_does(scene)
    some_are_changed_and_corrections_stay(scene)


def wrong_orders_are_refused(scene: Scene) -> None:
    for arguments, code, said in (
        (("mnist@77",), 1, "there is no mnist@77"),
        (("mnist@2", "--where", "predicton < 3"), 1, "predicton"),
        (("mnist@2", "--since", "yesterday"), 2, "is no time"),
        (("mnist@2", "--reason", "x" * 1001), 2, "at most 1,000 characters"),
    ):
        ended = scene.run("reclassify", *arguments)
        assert (ended.exit_code, said in f"{ended.exception} {ended.stderr}") == (code, True), ended.output
    assert scene.run("reclassify", "mnist@2", "--where", "prediction > 99").exit_code == 0
    assert scene.predictions(2) == {}


def answers_go_into_predictions(scene: Scene) -> None:
    before, new = scene.rows(), scene.answers(2)
    told = scene.told("reclassify", "mnist@2")
    assert (told["written_into"], told["answered"]) == ("predictions", COUNT - 1)
    assert told["left_out"] == {"that cannot be decoded": 1}
    found = scene.predictions(2)
    assert found.keys() == new.keys() - {"digit-0003"}
    for image_id, row in found.items():
        assert timeless({image_id: row}) == {
            image_id: {"id": image_id}
            | {name: new[image_id][name] for name in row.keys() & new[image_id].keys()}
        }
    assert len({row["classified_at"] for row in found.values()}) == 1
    assert scene.rows() == before
    again = scene.told("reclassify", "mnist@2", "--again")
    assert (again["answered"], again["answered_by_it_already"]) == (0, COUNT - 1)
    assert "is done already; --again" in scene.run("reclassify", "mnist@2").stderr


def killed_and_shared_it_ends_as_one_run_does(scene: Scene) -> None:
    before, new = scene.rows(), scene.answers(3)
    wanted = {each: row | new[each] for each, row in before.items()}
    wanted["digit-0003"] = before["digit-0003"]
    assert wanted["digit-0000"]["embedding"]
    order = ("reclassify", "mnist@3", "--apply", "--where", "id != 'digit-0003'")
    chance, making = random.Random(7), PARTS + 1
    for sharing in (2, 2, 1):
        dying = [chance.randint(1, 2 * WRITES_A_PART + 2) / 2 + making for _ in range(sharing)]
        processes = [begin(environment_of(scene.settings), at, *order) for at in dying]
        making = 0
        for process in processes:
            process.join()
            assert process.exitcode == -signal.SIGKILL
    found = scene.rows()
    assert 0 < sum(row["model_version"] == 3 for row in found.values()) < COUNT - 1
    told = scene.told(*order)
    assert (told["written_into"], told["answered"]) == ("images", COUNT - 1)
    assert told["left_out"] == told["not_shown"] == {}
    found = scene.rows()
    assert timeless(found) == timeless(wanted)
    assert len({row["classified_at"] for row in found.values()}) == 2
    assert scene.predictions(1).keys() == found.keys() - {"digit-0003"}
    assert scene.predictions(3) == {}
    assert scene.differences() == 0
    # Once more, there is nothing to ask; with --all, there is, and it says the same.
    again = scene.told(*order, "--again")
    assert (again["answered"], again["answered_by_it_already"]) == (0, COUNT - 1)
    assert scene.told(*order, "--all")["answered"] == COUNT - 1
    assert timeless(scene.rows()) == timeless(wanted)


def some_are_changed_and_corrections_stay(scene: Scene) -> None:
    """By a model that names no embedding: none stays, neither in the rows nor in the index."""
    chosen = "prediction < 4 and id < 'digit-0100'"
    before, new = scene.rows(), scene.answers(2)
    wanted = [each for each, row in before.items() if row["prediction"] < 4 and each < "digit-0100"]
    labelled, deleted, unindexed = sorted(set(wanted) - {"digit-0003"})[:3]
    scene.told("label", labelled, "9")
    with closing(KuduCorrections(scene.settings.kudu_options())) as log:
        log.connect()
        # Written down, and not done yet: it holds already.
        log.append([Correction(deleted, DELETE, "somebody", 1)])
    with closing(SolrSink(scene.settings.solr_options(), COLUMNS)) as sink:
        sink.connect()
        sink.remove(scene.delivered.take([int(unindexed.removeprefix("digit-"))]))
    order = ("reclassify", "mnist@2", "--apply", "--where", chosen)
    plan = scene.told(*order, "--dry-run")
    answered_by = [{"model": "mnist", "model_version": 3, "images": len(set(wanted) - {"digit-0003"})}]
    answered_by += [{"model": "mnist", "model_version": 1, "images": 1}] * ("digit-0003" in wanted)
    assert plan == {"images": len(wanted), "answers": answered_by[::-1]}
    told = scene.told(*order, "--reason", "it is better")
    (job,) = scene.told(
        "sql",
        "select model, written_into, choice, actor, reason from reclassifications where part = -1 and reason <> ''",
    )
    assert "@" in job.pop("actor")
    assert list(job.values()) == ["mnist", "images", chosen, "it is better"]
    assert told["not_shown"] == {"Solr has no document of": 1}
    assert told["left_out"]["that were deleted"] == 1
    assert deleted not in scene.predictions(1).keys() | scene.predictions(2).keys()
    found = scene.rows()
    for image_id, row in found.items():
        is_changed = image_id in wanted and image_id not in (deleted, "digit-0003")
        same = before[image_id] | (new[image_id] if is_changed else {})
        expected = same | ({"knownlabel": 9} if image_id == labelled else {})
        assert timeless({image_id: row}) == timeless({image_id: expected})
        assert (row["embedding"] is None) == (is_changed or image_id == "digit-0003")
    with closing(SolrReader(scene.settings.solr_options())) as reader:
        shown = reader.get(labelled) or {}
        assert (shown["model_version"], shown["knownlabel"]) == (2, 9)
        assert shown["correct"] == (shown["prediction"] == 9)
        assert reader.get(unindexed) is None
    assert scene.told("audit", "--fix", "--grace", "0")["left"] == 0
    assert scene.differences() == 0


def test_beside_a_worker_that_gets_the_same_images_again(
    scene: Scene,
    start_worker: Callable[..., Any],
    observer: Any,
    wait_until_acknowledged: Callable[..., None],
) -> None:
    """Jobs, one after another, while a worker, with mnist@2, stores the same images again and again."""
    settings = scene.settings
    ensure_topics(settings)
    worker = start_worker(max_batch_size=20, max_batch_time_ms=5)
    sent, ended = [0], threading.Event()

    def go_on() -> None:
        chance = random.Random(4)
        while not ended.wait(0.1):
            # No more than the worker keeps up with, however busy the machine is.
            if sent[0] - observer.progress(settings.images_topic).acknowledged > 40:
                continue
            rows = chance.sample(range(COMING_AGAIN), 20)
            images = [
                SourceImage(f"digit-{row:04}", scene.files[row], "", "", "", None, datetime.now(UTC))
                for row in rows
            ]
            report = publish(images, settings.producer_config(), settings.images_topic, None, lambda _: None)
            sent[0] += report.sent

    worker.wait_for_line("partitions assigned")
    sending = threading.Thread(target=go_on)
    sending.start()
    try:
        told = [scene.told("reclassify", f"mnist@{version}", "--apply", "--again") for version in (3, 1, 3)]
    finally:
        ended.set()
        sending.join()
    wait_until_acknowledged(sent[0], worker)
    worker.stop()
    assert min(each["answered"] for each in told) >= COUNT - COMING_AGAIN
    last = {
        (message.key or b"").decode(): (message.partition, message.offset)
        for message in observer.read(settings.images_topic)
    }
    of_version = {version: scene.answers(version) for version in (1, 2, 3)}
    found = scene.rows()
    assert len(found) == COUNT
    for image_id, row in found.items():
        if image_id in last:
            assert (row["kafka_partition"], row["kafka_offset"]) == last[image_id]
        version = row["model_version"]
        if row["control_revision"] == 0 and row["classified_at"] != row["ingested_at"]:
            # Nothing that arrived behind the moment of a job has its answer.
            assert row["ingested_at"] < row["classified_at"]
        else:
            assert version == (2 if image_id in last else 1)
        if image_id >= f"digit-{COMING_AGAIN:04}":
            assert version == 3
        if image_id != "digit-0003":
            wanted = of_version[version][image_id]
            names = wanted.keys() - {"control_revision"}
            assert {name: row[name] for name in names} == {name: wanted[name] for name in names}
    assert scene.differences() == 0
