"""Answers that become the current ones beside deliveries of the same images, in each order that there is."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import time_ns
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from live_images import ARRIVED_US, COLUMNS, digits, giving_embeddings, live

from flumen.interceptor import Batch
from flumen.interceptor.batch import plain
from flumen.models.repository import MODEL_FILE, Repository
from flumen.models.runtime import OnnxClassifier
from flumen.replay.reclassify.applying import COLUMNS as NEEDED
from flumen.replay.reclassify.applying import GONE, NEWER, Applied, Applying
from flumen.replay.reclassify.memory import MemoryIndex, MemoryResults
from flumen.replay.reclassify.restoring import Restorer
from flumen.replay.reclassify.results import ResultTable
from flumen.replay.scoring import Scored
from flumen.stack.leftovers import remove_leftovers
from flumen.stores import StoreUnavailable
from flumen.stores.kudu import KuduOptions, KuduReader, KuduResults, KuduSink
from flumen.stores.kudu.plain import plain_rows
from flumen.stores.kudu.writing import answer_columns
from flumen.stores.results import ANSWER, DELIVERY, VIEW, Result

COUNT = 12
Answered = Callable[[str, int, int], Batch]
"""What the live path makes of the images, under a prefix of their ids, with a version of the model, at a time."""

FIRST, SECOND, THIRD = ARRIVED_US, ARRIVED_US + 10**6, ARRIVED_US + 2 * 10**6
"""When images are delivered: what a worker's clock says."""

Step = Callable[[], None]


class World(Protocol):
    """Rows of images, and what a worker does with them."""

    table: ResultTable
    now_us: int

    def deliver(self, batch: Batch) -> None: ...

    def delete(self, batch: Batch) -> None: ...

    def rows(self, prefix: str) -> dict[str, Result]: ...

    def kept(self, prefix: str) -> set[tuple[str, int]]: ...


class InMemory:
    def __init__(self) -> None:
        self.table = MemoryResults()

    @property
    def now_us(self) -> int:
        return self.table.now + 1

    def deliver(self, batch: Batch) -> None:
        """As `KuduSink` does: what is about to be overwritten is kept first."""
        new = results(batch)
        for row in new:
            former = self.table.rows.get(row["id"])
            if former and (former["model"], former["model_version"]) != (row["model"], row["model_version"]):
                self.table.answers[former["id"], former["model"], former["model_version"]] = former
        self.table.store(new)

    def delete(self, batch: Batch) -> None:
        for image in batch.images:
            self.table.delete(image.id)

    def rows(self, prefix: str) -> dict[str, Result]:
        return {each: row for each, row in self.table.rows.items() if each.startswith(prefix)}

    def kept(self, prefix: str) -> set[tuple[str, int]]:
        return {(each, version) for each, _, version in self.table.answers if each.startswith(prefix)}


class InKudu:
    def __init__(self, options: KuduOptions) -> None:
        self._sink, self._reader = KuduSink(options, COLUMNS), KuduReader(options)
        self._sink.connect()
        self.table = KuduResults(options)

    @property
    def now_us(self) -> int:
        return time_ns() // 1000

    def deliver(self, batch: Batch) -> None:
        assert not self._sink.write(batch)

    def delete(self, batch: Batch) -> None:
        self._sink.remove(batch)

    def rows(self, prefix: str) -> dict[str, Result]:
        scan = self._reader.scan("images", ["id", *DELIVERY, *ANSWER, *VIEW])
        found = [row for rows in scan for row in plain_rows(rows)]
        return {row["id"]: row for row in found if row["id"].startswith(prefix)}

    def kept(self, prefix: str) -> set[tuple[str, int]]:
        scan = self._reader.scan("predictions", ["id", "model_version"])
        found = [(row["id"], row["model_version"]) for rows in scan for row in rows.to_pylist()]
        return {each for each in found if each[0].startswith(prefix)}

    def close(self) -> None:
        for each in (self._sink, self._reader, self.table):
            each.close()


@pytest.fixture(scope="module", params=["memory", "kudu"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Tables for all tests here: each has ids of its own."""
    if request.param == "memory":
        yield InMemory()
        return
    stack, suffix = request.getfixturevalue("flumen_stack"), uuid4().hex[:12]
    options = KuduOptions(masters=stack.kudu_masters, table_prefix=f"t_{suffix}_", partitions=2)
    with closing(InKudu(options)) as opened:
        yield opened
    remove_leftovers(stack, suffix)


in_memory = pytest.mark.parametrize("world", ["memory"], indirect=True)


@pytest.fixture(scope="module")
def answered(models_root: Path, mnist: Path) -> Answered:
    """By mnist@1, which gives its embedding as well here, and mnist@2, which does not."""
    repository, files = Repository(models_root), digits(mnist, COUNT)
    content = (models_root / "mnist" / "1" / MODEL_FILE).read_bytes()
    models = {
        1: OnnxClassifier(*giving_embeddings(content, repository.manifest("mnist", 1))),
        2: repository.load("mnist", 2),
    }
    return functools.cache(
        lambda prefix, version, at_us: live(files, models[version], prefix=prefix, at_us=at_us)
    )


def results(batch: Batch) -> list[Result]:
    """A batch as rows of a table, in the columns that are looked at here."""
    columns = {name: plain(values) for name, values in answer_columns(batch).items()}
    columns |= {"view_chunks": [0] * len(batch)}
    columns.setdefault("embedding", [None] * len(batch))
    names = ("id", *DELIVERY, *ANSWER, *VIEW)
    return [{name: columns[name][row] for name in names} for row in range(len(batch))]


def scored(read: Batch, answers: Batch) -> Scored:
    """What `StoredImages` gives for rows that were read so, and for which a model answers so."""
    table = pa.Table.from_pylist(results(read)).select(list(dict.fromkeys(NEEDED)))
    (rows,) = table.combine_chunks().to_batches()
    names = ("prediction", "label", "confidence", "probabilities", "embedding")
    said = {name: [row[name] for row in results(answers)] for name in names}
    new = pa.RecordBatch.from_pydict(said | {"embedding": pa.array(said["embedding"], pa.binary())})
    views = [
        np.frombuffer(view, np.uint8)[-28 * 28 :].reshape(28, 28) for view in answers.columns["image_as_pgm"]
    ]
    return Scored(rows, new, np.array(views))


class Watched:
    """A table that lets something happen before and behind each change of rows, and before looks into its past."""

    def __init__(
        self,
        table: ResultTable,
        before: Iterable[Step] = (),
        behind: Iterable[Step] = (),
        past: Iterable[Step] = (),
    ) -> None:
        self._table = table
        self._before, self._behind, self._past = iter(before), iter(behind), iter(past)

    def at(self, image_id: str, moment_us: int) -> Result | None:
        next(self._past, lambda: None)()
        return self._table.at(image_id, moment_us)

    def update(self, rows: pa.RecordBatch) -> None:
        next(self._before, lambda: None)()
        self._table.update(rows)
        next(self._behind, lambda: None)()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


class Killed(BaseException):
    """The end of a process, as far as it can be made here."""


def killed() -> None:
    raise Killed


class Race:
    """One job that applies mnist@2 to images that mnist@1 has answered."""

    def __init__(self, world: World, answered: Answered) -> None:
        self.world, self.prefix = world, uuid4().hex[:8]
        self._answered = functools.partial(answered, self.prefix)
        world.deliver(self._answered(1, FIRST))
        self.moment_us = world.now_us
        self.read = scored(self._answered(1, FIRST), self._answered(2, SECOND))
        self.model = type("Model", (), {"name": "mnist", "version": 2, "preprocess": None})
        self.rows = {row["id"]: row for row in results(self._answered(1, FIRST))}
        self.index = MemoryIndex()
        self.index.store(self.rows.values())

    def id(self, row: int) -> str:
        return f"{self.prefix}-{row:04}"

    def deliver(self, rows: Sequence[int], at_us: int, version: int = 1, shows: bool = True) -> Step:
        """A worker gets images once more, and answers as it does."""
        batch = self._answered(version, at_us).take(rows)

        def delivered() -> None:
            self.world.deliver(batch)
            self.rows |= {row["id"]: row for row in results(batch)}
            if shows:
                self.index.store(results(batch))

        return delivered

    def delete(self, rows: Sequence[int]) -> Step:
        batch = self._answered(1, FIRST).take(rows)

        def deleted() -> None:
            self.world.delete(batch)
            for image in batch.images:
                del self.rows[image.id], self.index.documents[image.id]

        return deleted

    def apply(
        self,
        preprocess: Any,
        before: Iterable[Step] = (),
        behind: Iterable[Step] = (),
        past: Iterable[Step] = (),
    ) -> Applied:
        table = Watched(self.world.table, before, behind, past)
        self.model.preprocess = preprocess
        restorer = Restorer(table, self.moment_us, clock=lambda: self.world.now_us)
        applying = Applying(table, self.index, self.model, self.moment_us, restorer)
        applied = applying.apply(self.read, lambda: True)
        assert dict(applying.end_part()) == {}
        return applied

    def expected(self, applied: Sequence[int]) -> dict[str, Result]:
        """What the rows are if these have the new answers, and all others what came with their last delivery."""
        ours = {"control_revision": 0, "classified_at": self.moment_us}
        new = {row["id"]: row for row in results(self._answered(2, SECOND))}
        delivered = {row["id"]: row for row in results(self._answered(1, FIRST))}
        names = [self.id(row) for row in applied]
        answer = {
            name: {each: new[name][each] for each in (*ANSWER, *VIEW)}
            | {each: delivered[name][each] for each in ("id", *DELIVERY)}
            | ours
            for name in names
        }
        return self.rows | answer


@pytest.fixture
def race(world: World, answered: Answered) -> Race:
    return Race(world, answered)


@pytest.fixture
def preprocess(models_root: Path) -> Any:
    return Repository(models_root).load("mnist", 2).preprocess


def check(race: Race, applied: Sequence[int]) -> None:
    """Every image has the newest answer of all, wholly, in the table and in the index."""
    wanted = race.expected(applied)
    found = race.world.rows(race.prefix)
    assert found == wanted
    shown = {name: {each: row[each] for each in ("id", *DELIVERY, *ANSWER)} for name, row in wanted.items()}
    documents = {
        name: {each: value for each, value in document.items() if each != "_version_"}
        for name, document in race.index.documents.items()
    }
    assert documents == shown


def test_every_order_of_a_delivery_and_a_change(race: Race, preprocess: Any) -> None:
    race.deliver([0], SECOND)()  # since the scan
    race.deliver([1], SECOND, version=2)()  # by the very model
    race.delete([2])()

    def between_look_and_change() -> None:
        race.deliver([3], SECOND)()
        race.deliver([4], SECOND, version=2)()
        race.deliver([5], SECOND, shows=False)()  # Solr is to get it yet
        race.delete([6])()

    def behind_the_change() -> None:
        race.deliver([7], SECOND)()
        race.deliver([5, 8], THIRD)()
        race.delete([9])()

    found = race.apply(preprocess, [between_look_and_change], [behind_the_change])
    check(race, applied=[10, 11])
    reasons = {name: [race.id(row) for row in rows] for name, rows in _REASONS.items()}
    assert found.left_out == {each: reason for reason, ids in reasons.items() for each in ids}
    assert sorted(found.kept_apart) == sorted(set(reasons[NEWER]) - {race.id(1)})
    # What was superseded is kept, by whoever came first.
    assert {(race.id(10), 1), (race.id(11), 1)} <= race.world.kept(race.prefix)


_REASONS = {NEWER: [0, 1, 3, 4, 5, 7, 8], GONE: [2, 6, 9]}


def test_a_delivery_while_the_one_before_it_is_given_back(race: Race, preprocess: Any) -> None:
    """The second, third and fourth change give image 0 back its answer, and the time of it."""
    steps = [race.deliver([0], SECOND), race.deliver([0], THIRD), lambda: None, race.deliver([0], THIRD + 1)]
    race.apply(preprocess, before=steps)
    check(race, applied=range(1, COUNT))


@in_memory
@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_delivery_while_the_past_is_looked_at(race: Race, preprocess: Any, at: int) -> None:
    past: list[Step] = [lambda: None] * at + [race.deliver([0], THIRD)]
    race.apply(preprocess, before=[race.deliver([0], SECOND)], past=past)
    check(race, applied=range(1, COUNT))


@in_memory
def test_a_deletion_while_the_past_is_looked_at(race: Race, preprocess: Any) -> None:
    race.apply(preprocess, before=[race.deliver([0], SECOND)], past=[race.delete([0])])
    check(race, applied=range(1, COUNT))


@pytest.mark.parametrize(
    ("world", "at"), [("memory", 0), ("memory", 1), ("memory", 2), ("kudu", 1)], indirect=["world"]
)
def test_who_is_killed_before_he_has_looked_has_left_it_to_the_next(
    race: Race, preprocess: Any, at: int
) -> None:
    """Killed behind the change, behind the answer was put back, and behind its time was."""
    behind: list[Step] = [lambda: None] * at + [killed]
    with pytest.raises(Killed):
        race.apply(preprocess, before=[race.deliver([0, 1], SECOND)], behind=behind)
    race.deliver([1], THIRD)()
    assert race.apply(preprocess).left_out == {race.id(0): NEWER, race.id(1): NEWER}
    check(race, applied=range(2, COUNT))
    kept = race.world.kept(race.prefix)
    assert race.apply(preprocess).left_out.keys() == {race.id(0), race.id(1)}
    check(race, applied=range(2, COUNT))
    assert race.world.kept(race.prefix) == kept


@in_memory
def test_what_another_job_has_answered_meanwhile(race: Race, preprocess: Any) -> None:
    """It stays; but where it stands beside a delivery that came meanwhile, that one's own answer does."""
    others = {"model_version": 9, "label": "other", "classified_at": race.moment_us - 7}

    def answers(row: int) -> Result:
        changed = {"id": race.id(row)} | others
        race.world.table.update(pa.RecordBatch.from_pylist([changed]))
        return race.rows[race.id(row)] | others

    def delivered_and_answered() -> None:
        race.deliver([5], SECOND)()
        answers(5)

    race.rows[race.id(4)] = answers(4)
    race.index.store([race.rows[race.id(4)]])
    left_out = race.apply(preprocess, before=[delivered_and_answered]).left_out
    assert left_out == {race.id(4): NEWER, race.id(5): NEWER}
    check(race, applied=[row for row in range(COUNT) if row not in (4, 5)])


@in_memory
def test_a_document_that_is_replaced_while_it_is_looked_at(race: Race, preprocess: Any) -> None:
    """The worker is done in Kudu first, and comes into Solr between the look at a document and its change."""
    put, steps = race.index.put, iter([race.deliver([0, 1], SECOND)])

    def put_too_late(documents: Any, rows: Any) -> Any:
        next(steps, lambda: None)()
        return put(documents, rows)

    race.index.put = put_too_late  # type: ignore[method-assign]
    assert race.apply(preprocess).left_out == {}
    check(race, applied=range(2, COUNT))


@in_memory
def test_who_stood_still_changes_nothing(race: Race, preprocess: Any) -> None:
    race.model.preprocess = preprocess
    applying = Applying(
        race.world.table, race.index, race.model, race.moment_us, Restorer(race.world.table, 0)
    )
    with pytest.raises(StoreUnavailable, match="stood still"):
        applying.apply(race.read, lambda: False)
    check(race, applied=[])
