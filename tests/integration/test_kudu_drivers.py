"""Both drivers against a real Kudu, below the checks of the sink: what the server refuses, what a scan returns."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import StoreClosed, StoreRefused, StoreUnavailable
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink, Predicate, of_images
from flumen.stores.kudu.driver import Driver, Write, open_driver
from flumen.stores.kudu.jvm import JvmDriver
from flumen.stores.kudu.schema import CHUNK_BYTES, Table, TableColumn
from flumen.stores.kudu.writing import flush

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("prediction", Kind.INT32, ""),
    Column("model", Kind.STRING, ""),
    Column("model_version", Kind.INT32, ""),
    Column("confidence", Kind.FLOAT, ""),
)


@pytest.fixture
def driver(kudu_options: KuduOptions) -> Iterator[Driver]:
    driver = open_driver(kudu_options)
    yield driver
    driver.close()


@pytest.fixture
def table(driver: Driver, kudu_options: KuduOptions) -> Table:
    """A table with a column of each type, and these rows: see `ROWS`."""
    table = Table(
        f"{kudu_options.table_prefix}types",
        (
            TableColumn("id", "string", nullable=False, key=True),
            TableColumn("text", "string"),
            TableColumn("blob", "binary"),
            TableColumn("flag", "bool"),
            TableColumn("small", "int32"),
            TableColumn("large", "int64"),
            TableColumn("share", "float"),
            TableColumn("exact", "double"),
            TableColumn("time", "unixtime_micros"),
        ),
    )
    driver.create(table)
    assert driver.apply([Write(table.name, rows(table, ROWS))]) == [{}]
    return table


ROWS: list[dict[str, Any]] = [
    {"id": "nothing"},
    {
        "id": "least",
        "text": "",
        "blob": b"",
        "flag": False,
        "small": -(2**31),
        "large": -(2**63),
        "share": -0.5,
        "exact": -1e300,
        "time": -62_135_596_800_000_000,
    },
    {
        "id": "größte 🎉",
        "text": "text",
        "blob": bytes(range(256)) * 256,
        "flag": True,
        "small": 2**31 - 1,
        "large": 2**63 - 1,
        "share": 0.5,
        "exact": 0.1,
        "time": 253_402_300_799_999_999,
    },
]


def rows(table: Table, values: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    arrays = [pa.array([row.get(field.name) for row in values], field.type) for field in table.arrow]
    return pa.RecordBatch.from_arrays(arrays, schema=table.arrow)


def ids(driver: Driver, table: Table, *predicates: Predicate) -> list[str]:
    found = driver.scan(table.name, ["id"], predicates)
    return sorted(value for batch in found for value in batch.column("id").to_pylist())


def test_every_type_comes_back(driver: Driver, table: Table) -> None:
    assert driver.describe(table.name) == table
    assert table.name in driver.tables()
    batches = list(driver.scan(table.name, table.arrow.names))
    assert sum(batch.num_rows for batch in batches) == len(ROWS)
    for batch in batches:
        batch.validate(full=True)
        assert batch.schema == table.arrow
    found = pa.Table.from_batches(batches).sort_by("id")
    assert found.equals(pa.Table.from_batches([rows(table, ROWS)]).sort_by("id"))


@pytest.mark.parametrize("kudu_options", ["jvm"], indirect=True)
def test_a_table_gets_two_partitions_for_each_server(kudu_options: KuduOptions) -> None:
    driver = JvmDriver(replace(kudu_options, partitions=None))
    name = f"{kudu_options.table_prefix}spread"
    driver.create(Table(name, (TableColumn("id", "string", nullable=False, key=True),)))
    servers = driver._client.listTabletServers().getTabletServersCount()
    assert driver._client.openTable(name).getTabletsLocations(60_000).size() == 2 * servers
    driver.close()


def test_columns_come_in_the_order_asked_for(driver: Driver, table: Table) -> None:
    batches = driver.scan(table.name, ["small", "id"], [Predicate("id", "=", ("least",))])
    assert [batch.to_pydict() for batch in batches] == [{"small": [-(2**31)], "id": ["least"]}]


PREDICATES = [
    (Predicate("text", "=", ("text",)), ["größte 🎉"]),
    (Predicate("text", "<", ("text",)), ["least"]),
    (Predicate("id", "in", ("größte 🎉", "nobody")), ["größte 🎉"]),
    (Predicate("flag", "=", (False,)), ["least"]),
    (Predicate("small", ">=", (2**31 - 1,)), ["größte 🎉"]),
    (Predicate("small", "in", (1, -(2**31))), ["least"]),
    (Predicate("large", ">", (-(2**63),)), ["größte 🎉"]),
    (Predicate("share", "<=", (-0.5,)), ["least"]),
    (Predicate("exact", ">", (0.0,)), ["größte 🎉"]),
    (Predicate("time", "=", (253_402_300_799_999_999,)), ["größte 🎉"]),
    (Predicate("time", "<", (0,)), ["least"]),
    (Predicate("blob", "is null"), ["nothing"]),
    (Predicate("time", "is not null"), ["größte 🎉", "least"]),
]


def test_kudu_tests_the_predicates(driver: Driver, table: Table) -> None:
    for predicate, expected in PREDICATES:
        assert ids(driver, table, predicate) == expected, predicate


def test_the_server_refuses_a_row_and_stores_its_neighbours(driver: Driver, table: Table) -> None:
    values = [{"id": "a"}, {"id": "b", "text": "x" * 70_000}, {"id": "c"}, {"id": "d" * 17_000}]
    failures = driver.apply([Write(table.name, rows(table, ROWS)), Write(table.name, rows(table, values))])
    assert [list(refused) for refused in failures] == [[], [1, 3]]
    assert "70000" in failures[1][1]
    assert {"a", "c"} <= set(ids(driver, table))
    assert driver.apply([Write(table.name, rows(table, [{"id": "e"}]))]) == [{}]


def test_scans_may_be_nested_and_left(driver: Driver, table: Table) -> None:
    many = [{"id": f"{number:06}", "blob": bytes(1_000)} for number in range(5_000)]
    driver.apply([Write(table.name, rows(table, many))])
    outer = driver.scan(table.name, ["id", "blob"])
    seen = next(outer).num_rows
    assert 0 < seen < 5_000
    assert ids(driver, table, Predicate("id", "=", ("004999",))) == ["004999"]
    seen += sum(batch.num_rows for batch in outer)
    assert seen == 5_000 + len(ROWS)
    left = driver.scan(table.name, ["id", "blob"])
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert len(ids(driver, table)) == 5_000 + len(ROWS)


def test_a_table_that_is_not_there_is_named(driver: Driver, kudu_options: KuduOptions) -> None:
    name = f"{kudu_options.table_prefix}nowhere"
    assert driver.describe(name) is None
    with pytest.raises(StoreRefused, match=name):
        next(iter(driver.scan(name, ["id"])))


def test_a_closed_driver_says_so(kudu_options: KuduOptions) -> None:
    driver = open_driver(kudu_options)
    driver.close()
    driver.close()
    with pytest.raises(StoreClosed):
        driver.tables()


def batch_of(contents: Sequence[bytes], **columns: Any) -> Batch:
    images = [ImageMessage(f"image {row}", content, 0) for row, content in enumerate(contents)]
    values = {
        "id": [image.id for image in images],
        "prediction": list(range(len(images))),
        "model": ["mnist"] * len(images),
        "model_version": [3] * len(images),
    }
    return Batch(images, values | columns)


@pytest.fixture
def sink(kudu_options: KuduOptions) -> Iterator[KuduSink]:
    sink = KuduSink(kudu_options, COLUMNS)
    sink.connect()
    yield sink
    sink.close()


@pytest.fixture
def reader(kudu_options: KuduOptions) -> Iterator[KuduReader]:
    reader = KuduReader(kudu_options)
    yield reader
    reader.close()


def test_large_images_are_cut_and_restored(sink: KuduSink, reader: KuduReader) -> None:
    random = np.random.default_rng(7)
    sizes = [1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 9_000_000]
    contents = [random.bytes(size) for size in sizes]
    assert not sink.write(batch_of(contents))
    assert [reader.read_image(f"image {row}") for row in range(len(sizes))] == contents
    rows_there = [
        row for part in reader.scan("images", ["id", "chunks", "image"]) for row in part.to_pylist()
    ]
    by_id = {row["id"]: row for row in rows_there}
    assert [by_id[f"image {row}"]["chunks"] for row in range(len(sizes))] == [0, 0, 2, 2, 147]
    assert [by_id[f"image {row}"]["image"] is None for row in range(len(sizes))] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_an_image_without_its_chunks_is_an_error(
    kudu_options: KuduOptions, sink: KuduSink, reader: KuduReader, driver: Driver
) -> None:
    sink.write(batch_of([bytes(CHUNK_BYTES + 1)]))
    names = reader.schema("images").names
    row = next(iter(reader.scan("images", names)))
    torn = row.set_column(names.index("chunks"), "chunks", pa.array([3], pa.int32()))
    assert set(reader.tables()) >= {"images", "image_chunks", "predictions"}
    driver.apply([Write(f"{kudu_options.table_prefix}images", torn)])
    with pytest.raises(StoreRefused, match="2 of its 3 image chunks"):
        reader.read_image("image 0")
    with pytest.raises(KeyError):
        reader.read_image("nobody")


def answers(reader: KuduReader, table: str) -> dict[tuple[str, str, int | None], dict[str, Any]]:
    names = ["id", "model", "model_version", "prediction", "confidence", "probabilities"]
    found = [row for part in reader.scan(table, names) for row in part.to_pylist()]
    return {(row["id"], row["model"], row["model_version"]): row for row in found}


def numbers(found: dict[tuple[str, str, int | None], dict[str, Any]]) -> dict[tuple[str, int | None], int]:
    return {(image_id, version): row["prediction"] for (image_id, _, version), row in found.items()}


def probabilities_of(row: dict[str, Any]) -> list[float]:
    stored: list[float] = np.frombuffer(row["probabilities"], "<f4").tolist()
    return stored


PROBABILITIES = np.array([[0.25, 0.75], [1, 0]], dtype=np.float32)


def answered(version: int | None = 3, **columns: Any) -> Batch:
    return batch_of(
        [b"a", b"b"],
        model_version=[version] * 2,
        **{"probabilities": PROBABILITIES, "confidence": PROBABILITIES.max(axis=1), **columns},
    )


def test_an_image_has_its_answer_beside_it_and_one_that_is_delivered_again_adds_none(
    sink: KuduSink, reader: KuduReader
) -> None:
    for _ in range(2):
        assert not sink.write(answered())
    found = answers(reader, "images")
    assert numbers(found) == {("image 0", 3): 0, ("image 1", 3): 1}
    assert found["image 0", "mnist", 3]["confidence"] == 0.75
    assert probabilities_of(found["image 0", "mnist", 3]) == [0.25, 0.75]
    assert answers(reader, "predictions") == {}


def test_every_answer_of_every_model_is_kept(sink: KuduSink, reader: KuduReader) -> None:
    sink.write(answered())
    sink.write(answered(None, prediction=[5, 6]))  # by a chain that does not classify
    sink.write(answered(4, prediction=[7, 8], probabilities=PROBABILITIES[::-1]))
    sink.write(answered(3, prediction=[2, 3]).take([0]))  # rolled back, and another answer than before
    assert numbers(answers(reader, "images")) == {("image 0", 3): 2, ("image 1", 4): 8}
    kept = answers(reader, "predictions")
    assert numbers(kept) == {("image 0", 3): 0, ("image 1", 3): 1, ("image 0", 4): 7}
    assert kept["image 0", "mnist", 3]["confidence"] == 0.75
    assert probabilities_of(kept["image 0", "mnist", 4]) == [1, 0]
    sink.write(answered(5, prediction=[9, 9]).take([0]))
    assert numbers(answers(reader, "predictions"))["image 0", 3] == 2, "what that version said last"
    sink.remove(answered(5))
    assert answers(reader, "predictions") == answers(reader, "images") == {}


def test_an_answer_of_an_earlier_version_of_flumen_is_not_thinned(sink: KuduSink, reader: KuduReader) -> None:
    """It stands in both tables, and its probabilities in `predictions` alone."""
    sink.write(answered(3))
    sink.write(answered(4))
    sink.write(answered(3).without("probabilities"))
    sink.write(answered(4))
    kept = answers(reader, "predictions")
    assert numbers(kept) == {(f"image {row}", version): row for row in (0, 1) for version in (3, 4)}
    assert probabilities_of(kept["image 0", "mnist", 3]) == [0.25, 0.75]


def test_one_id_twice_in_a_batch_is_one_image(sink: KuduSink, reader: KuduReader) -> None:
    images = [ImageMessage("twice", content, 0) for content in (b"first", b"last")]
    columns = {"id": ["twice"] * 2, "prediction": [1, 2], "model": ["mnist"] * 2, "model_version": [3] * 2}
    assert not sink.write(Batch(images, columns))
    assert reader.read_image("twice") == b"last"
    assert answers(reader, "predictions") == {}


def test_rows_are_found_and_deleted_by_how_their_keys_begin(
    driver: Driver, kudu_options: KuduOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(
        f"{kudu_options.table_prefix}keys",
        (
            TableColumn("id", "string", nullable=False, key=True),
            TableColumn("seq", "int32", nullable=False, key=True),
            TableColumn("n", "int32"),
        ),
    )
    driver.create(table)
    # Of every tenth, two rows.
    there = [
        {"id": f"{n}", "seq": seq, "n": n or None} for n in range(1_000) for seq in range(1 + (n % 10 == 0))
    ]
    driver.apply([Write(table.name, rows(table, there))])
    found = driver.find(table.name, ["n", "id"], ["0", "nobody", *map(str, range(300, 400)), "\0"])
    assert found.schema.names == ["n", "id"]
    expected = [{"n": row["n"], "id": row["id"]} for row in there if int(row["id"]) in (0, *range(300, 400))]
    assert sorted(found.to_pylist(), key=lambda row: int(row["id"])) == expected
    assert driver.find(table.name, ["id"], ["nobody"]).num_rows == 0
    for rows_a_lookup, gone in ((0, range(100)), (10**9, range(100, 200))):  # looked up, and scanned
        monkeypatch.setattr(of_images, "ROWS_A_LOOKUP", rows_a_lookup)
        flush(driver, of_images.deletion(driver, table, [*map(str, gone), "nobody", "\udcff"]))
        assert ids(driver, table) == sorted(
            row["id"] for row in there if int(row["id"]) not in range(gone.stop)
        )


def test_getting_ready_writes_nothing(driver: Driver, kudu_options: KuduOptions) -> None:
    table = Table(
        f"{kudu_options.table_prefix}ready",
        (TableColumn("id", "string", nullable=False, key=True), TableColumn("n", "int32")),
    )
    driver.create(table)
    driver.get_ready(Write(table.name, rows(table, [{"id": "sample", "n": 1}]), "insert"))
    driver.apply([Write(table.name, rows(table, [{"id": "stored", "n": 2}]), "insert")])
    assert driver.find(table.name, ["id", "n"], ["sample", "stored"]).to_pylist() == [
        {"id": "stored", "n": 2}
    ]


def test_a_chain_that_does_not_classify_stores_no_answers(
    kudu_options: KuduOptions, reader: KuduReader
) -> None:
    sink = KuduSink(kudu_options, COLUMNS[:1])
    sink.connect()
    image = ImageMessage("only an image", b"bytes", 0)
    assert not sink.write(Batch([image], {"id": [image.id]}))
    sink.close()
    assert reader.count() == 1
    assert list(reader.scan("predictions", ["id"])) == []


@pytest.mark.parametrize("kudu_options", ["native"], indirect=True)
def test_a_native_child_that_dies_is_started_anew(sink: KuduSink) -> None:
    assert not sink.write(batch_of([b"a"]))
    (child,) = _children()
    os.kill(child, signal.SIGKILL)
    with pytest.raises(StoreUnavailable, match="new one is started") as caught:
        sink.write(batch_of([b"a", b"b"]))
    assert caught.value.retriable
    assert not sink.write(batch_of([b"a", b"b"]))
    sink.close()
    assert not _children()


def _children() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]
