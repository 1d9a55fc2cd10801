"""What an audit finds of any mix of damages, in memory; `test_audited_stores.py` holds the twins to the real stores."""

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from contract_samples import COLUMNS, sample_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from flumen.interceptor import Batch
from flumen.replay.audit import Audit, Beside, Pace, Report
from flumen.replay.audit.memory import MemoryDocuments, MemoryKudu
from flumen.replay.errors import NoImages
from flumen.stores import StoreUnavailable
from flumen.stores.corrections import Standing
from flumen.stores.kudu.schema import CHUNK_BYTES

LARGE = 2 * CHUNK_BYTES + 5
ANSWER = {"model": "other", "model_version": 1}


@dataclass
class Stores:
    """Both stores and the corrections, as a worker and commands leave them."""

    kudu: MemoryKudu = field(default_factory=lambda: MemoryKudu(COLUMNS))
    solr: MemoryDocuments = field(default_factory=lambda: MemoryDocuments(COLUMNS))
    standings: dict[str, Standing] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    meanwhile: Callable[[], Any] = lambda: None

    def write(self, batch: Batch) -> None:
        self.kudu.write(batch)
        self.solr.write(batch)

    def delete(self, image_id: str) -> None:
        self.standings[image_id] = Standing(deleted=True)
        self.kudu.delete([image_id])
        self.solr.delete([image_id])

    def look(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        return {image_id: self.standings[image_id] for image_id in ids if image_id in self.standings}

    def settle(self, ids: Sequence[str]) -> None:
        for image_id, standing in self.look(ids).items():
            if standing.deleted:
                self.delete(image_id)
                continue
            for row in [row for key, row in self.kudu.rows["images"].items() if key == (image_id,)]:
                row["knownlabel"] = standing.knownlabel
            if image_id in self.solr.documents:
                document = {**self.solr.documents[image_id], "known_label": standing.knownlabel}
                document["correct"] = document["prediction"] == standing.knownlabel
                self.solr.documents[image_id] = document

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.kudu.let_pass(seconds)
        self.meanwhile()

    def audit(self, *, fix: bool = False, **beside: Any) -> Report:
        self.kudu.let_pass(0.01)
        beside = {"corrected": self, "chunks": self.kudu, "originals": True} | beside
        pace = Pace(grace_s=1.0, orphans_s=2.0, sleep=self.sleep)
        return Audit(self.kudu, self.solr, COLUMNS, fix, pace, Beside(**beside)).run()

    def state(self) -> Any:
        return copy.deepcopy((self.kudu.rows, self.solr.documents))


def damaged(damages: Sequence[Callable[..., None]]) -> Stores:
    """Return stores with these damages, an image each."""
    stores = Stores()
    for number, damage in enumerate(damages):
        damage(stores, f"image {number:0{number % 3 + 1}}")
    stores.kudu.let_pass(100)
    if stores.later:
        keys = {"id": stores.later, "seq": pa.array([1] * len(stores.later), pa.int32())}
        stores.kudu.remove("image_chunks", pa.record_batch(keys))
        stores.kudu.let_pass(1)
    return stores


def image(image_id: str, size: int = 5, **columns: Any) -> Batch:
    return sample_batch([image_id], [image_id.encode()[:1] * size], **{k: [v] for k, v in columns.items()})


def found(report: Report) -> dict[str, int]:
    return {kind: each.found for kind, each in report.counts.items() if each.found}


def missing(stores: Stores, image_id: str) -> None:
    stores.kudu.write(image(image_id))


def extra(stores: Stores, image_id: str) -> None:
    stores.solr.write(image(image_id))


def stale(stores: Stores, image_id: str) -> None:
    stores.write(image(image_id))
    stores.solr.write(image(image_id, classified_at=7, prediction=3))


def different(stores: Stores, image_id: str) -> None:
    stores.write(image(image_id))
    stores.solr.write(image(image_id, width=29))


def refused(stores: Stores, image_id: str) -> None:
    stores.kudu.write(image(image_id, name="x" * 40_000))


def deleted_in_kudu(stores: Stores, image_id: str) -> None:
    stores.kudu.write(image(image_id))
    stores.standings[image_id] = Standing(deleted=True)


def deleted_in_solr(stores: Stores, image_id: str) -> None:
    stores.solr.write(
        image(image_id, classified_at=2**52)
    )  # in the year 2112: a worker's, for all that its age says
    stores.standings[image_id] = Standing(deleted=True)


def deleted_but_answered(stores: Stores, image_id: str) -> None:
    answer = dict.fromkeys(stores.kudu.schema("predictions").names) | {"id": image_id} | ANSWER
    stores.kudu.rows["predictions"][image_id, *ANSWER.values()] = answer
    stores.standings[image_id] = Standing(deleted=True)


def another_label(stores: Stores, image_id: str) -> None:
    stores.write(image(image_id, knownlabel=3))
    stores.standings[image_id] = Standing(deleted=False, knownlabel=8)


def label_in_kudu_alone(stores: Stores, image_id: str) -> None:
    stores.write(image(image_id, knownlabel=3))
    stores.standings[image_id] = Standing(deleted=False, knownlabel=8)
    stores.kudu.rows["images"][(image_id,)]["knownlabel"] = 8


def half_written(stores: Stores, image_id: str) -> None:
    """And Kudu does not remember what is missing."""
    stores.write(image(image_id, LARGE))
    del stores.kudu.rows["image_chunks"][image_id, 1]
    for _, rows in stores.kudu.past["image_chunks"]:
        rows.pop((image_id, 1), None)


def half_gone(stores: Stores, image_id: str) -> None:
    stores.write(image(image_id, LARGE))
    stores.kudu.write(sample_batch([image_id], [b"z" * LARGE]), row=False)
    stores.kudu.write(image(image_id, LARGE), row=False)
    stores.later.append(image_id)


def other_bytes(stores: Stores, image_id: str) -> None:
    stores.write(image(image_id, LARGE))
    chunk = stores.kudu.rows["image_chunks"][image_id, 1]
    stores.kudu.rows["image_chunks"][image_id, 1] = chunk | {"data": b"y" * len(chunk["data"])}


def other_small_bytes(stores: Stores, image_id: str) -> None:
    stores.write(image(image_id))
    stores.kudu.rows["images"][(image_id,)]["image"] = b"other"


def chunks_alone(stores: Stores, image_id: str) -> None:
    stores.kudu.write(image(image_id, LARGE), row=False)


def shrunk(stores: Stores, image_id: str) -> None:
    stores.write(image(image_id, LARGE))
    stores.write(image(image_id, CHUNK_BYTES + 1 if len(image_id) % 2 else 5))


def nothing(stores: Stores, image_id: str) -> None:
    stores.write(image(image_id, LARGE if len(image_id) % 2 else 5))


DAMAGES: Mapping[Callable[[Stores, str], None], str] = {
    missing: "missing",
    extra: "extra",
    stale: "stale",
    different: "different",
    refused: "refused",
    deleted_in_kudu: "uncorrected",
    deleted_in_solr: "uncorrected",
    deleted_but_answered: "uncorrected",
    another_label: "uncorrected",
    label_in_kudu_alone: "different",
    half_written: "incomplete",
    half_gone: "incomplete",
    other_bytes: "damaged",
    other_small_bytes: "damaged",
    chunks_alone: "orphan",
    shrunk: "orphan",
    nothing: "",
}
FOR_GOOD = {"refused", "incomplete", "damaged"}


@settings(max_examples=30)
@given(st.lists(st.sampled_from(list(DAMAGES)), max_size=8))
def test_every_damage_is_found_and_what_can_be_mended_is(damages: list[Callable[..., None]]) -> None:
    stores = damaged(damages)
    expected: dict[str, int] = {}
    for damage in damages:
        if kind := DAMAGES[damage]:
            expected[kind] = expected.get(kind, 0) + 1
    before = stores.state()
    report = stores.audit()
    assert found(report) == expected
    assert report.left == sum(expected.values())
    assert stores.state() == before, "without --fix nothing is written"

    if not stores.kudu.rows["images"] and stores.solr.documents:
        with pytest.raises(NoImages, match="FLUMEN_KUDU_TABLE_PREFIX"):
            stores.audit(fix=True)
        assert stores.state() == before
        return
    mended = stores.audit(fix=True)
    left = {kind: count for kind, count in expected.items() if kind in FOR_GOOD}
    left["incomplete"] = damages.count(half_written)
    left = {kind: count for kind, count in left.items() if count}
    assert mended.left == sum(left.values())
    assert sum(each.found for each in mended.counts.values()) == sum(expected.values())
    after = stores.state()
    assert found(stores.audit()) == left
    assert found(stores.audit(fix=True)) == left
    assert stores.state() == after
    gone = {image_id for image_id, standing in stores.standings.items() if standing.deleted}
    held = {key[0] for rows in stores.kudu.rows.values() for key in rows} | stores.solr.documents.keys()
    assert not gone & held


def test_a_row_that_has_changed_since_is_no_finding() -> None:
    stores = Stores()
    for number in range(12):
        stale(stores, f"image {number}")
    moved = {f"image {number}" for number in range(5)}
    stores.meanwhile = lambda: [
        stores.kudu.write(image(each, iso=9, kafka_offset=9)) for each in sorted(moved)
    ]
    report = stores.audit(fix=True)
    assert (found(report), report.moving) == ({"stale": 7}, 5)
    assert {
        each for each, document in stores.solr.documents.items() if document["classified_at"][:4] == "1970"
    } == moved


def test_no_more_is_read_than_is_asked_for() -> None:
    stores = Stores()
    for damage in (other_bytes, chunks_alone, half_written, another_label):
        damage(stores, damage.__name__)
    assert found(stores.audit(corrected=None, originals=False, chunks=None)) == {"incomplete": 1, "orphan": 1}
    assert found(stores.audit(corrected=None, originals=False, pieces=False)) == {}
    assert found(stores.audit(fix=True, corrected=None, originals=False, chunks=None)) == {
        "incomplete": 1,
        "orphan": 1,
    }


def test_a_row_that_comes_has_its_chunks_back() -> None:
    """A worker that takes longer from the chunks of an image to its row than the grace period."""
    stores = Stores()
    late, gone = image("late", LARGE), image("gone", LARGE)
    stores.kudu.write(late, row=False)
    stores.kudu.write(gone, row=False)

    def meanwhile() -> None:
        if len(stores.slept) == 2:  # what was taken out is kept
            assert not stores.kudu.rows["image_chunks"]
            stores.kudu.write(late, chunks=False)
            stores.solr.write(late)

    stores.meanwhile = meanwhile
    report = stores.audit(fix=True)
    assert stores.slept == [1.0, 2.0]
    assert found(report) == {"orphan": 1}
    assert report.moving == 1
    assert {key[0] for key in stores.kudu.rows["image_chunks"]} == {"late"}
    assert found(stores.audit()) == {}


def test_a_chunk_that_is_written_anew_at_the_moment_at_which_it_is_deleted_is_not_put_back_as_it_was_before() -> (
    None
):
    stores = Stores()
    stores.write(image("a", LARGE))
    stores.write(image("a", 5))
    anew = sample_batch(["a"], [b"z" * LARGE])
    remove = stores.kudu.remove

    def write_and_remove(table: str, keys: Any) -> None:
        stores.kudu.write(anew, row=False)
        remove(table, keys)
        stores.kudu.write(anew, chunks=False)
        stores.solr.write(anew)

    stores.kudu.remove = write_and_remove  # type: ignore[method-assign]
    report = stores.audit(fix=True)
    assert report.left == 0
    assert {row["data"][:1] for row in stores.kudu.rows["image_chunks"].values()} == {b"z"}
    assert found(stores.audit()) == {}


def test_chunks_that_a_worker_has_written_again_are_its_own() -> None:
    stores = Stores()
    stores.kudu.write(image("a", LARGE), row=False)
    other = sample_batch(["a"], [b"z" * LARGE])

    def meanwhile() -> None:
        if len(stores.slept) == 2:
            stores.write(other)

    stores.meanwhile = meanwhile
    stores.audit(fix=True)
    assert found(stores.audit()) == {}


def test_chunks_that_were_put_back_for_an_image_that_is_deleted_then_go_again() -> None:
    stores = Stores()
    stores.kudu.write(image("a", LARGE), row=False)
    put_back = stores.kudu.put_back

    def meanwhile() -> None:
        if len(stores.slept) == 2:
            stores.write(image("a", LARGE))
            for key in list(stores.kudu.rows["image_chunks"]):
                del stores.kudu.rows["image_chunks"][key]

    def delete_and_put_back(table: str, chunks: Any) -> None:
        stores.delete("a")
        put_back(table, chunks)

    stores.meanwhile = meanwhile
    stores.kudu.put_back = delete_and_put_back  # type: ignore[method-assign]
    stores.audit(fix=True)
    assert not any(stores.kudu.rows.values())


def test_whoever_stops_an_audit_that_keeps_chunks_loses_none() -> None:
    stores = Stores()
    stores.kudu.write(image("a", LARGE), row=False)

    def meanwhile() -> None:
        if len(stores.slept) == 2:
            stores.kudu.write(image("a", LARGE), chunks=False)
            raise KeyboardInterrupt

    stores.meanwhile = meanwhile
    with pytest.raises(KeyboardInterrupt):
        stores.audit(fix=True)
    assert found(stores.audit()) == {"missing": 1}


def test_an_image_that_is_deleted_while_it_is_indexed_does_not_come_back() -> None:
    """It was classified within the hour: its document would pass for one whose row is on its way."""
    stores = Stores()
    stores.kudu.write(image("a", classified_at=2**52))
    put = stores.solr.put

    def delete_and_put(*arguments: Any) -> Any:
        stores.kudu.delete(["a"])
        return put(*arguments)

    stores.solr.put = delete_and_put  # type: ignore[method-assign]
    stores.audit(fix=True)
    assert stores.solr.documents == {}
    stores.kudu.write(image("b"))
    stores.solr.put = lambda *arguments: (stores.delete("b"), put(*arguments))[1]  # type: ignore[method-assign]
    stores.audit(fix=True)
    assert stores.solr.documents == {}


@settings(max_examples=20)
@given(st.lists(st.sampled_from(list(DAMAGES)), min_size=1, max_size=6), st.integers(0, 60), st.booleans())
def test_a_store_that_goes_down_at_any_moment_leaves_what_can_be_gone_on_with(
    damages: list[Callable[..., None]], requests: int, solr: bool
) -> None:
    stores = damaged([nothing, *damages])
    intended = copy.deepcopy(stores)
    left = intended.audit(fix=True).left
    store: Any = stores.solr if solr else stores.kudu
    asked = 0

    def before() -> None:
        nonlocal asked
        asked += 1
        store.available = asked <= requests

    store.before = before
    with contextlib.suppress(StoreUnavailable):
        stores.audit(fix=True)
    store.before = lambda: None
    store.available = True
    assert stores.audit(fix=True).left == left
    assert stores.kudu.rows == intended.kudu.rows
