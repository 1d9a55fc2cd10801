"""Answers that become the current ones beside deliveries of the same images, in each order that there is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import time_ns
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pytest
from live_images import ARRIVED_US, COLUMNS, digits, live

from flumen.interceptor import Batch
from flumen.interceptor.batch import plain
from flumen.models.repository import Repository
from flumen.replay.reclassify.applying import COLUMNS as NEEDED
from flumen.replay.reclassify.applying import GONE, NEWER, Applied, Applying
from flumen.replay.reclassify.memory import MemoryIndex, MemoryResults
from flumen.replay.reclassify.restoring import Restorer
from flumen.replay.reclassify.results import ResultTable
from flumen.replay.scoring import Scored
from flumen.stores import StoreUnavailable
from flumen.stores.kudu import KuduOptions, KuduReader, KuduResults, KuduSink
from flumen.stores.kudu.writing import answer_columns
from flumen.stores.results import ANSWER, DELIVERY, VIEW, Result

COUNT = 12
FIRST, SECOND, THIRD = ARRIVED_US, ARRIVED_US + 10**6, ARRIVED_US + 2 * 10**6
"""When images are delivered: what a worker's clock says."""

Step = Callable[[], None]


class World(Protocol):
    """Rows of images, and what a worker does with them."""

    table: ResultTable
    now_us: int

    def deliver(self, batch: Batch) -> None: ...

    def delete(self, batch: Batch) -> None: ...

    def rows(self) -> dict[str, Result]: ...

    def kept(self) -> set[tuple[str, int]]: ...


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

    def rows(self) -> dict[str, Result]:
        return self.table.rows

    def kept(self) -> set[tuple[str, int]]:
        return {(image_id, version) for image_id, _, version in self.table.answers}


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

    def rows(self) -> dict[str, Result]:
        ids = [row["id"] for rows in self._reader.scan("images", ["id"]) for row in rows.to_pylist()]
        found = {each: self._reader.get(each) or {} for each in ids}
        return {
            each: {name: row[name] for name in ("id", *DELIVERY, *ANSWER, *VIEW)}
            for each, row in found.items()
        }

    def kept(self) -> set[tuple[str, int]]:
        scan = self._reader.scan("predictions", ["id", "model_version"])
        return {(row["id"], row["model_version"]) for rows in scan for row in rows.to_pylist()}

    def close(self) -> None:
        for each in (self._sink, self._reader, self.table):
            each.close()


@pytest.fixture(params=["memory", "kudu"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield InMemory()
        return
    stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
    options = KuduOptions(masters=stack.kudu_masters, table_prefix=names.kudu_prefix, partitions=2)
    with closing(InKudu(options)) as opened:
        yield opened


@pytest.fixture(scope="module")
def answered(models_root: Path, mnist: Path) -> Callable[[int, int], Batch]:
    """What the live path makes of the images with a version of the model, at a time."""
    repository, files = Repository(models_root), digits(mnist, COUNT)
    models = {version: repository.load("mnist", version) for version in (1, 2)}
    return lambda version, at_us: live(files, models[version], at_us=at_us)


def results(batch: Batch) -> list[Result]:
    """A batch as rows of a table, in the columns that are looked at here."""
    columns = {name: plain(values) for name, values in answer_columns(batch).items()}
    columns["view_chunks"] = [0] * len(batch)
    names = ("id", *DELIVERY, *ANSWER, *VIEW)
    return [{name: columns[name][row] for name in names} for row in range(len(batch))]


def scored(read: Batch, answers: Batch) -> Scored:
    """What `StoredImages` gives for rows that were read so, and for which a model answers so."""
    table = pa.Table.from_pylist(results(read)).select(list(dict.fromkeys(NEEDED)))
    (rows,) = table.combine_chunks().to_batches()
    said = pa.Table.from_pylist(results(answers)).select(
        ["prediction", "label", "confidence", "probabilities"]
    )
    (new,) = said.combine_chunks().to_batches()
    views = [
        np.frombuffer(view, np.uint8)[-28 * 28 :].reshape(28, 28) for view in answers.columns["image_as_pgm"]
    ]
    return Scored(rows, new, np.array(views))


class Watched:
    """A table that lets something happen before and behind each change of rows."""

    def __init__(self, table: ResultTable, before: Iterable[Step] = (), behind: Iterable[Step] = ()) -> None:
        self._table = table
        self._before, self._behind = iter(before), iter(behind)

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

    def __init__(self, world: World, answered: Callable[[int, int], Batch]) -> None:
        self.world, self._answered = world, answered
        world.deliver(answered(1, FIRST))
        self.moment_us = world.now_us
        self.read = scored(answered(1, FIRST), answered(2, SECOND))
        self.model = type("Model", (), {"name": "mnist", "version": 2, "preprocess": None})
        self.rows = {row["id"]: row for row in results(answered(1, FIRST))}
        self.index = MemoryIndex()
        self.index.store(self.rows.values())

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

    def apply(self, preprocess: Any, before: Iterable[Step] = (), behind: Iterable[Step] = ()) -> Applied:
        table = Watched(self.world.table, before, behind)
        self.model.preprocess = preprocess
        clock = {"clock": lambda: self.world.now_us}
        applying = Applying(
            table, self.index, self.model, self.moment_us, Restorer(table, self.moment_us, **clock)
        )
        applied = applying.apply(self.read, lambda: True)
        assert dict(applying.end_part()) == {}
        return applied

    def expected(self, applied: Sequence[int]) -> dict[str, Result]:
        """What the rows are if these have the new answers, and all others what came with their last delivery."""
        ours = {"control_revision": 0, "classified_at": self.moment_us}
        new = {row["id"]: row for row in results(self._answered(2, SECOND))}
        delivered = {row["id"]: row for row in results(self._answered(1, FIRST))}
        names = [f"digit-{row:04}" for row in applied]
        answer = {
            name: {each: new[name][each] for each in (*ANSWER, *VIEW)}
            | {each: delivered[name][each] for each in ("id", *DELIVERY)}
            | ours
            for name in names
        }
        return self.rows | answer


@pytest.fixture
def race(world: World, answered: Callable[[int, int], Batch]) -> Race:
    return Race(world, answered)


@pytest.fixture
def preprocess(models_root: Path) -> Any:
    return Repository(models_root).load("mnist", 2).preprocess


def check(race: Race, applied: Sequence[int]) -> None:
    """Every image has the newest answer of all, wholly, in the table and in the index."""
    wanted = race.expected(applied)
    found = race.world.rows()
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
    reasons = {name: [f"digit-{row:04}" for row in rows] for name, rows in _REASONS.items()}
    assert found.left_out == {each: reason for reason, ids in reasons.items() for each in ids}
    assert sorted(found.kept_apart) == sorted(set(reasons[NEWER]) - {"digit-0001"})
    # What was superseded is kept, by whoever came first.
    assert {("digit-0010", 1), ("digit-0011", 1)} <= race.world.kept()


_REASONS = {NEWER: [0, 1, 3, 4, 5, 7, 8], GONE: [2, 6, 9]}


def test_a_delivery_while_the_one_before_it_is_given_back(race: Race, preprocess: Any) -> None:
    """The second, third and fourth change give image 0 back its answer, and the time of it."""
    steps = [race.deliver([0], SECOND), race.deliver([0], THIRD), lambda: None, race.deliver([0], THIRD + 1)]
    race.apply(preprocess, before=steps)
    check(race, applied=range(1, COUNT))


@pytest.mark.parametrize("at", [0, 1, 2])
def test_who_is_killed_before_he_has_looked_has_left_it_to_the_next(
    race: Race, preprocess: Any, at: int
) -> None:
    """Killed behind the change, behind the answer was put back, and behind its time was."""
    behind: list[Step] = [lambda: None] * at + [killed]
    with pytest.raises(Killed):
        race.apply(preprocess, before=[race.deliver([0, 1], SECOND)], behind=behind)
    race.deliver([1], THIRD)()
    assert race.apply(preprocess).left_out == {"digit-0000": NEWER, "digit-0001": NEWER}
    check(race, applied=range(2, COUNT))
    kept = race.world.kept()
    assert race.apply(preprocess).left_out.keys() == {"digit-0000", "digit-0001"}
    check(race, applied=range(2, COUNT))
    assert race.world.kept() == kept


def test_what_another_job_has_answered_meanwhile_stays(race: Race, preprocess: Any) -> None:
    other = race.rows["digit-0004"] | {
        "model_version": 9,
        "label": "other",
        "classified_at": race.moment_us - 7,
    }
    changed = {name: [other[name]] for name in ("id", "model_version", "label", "classified_at")}
    race.world.table.update(pa.RecordBatch.from_pydict(changed))
    race.rows["digit-0004"] = other
    race.index.store([other])
    assert race.apply(preprocess).left_out == {"digit-0004": NEWER}
    check(race, applied=[row for row in range(COUNT) if row != 4])


def test_a_document_that_is_replaced_while_it_is_looked_at(race: Race, preprocess: Any) -> None:
    """The worker is done in Kudu first, and comes into Solr between the look at a document and its change."""
    put, steps = race.index.put, iter([race.deliver([0, 1], SECOND)])

    def put_too_late(documents: Any, rows: Any) -> Any:
        next(steps, lambda: None)()
        return put(documents, rows)

    race.index.put = put_too_late  # type: ignore[method-assign]
    assert race.apply(preprocess).left_out == {}
    check(race, applied=range(2, COUNT))


def test_who_stood_still_changes_nothing(race: Race, preprocess: Any) -> None:
    race.model.preprocess = preprocess
    applying = Applying(
        race.world.table, race.index, race.model, race.moment_us, Restorer(race.world.table, 0)
    )
    with pytest.raises(StoreUnavailable, match="stood still"):
        applying.apply(race.read, lambda: False)
    check(race, applied=[])
