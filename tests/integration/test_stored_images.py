"""Stored images put to a model: the same answers as on the live path, bit for bit, from Kudu and from memory."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from live_images import ARRIVED_US, damaged, digits, live, store, tear

from flumen.models.datasets.source import UNDECODABLE, UNREADABLE
from flumen.models.experiments.claimant import Claimant, this_place
from flumen.models.repository import Repository
from flumen.models.runtime import OnnxClassifier
from flumen.replay.errors import BadQuery
from flumen.replay.images.seen import known_pictures
from flumen.replay.images.tables import MemoryTables, ScannedTables
from flumen.replay.reclassify.applying import COLUMNS as APPLIED
from flumen.replay.reclassify.applying import Applying
from flumen.replay.reclassify.memory import MemoryParts, MemoryResults
from flumen.replay.reclassify.parts import Order, Parts, make_job
from flumen.replay.reclassify.restoring import Restorer
from flumen.replay.reclassify.working import DELETED, LONGEST_PAUSE_S, Task, Throttle, work
from flumen.replay.scoring import Choice, StoredImages
from flumen.replay.scoring.sample import ID_BYTES_A_SCAN, Sample, groups
from flumen.stores.corrections import Correction, CurrentCorrections
from flumen.stores.errors import StoreUnavailable
from flumen.stores.kudu import KuduOptions, KuduReader
from flumen.stores.kudu.plain import plain_rows
from flumen.stores.memory.corrections import MemoryCorrections
from flumen.stores.memory.store import MemoryStore
from flumen.stores.results import ANSWER as WHOLE_ANSWER
from flumen.stores.results import DELIVERY, VIEW

COUNT = 120
BROKEN, TORN = 3, 47
"""An image that is none any more, and one that lacks a chunk (see `live_images.digits`)."""


@pytest.fixture(scope="module")
def repository(models_root: Path) -> Repository:
    return Repository(models_root)


@pytest.fixture(scope="module")
def models(repository: Repository) -> tuple[OnnxClassifier, OnnxClassifier]:
    return repository.load("mnist", 1), repository.load("mnist", 2)


@pytest.fixture(scope="module")
def files(mnist: Path) -> list[bytes]:
    return digits(mnist, COUNT)


@pytest.fixture(scope="module")
def kudu(
    flumen_stack: Any, tmp_path_factory: pytest.TempPathFactory, files: list[bytes], models: Any
) -> KuduOptions:
    options = KuduOptions(
        masters=flumen_stack.kudu_masters,
        table_prefix=f"{tmp_path_factory.mktemp('scored').name}_{os.getpid()}_",
        partitions=3,
    )
    batch = live(files, models[0])
    store(options, damaged(batch, [BROKEN], b"no image"))
    # The view would do, if the model had seen images otherwise: see `without_views`.
    tear(options, f"digit-{TORN:04}")
    return options


@pytest.fixture(scope="module")
def in_memory(kudu: KuduOptions) -> MemoryTables:
    reader = KuduReader(kudu)
    tables = {}
    for name in ("images", "image_chunks", "view_chunks"):
        schema = reader.schema(name)
        tables[name] = pa.Table.from_batches(reader.scan(name, schema.names), schema)
    reader.close()
    return MemoryTables(tables)


@pytest.fixture(params=["kudu", "memory"])
def tables(request: pytest.FixtureRequest) -> Iterator[ScannedTables]:
    if request.param == "memory":
        yield request.getfixturevalue("in_memory")
        return
    reader = KuduReader(request.getfixturevalue("kudu"))
    yield reader
    reader.close()


def all_of(images: StoredImages, model: OnnxClassifier) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return rows and answers by id, and the reason for each that has none."""
    found: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    with images:
        tokens = dict(enumerate(images.plan().tokens))
        ended = []
        for scored in images.scored(tokens, model):
            assert len(scored.pixels) == scored.rows.num_rows == scored.answers.num_rows
            answers = scored.answers.rename_columns([f"new_{name}" for name in scored.answers.schema.names])
            for row, answer in zip(scored.rows.to_pylist(), answers.to_pylist(), strict=True):
                found[row["id"]] = row | answer
            skipped |= {skip.id: skip.reason for skip in scored.skipped}
            ended += [] if scored.ended is None else [scored.ended]
    assert sorted(ended) == sorted(tokens)
    return found, skipped


ANSWER = ("prediction", "label", "confidence", "probabilities")


@pytest.mark.parametrize("views", [True, False])
def test_a_model_answers_what_it_answered_live(
    tables: ScannedTables, models: Any, repository: Repository, views: bool
) -> None:
    preprocess = models[0].preprocess
    seen = known_pictures(repository, preprocess) if views else None
    found, skipped = all_of(StoredImages(tables, Choice(), preprocess, ANSWER, picture_of=seen), models[0])
    broken, torn = f"digit-{BROKEN:04}", f"digit-{TORN:04}"
    assert skipped == ({broken: UNDECODABLE} if views else {broken: UNDECODABLE, torn: UNREADABLE})
    assert len(found) == COUNT - len(skipped)
    for row in found.values():
        assert [row[f"new_{name}"] for name in ANSWER] == [row[name] for name in ANSWER]


def test_another_model_answers_what_it_would_have_answered_live(
    tables: ScannedTables, models: Any, files: list[bytes], repository: Repository
) -> None:
    later = live(files, models[1])
    seen = known_pictures(repository, models[1].preprocess)
    found, _ = all_of(StoredImages(tables, Choice(), models[1].preprocess, picture_of=seen), models[1])
    for row, image_id in enumerate(later.columns["id"]):
        if row != BROKEN:
            expected = np.asarray(later.columns["probabilities"])[row].astype("<f4").tobytes()
            assert found[image_id]["new_probabilities"] == expected
            assert found[image_id]["new_prediction"] == later.columns["prediction"][row]


def test_images_are_chosen_by_condition_time_and_sample(tables: ScannedTables, models: Any) -> None:
    preprocess = models[0].preprocess
    choice = Choice(where="prediction < 5 and id != 'digit-0003'", since_us=ARRIVED_US + 60)
    images = StoredImages(tables, choice, preprocess, ["prediction"], snapshot_us=None)
    plan = images.plan()
    found, skipped = all_of(images, models[0])
    assert skipped == {}
    assert found
    assert {row["prediction"] < 5 for row in found.values()} == {True}
    assert min(found) >= "digit-0060"
    assert plan.rows == len(found) == sum(plan.answered.values())
    assert list(plan.answered) == [("mnist", 1)]
    sample = Choice(where=choice.where, since_us=choice.since_us, sample=7)
    drawn, _ = all_of(StoredImages(tables, sample, preprocess), models[0])
    again, _ = all_of(StoredImages(tables, sample, preprocess), models[0])
    assert len(drawn) == 7
    assert drawn.keys() == again.keys() < found.keys()


def test_a_choice_of_nothing_and_a_wrong_one(tables: ScannedTables, models: Any) -> None:
    preprocess = models[0].preprocess
    assert all_of(StoredImages(tables, Choice(where="prediction > 99"), preprocess), models[0]) == ({}, {})
    for wrong, said in (
        (Choice(where="predicton < 3"), "predicton"),
        (Choice(where="prediction <"), "Parser Error"),
        (Choice(sample=0), "1 or more"),
    ):
        with pytest.raises(BadQuery, match=said):
            StoredImages(tables, wrong, preprocess)
    with pytest.raises(BadQuery, match="no column 'shade'"):
        StoredImages(tables, Choice(), preprocess, ["shade"])


class OnceDown(MemoryParts):
    """A table that does not answer once, at the second batch of answers."""

    calls = 0

    def write_answers(self, answers: pa.RecordBatch) -> None:
        self.calls += 1
        if self.calls == 2:
            raise StoreUnavailable("Kudu does not answer")
        super().write_answers(answers)


def test_a_job_goes_on_where_the_store_was_lost(in_memory: MemoryTables, models: Any) -> None:
    whole, table = MemoryParts(), OnceDown()
    ended = Claimant("here", 1, this_place(), -1)
    for each in (whole, table):
        with StoredImages(in_memory, Choice(), models[1].preprocess, ["model", "model_version"]) as images:
            job = make_job(each, "work", images.plan(), Order("mnist", 2))
            task = Task(images=images, model=models[1], answers=each)
            job = replace(job, snapshot_us=ARRIVED_US)
            assert job.parts > 1
            if each is table:
                with pytest.raises(StoreUnavailable):
                    work(task, Parts(each, job, who=ended), Throttle(None))
                assert 0 < len(table.answers) < len(whole.answers)
            progress = work(task, Parts(each, job), Throttle(None))
            assert (progress.done, progress.counts.images) == (job.parts, COUNT)
            assert progress.counts.answered == len(each.answers)
    assert table.answers == whole.answers


class DeletedMeanwhile(MemoryParts):
    """A table while whose answers are written an image is deleted."""

    def __init__(self, log: MemoryCorrections, image_id: str) -> None:
        super().__init__()
        self._log, self._image_id = log, image_id

    def write_answers(self, answers: pa.RecordBatch) -> None:
        if self._image_id in answers.column("id").to_pylist():
            self._log.append([Correction(self._image_id, "delete", "somebody", ARRIVED_US)])
        super().write_answers(answers)


def test_an_image_that_is_deleted_gets_no_answer(in_memory: MemoryTables, models: Any) -> None:
    log = MemoryCorrections(MemoryStore())
    before, meanwhile = "digit-0010", "digit-0011"
    table, corrections = DeletedMeanwhile(log, meanwhile), CurrentCorrections(log)
    corrections.connect()
    log.append([Correction(before, "delete", "somebody", ARRIVED_US)])
    # Who had this part before wrote an answer, and was killed before it saw that the image was deleted.
    table.answers[before] = {}
    with StoredImages(in_memory, Choice(), models[1].preprocess, ["model", "model_version"]) as images:
        parts = Parts(table, make_job(table, "work", images.plan(), Order("mnist", 2)))
        task = Task(images=images, model=models[1], answers=table, corrections=corrections)
        counts = work(task, parts, Throttle(None)).counts
    assert dict(counts.left_out)[DELETED] == 2
    assert (counts.images, counts.answered) == (COUNT, len(table.answers))
    assert not {before, meanwhile} & table.answers.keys()


class DeletedAtItsChange(MemoryResults):
    """Rows of which one is deleted, as far as it is written down, when its answer is changed."""

    def __init__(self, log: MemoryCorrections, image_id: str) -> None:
        super().__init__()
        self._log, self._image_id = log, image_id

    def update(self, rows: pa.RecordBatch) -> None:
        super().update(rows)
        if self._image_id in rows.column("id").to_pylist():
            self._log.append([Correction(self._image_id, "delete", "somebody", ARRIVED_US)])


def test_an_image_that_is_deleted_while_its_answer_is_changed(in_memory: MemoryTables, models: Any) -> None:
    """What was kept of its former answer goes as well, whether it is deleted before or meanwhile."""
    log, table = MemoryCorrections(MemoryStore()), MemoryParts()
    before, meanwhile = "digit-0010", "digit-0011"
    results, corrections = DeletedAtItsChange(log, meanwhile), CurrentCorrections(log)
    names = ["id", *DELIVERY, *WHOLE_ANSWER, *VIEW]
    for given in in_memory.read_tokens(
        "images", names, dict(enumerate(in_memory.scan_tokens("images", names, (), ARRIVED_US))), 1
    ):
        results.store([] if given.rows is None else plain_rows(given.rows))
    corrections.connect()
    log.append([Correction(before, "delete", "somebody", ARRIVED_US)])
    table.answers |= {before: {}, meanwhile: {}}
    with StoredImages(in_memory, Choice(), models[1].preprocess, APPLIED) as images:
        job = make_job(table, "work", images.plan(), Order("mnist", 2, applies=True))
        applying = Applying(results, None, models[1], job.snapshot_us, Restorer(results, 0))
        task = Task(images=images, model=models[1], answers=table, corrections=corrections, applying=applying)
        counts = work(task, Parts(table, job), Throttle(None)).counts
    changed = {each for each, row in results.rows.items() if row["model_version"] == 2}
    assert dict(counts.left_out)[DELETED] == 2
    assert counts.answered == len(changed - {meanwhile})
    assert before not in changed
    assert not {before, meanwhile} & table.answers.keys()


def test_a_throttled_job_pays_in_proportion_to_its_work() -> None:
    slept: list[float] = []
    throttle = Throttle(0.01, slept.append)
    while not slept:
        sum(range(10_000))
        throttle.pause()
    assert 0 < slept[0] <= LONGEST_PAUSE_S
    Throttle(None, slept.append).pause()
    assert len(slept) == 1


def test_a_sample_is_of_the_size_and_groups_are_bounded() -> None:
    ids = [f"image-{number}" for number in range(5000)]
    one, other = Sample(100), Sample(100)
    one.show(ids)
    for image_id in reversed(ids):
        other.show([image_id])
    assert len(one.ids) == 100
    assert one.ids == other.ids
    assert 20 < sum(int(image_id.removeprefix("image-")) < 2500 for image_id in one.ids) < 80
    long = ["x" * 16_000 + str(number) for number in range(5)]
    cut = list(groups([*ids, *long]))
    assert [image_id for group in cut for image_id in group] == [*ids, *long]
    assert all(len(group) == 1 or sum(map(len, group)) <= ID_BYTES_A_SCAN for group in cut)
    assert max(map(len, cut)) <= 1000
