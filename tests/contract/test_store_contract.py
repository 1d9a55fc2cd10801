"""What every store promises: one suite over memory, Solr and both of Kudu's drivers."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from contract_samples import COLUMNS, as_written, sample_batch

from flumen.interceptor.batch import Batch
from flumen.interceptor.columns import Kind
from flumen.stores.errors import SchemaMismatch, StoreClosed, StoreUnavailable
from flumen.stores.sink import Failure, Sink

if TYPE_CHECKING:
    from conftest import StoreUnderTest

CELL_BYTES = 60 * 1024
LONG_ID = "x" * 40_000
"""Longer than any store takes as a key."""
LONE_SURROGATE = "half a pair: \ud83d"

IDS = [
    "plain",
    "PLAIN",
    " spaces around ",
    "tab\tand\nnewline",
    "nul\x00inside",
    "a,b",
    "slash/and\\backslash",
    "../../etc/passwd",
    "quotes ' and \"",
    "query?a=1&b=2#c%20d",
    "*:*",
    "+a -b && c || !d (e) {f} [g] ^h ~i ?j :k",
    "{!func}rord(id)",
    "émoji 🎉👩‍👩‍👧",
    "שלום עולם",
    "\u202eright to left override",
    "caf\u00e9",
    "cafe\u0301",
    "日本語",
    "\U0001f1e9\U0001f1ea",
    "x" * 10_000,
]


def connected(store: "StoreUnderTest") -> Sink:
    sink = store.make_sink(COLUMNS)
    sink.connect()
    return sink


def rows_of(failures: Sequence[Failure]) -> list[int]:
    return [failure.row for failure in failures]


def test_connect_creates_what_is_missing_and_then_checks_it(store: "StoreUnderTest") -> None:
    first, second = connected(store), connected(store)
    assert not first.write(sample_batch(["a"]))
    assert not second.write(sample_batch(["b"]))
    first.close()
    first.connect()
    assert not first.write(sample_batch(["c"]))
    store.settle()
    assert store.make_reader().count() == 3


def test_workers_may_create_at_the_same_time(store: "StoreUnderTest") -> None:
    sinks = [store.make_sink(COLUMNS) for _ in range(3)]
    with ThreadPoolExecutor(len(sinks)) as pool:
        list(pool.map(lambda sink: sink.connect(), sinks))
    for row, sink in enumerate(sinks):
        assert not sink.write(sample_batch([f"from {row}"]))
    store.settle()
    assert store.make_reader().count() == len(sinks)


def test_another_schema_is_an_error_and_stays_as_it_is(store: "StoreUnderTest") -> None:
    connected(store).write(sample_batch(["a"]))
    others = [replace(column, kind=Kind.STRING) if column.name == "width" else column for column in COLUMNS]
    with pytest.raises(SchemaMismatch, match="width"):
        store.make_sink(others).connect()
    row = store.make_reader().get("a")
    assert row is not None
    assert row["width"] == 28


def test_a_server_that_is_not_there_is_named_soon(store: "StoreUnderTest") -> None:
    sink = store.make_unreachable(COLUMNS)
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match=store.unreachable_address) as caught:
        sink.connect()
    assert caught.value.retriable
    assert time.monotonic() - started < 30


def test_write_needs_a_connection(store: "StoreUnderTest") -> None:
    sink = store.make_sink(COLUMNS)
    with pytest.raises(StoreClosed):
        sink.write(sample_batch(["a"]))
    sink.connect()
    sink.close()
    sink.close()
    with pytest.raises(StoreClosed):
        sink.write(sample_batch(["a"]))
    with pytest.raises(StoreClosed):
        sink.remove(sample_batch(["a"]))


def test_every_column_comes_back(store: "StoreUnderTest") -> None:
    batch = sample_batch(["a", "b", "c"])
    assert not connected(store).write(batch)
    reader = store.make_reader()
    for position, image in enumerate(batch.images):
        row = reader.get(image.id)
        assert row is not None
        for column in COLUMNS:
            expected = batch.columns[column.name][position]
            if column.kind is Kind.TIMESTAMP:
                assert row[column.name] == expected // store.time_step * store.time_step
            elif column.kind is Kind.FLOAT:
                assert np.float32(row[column.name]) == expected
            elif column.kind not in (Kind.BINARY, Kind.JSON) or store.keeps_images:
                assert as_written(row[column.name], column) == expected, column.name
        assert row.get("image") == (image.content if store.keeps_images else None)
    assert reader.get("d") is None


def test_written_twice_is_stored_once(store: "StoreUnderTest") -> None:
    sink = connected(store)
    sink.write(sample_batch(["a", "b"], label=["old", "old"], knownlabel=[7, 7]))
    sink.write(sample_batch(["a", "b"], label=["new", "old"], knownlabel=[None, 7]))
    store.settle()
    reader = store.make_reader()
    assert reader.count() == 2
    row = reader.get("a")
    assert row is not None
    assert (row["label"], row["knownlabel"]) == ("new", None)


def test_the_last_of_duplicates_in_a_batch_wins(store: "StoreUnderTest") -> None:
    contents = [b"first", b"other", b"last"]
    failures = connected(store).write(
        sample_batch(["a", "b", "a"], contents, label=["first", "other", "last"])
    )
    assert not failures
    store.settle()
    reader = store.make_reader()
    assert reader.count() == 2
    row = reader.get("a")
    assert row is not None
    assert row["label"] == "last"
    assert row.get("image") == (b"last" if store.keeps_images else None)


def test_bad_rows_fail_alone_also_where_there_are_no_others(store: "StoreUnderTest") -> None:
    ids = ["good 0", LONE_SURROGATE, "good 2", LONG_ID, "good 4", "bad label", "bad number", "good 7"]
    labels = ["1"] * len(ids)
    labels[5] = LONE_SURROGATE
    known: list[int | None] = [None] * len(ids)
    known[6] = 2**31
    sink = connected(store)
    assert rows_of(sink.write(sample_batch([LONG_ID, LONE_SURROGATE]))) == [0, 1]
    failures = sink.write(sample_batch(ids, label=labels, knownlabel=known))
    assert rows_of(failures) == [1, 3, 5, 6]
    assert all(failure.reason.strip() for failure in failures)
    store.settle()
    reader = store.make_reader()
    assert reader.count() == 4
    assert all(reader.get(ids[row]) for row in (0, 2, 4, 7))


def test_ids_are_any_text(store: "StoreUnderTest") -> None:
    assert not connected(store).write(sample_batch(IDS, name=IDS))
    store.settle()
    reader = store.make_reader()
    assert reader.count() == len(IDS)
    for image_id in IDS:
        row = reader.get(image_id)
        assert row is not None, image_id
        assert (row["id"], row["name"]) == (image_id, image_id)


def test_batches_of_any_size(store: "StoreUnderTest") -> None:
    sink, reader = connected(store), store.make_reader()
    for size in (0, 1, 2_000):
        ids = [f"image {row}" for row in range(size)]
        assert not sink.write(sample_batch(ids))
        store.settle()
        assert reader.count() == size
        if ids:
            last = reader.get(ids[-1])
            assert last is not None
            assert last["label"] == str((size - 1) % 10)
    assert not sink.write(Batch([]))


def test_nulls_are_kept_and_no_float_refuses_its_row(store: "StoreUnderTest") -> None:
    sink = connected(store)
    nullable = [column.name for column in COLUMNS if column.nullable]
    nothing: dict[str, Any] = {name: [None, None] for name in nullable}
    assert not sink.write(sample_batch(["a", "b"], **nothing))
    row = store.make_reader().get("b")
    assert row is not None
    assert {name: row.get(name) for name in nullable} == dict.fromkeys(nullable)
    nan, infinite = float("nan"), float("inf")
    floats = {
        "latitude": [nan, infinite, 90.5, -1e308, 0.0, 5e-324],
        "longitude": [0.0, 1.0, 2.0, -infinite, 180.5, -180.0],
        "confidence": [0.5, nan, infinite, -infinite, 1e39, 1e-46],
    }
    assert not sink.write(sample_batch(list("cdefgh"), **floats))


def test_large_images_come_back_byte_for_byte(store: "StoreUnderTest") -> None:
    sink, reader = connected(store), store.make_reader()
    for size in (CELL_BYTES, CELL_BYTES + 1, 3 * CELL_BYTES + 7):
        content = np.random.default_rng(size).bytes(size)
        assert not sink.write(sample_batch(["small", f"large {size}"], [b"s", content]))
        row = reader.get(f"large {size}")
        assert row is not None
        assert row["size_bytes"] == size
        assert row.get("image") == (content if store.keeps_images else None)


def test_a_large_image_may_become_small_and_large_again(store: "StoreUnderTest") -> None:
    sink, reader = connected(store), store.make_reader()
    for size in (5 * CELL_BYTES, 2 * CELL_BYTES, 10, 3 * CELL_BYTES):
        content = np.random.default_rng(size).bytes(size)
        assert not sink.write(sample_batch(["a"], [content]))
        row = reader.get("a")
        assert row is not None
        assert row["size_bytes"] == size
        assert row.get("image") == (content if store.keeps_images else None)


def test_a_view_as_large_as_a_cell_and_larger(store: "StoreUnderTest") -> None:
    """What a model of 224 x 224 pixels in RGB sees takes 150 KB."""
    sink, reader = connected(store), store.make_reader()
    contents = {"a": np.random.default_rng(2).bytes(3 * CELL_BYTES), "b": b"small"}
    for size in (CELL_BYTES, CELL_BYTES + 1, 224 * 224 * 3 + 15):
        view = np.random.default_rng(size).bytes(size)
        batch = sample_batch(["a", "b"], list(contents.values()), image_as_pgm=[view, b"P5 small"])
        assert not sink.write(batch)
        for image_id, seen in (("a", view), ("b", b"P5 small")):
            row = reader.get(image_id)
            assert row is not None
            assert row.get("image_as_pgm") == (seen if store.keeps_images else None)
            assert row.get("image") == (contents[image_id] if store.keeps_images else None)
    assert not sink.write(sample_batch(["a"], [contents["a"]], image_as_pgm=[b"P5 small again"]))
    row = reader.get("a")
    assert row is not None
    assert row.get("image_as_pgm") == (b"P5 small again" if store.keeps_images else None)


def test_what_is_removed_is_gone_and_the_others_stay(store: "StoreUnderTest") -> None:
    sink = connected(store)
    large = b"x" * (2 * CELL_BYTES)
    batch = sample_batch(["stays", "goes", "<goes & too>", "nul\x00goes"], [b"a", large, b"c", b"d"])
    assert not sink.write(batch)
    sink.remove(batch.take([1, 2, 3]))
    sink.remove(batch.take([1]))  # not there any more, and no failure
    sink.remove(batch.take([]))
    store.settle()
    reader = store.make_reader()
    assert reader.count() == 1
    assert reader.get("stays") is not None
    assert [reader.get(image_id) for image_id in ("goes", "<goes & too>", "nul\x00goes")] == [None] * 3
    assert not sink.write(batch.take([1]))
    store.settle()
    assert reader.get("goes") is not None
