"""Columns become rows that Kudu takes: what cannot be stored is found row by row, and flushes stay small."""

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.kudu.driver import FLUSH_BYTES, FLUSH_ROWS, Write
from flumen.stores.kudu.encoding import chunk_parts, image_rows, long_answers
from flumen.stores.kudu.packed import pack
from flumen.stores.kudu.rows import MAX_TIMESTAMP, MIN_TIMESTAMP, Part, build, flushes
from flumen.stores.kudu.schema import (
    CHUNK_BYTES,
    MAX_CELL_BYTES,
    MAX_KEY_BYTES,
    Table,
    TableColumn,
    chunks_table,
    images_table,
    predictions_table,
)

TABLE = Table(
    "t",
    (
        TableColumn("id", "string", nullable=False, key=True),
        TableColumn("text", "string"),
        TableColumn("blob", "binary"),
        TableColumn("number", "int32"),
        TableColumn("time", "unixtime_micros"),
        TableColumn("share", "float"),
        TableColumn("flag", "bool"),
    ),
)


def reasons(name: str, values: Any) -> dict[int, str]:
    ids = [str(row) for row in range(len(values))]
    _, failures = build(TABLE, {"id": ids, name: values}, len(values))
    return failures


@pytest.mark.parametrize(
    ("name", "good", "bad", "reason"),
    [
        ("text", "x" * MAX_CELL_BYTES, "x" * (MAX_CELL_BYTES + 1), "65,536 bytes"),
        ("text", "\0", "\ud800", "surrogates"),
        ("text", "é", b"\xff", "string"),
        ("text", None, 7, "string"),
        ("blob", b"x" * MAX_CELL_BYTES, b"x" * (MAX_CELL_BYTES + 1), "65,536 bytes"),
        ("number", 2**31 - 1, 2**31, "int32"),
        ("number", -1, "7", "int32"),
        ("time", MIN_TIMESTAMP, MIN_TIMESTAMP - 1, "years 1 to 9999"),
        ("time", MAX_TIMESTAMP, MAX_TIMESTAMP + 1, "years 1 to 9999"),
        ("flag", True, "yes", "bool"),
        ("id", "x" * MAX_KEY_BYTES, "x" * (MAX_KEY_BYTES + 1), "16,384 bytes"),
        ("id", "a", None, "no value"),
    ],
)
def test_one_bad_value_fails_its_row_alone(name: str, good: Any, bad: Any, reason: str) -> None:
    failures = reasons(name, [good, bad, good])
    assert list(failures) == [1]
    assert reason in failures[1]
    assert name in failures[1]


def test_a_key_of_several_columns_counts_them_all() -> None:
    table = predictions_table("")
    # id, its end, model, its end, model_version
    longest = MAX_KEY_BYTES - 2 - len("mnist") - 2 - 4
    ids = ["x" * longest, "x" * (longest + 1), "\0" + "x" * (longest - 1)]
    _, failures = build(table, {"id": ids, "model": ["mnist"] * 3, "model_version": [1] * 3}, 3)
    assert list(failures) == [1, 2]
    assert "16,384" in failures[1]


def test_numpy_columns_are_taken_as_they_are() -> None:
    values = {
        "id": ["a", "b"],
        "number": np.array([1, 2], dtype=np.int64),
        "time": np.array([5, 6], dtype=np.int64),
        "share": np.array([0.25, np.nan], dtype=np.float32),
        "flag": np.array([True, False]),
    }
    rows, failures = build(TABLE, values, 2)
    assert not failures
    assert rows.column("number").to_pylist() == [1, 2]
    assert rows.column("time").view(pa.int64()).to_pylist() == [5, 6]
    assert rows.column("share")[0].as_py() == 0.25
    assert np.isnan(rows.column("share")[1].as_py())
    assert rows.column("text").null_count == 2


def test_a_column_that_is_null_in_every_row_needs_no_conversion() -> None:
    values = {"id": ["a", "b"], "text": [None, None], "number": [None, 3], "blob": [None, np.zeros(2)]}
    rows, failures = build(TABLE, values, 2)
    assert [rows.column(name).null_count for name in ("text", "number", "time")] == [2, 1, 2]
    assert list(failures) == [1]
    rows, _ = build(TABLE, {"id": []}, 0)
    assert rows.num_rows == 0


@given(
    st.lists(
        st.tuples(
            st.text(max_size=5) | st.just("\ud800"),
            st.none() | st.text() | st.just("\udfff") | st.binary() | st.integers(),
            st.none() | st.integers() | st.text(max_size=3) | st.floats(),
            st.none() | st.integers(),
        )
    )
)
def test_any_values_are_rows_or_failures(values: list[tuple[Any, Any, Any, Any]]) -> None:
    columns = dict(zip(("id", "text", "number", "time"), zip(*values, strict=True), strict=False))
    rows, failures = build(TABLE, {name: list(column) for name, column in columns.items()}, len(values))
    assert rows.num_rows == len(values)
    assert set(failures) <= set(range(len(values)))
    good = [row for row in range(len(values)) if row not in failures]
    kept = rows.take(pa.array(good, pa.int64()))
    kept.validate(full=True)
    assert kept.column("id").to_pylist() == [values[row][0] for row in good]


def test_rows_can_be_made_in_another_process_than_the_one_that_stores_them() -> None:
    columns = (
        Column("id", Kind.STRING, "", nullable=False),
        Column("keywords", Kind.STRINGS, ""),
        Column("model", Kind.STRING, ""),
        Column("model_version", Kind.INT32, ""),
    )
    large = bytes(CHUNK_BYTES + 1)
    images = [ImageMessage("a", b"x", 0), ImageMessage("b", large, 0), ImageMessage("c" * 16_375, b"y", 0)]
    values = {"id": [image.id for image in images], "keywords": [["x", "y"], None, [5]]}
    answers = {"model": ["mnist"] * 3, "model_version": np.array([1, 1, 1], np.int32)}
    batch = Batch(images, {**values, **answers, "probabilities": np.ones((3, 2), np.float32)})
    table, predictions, chunks = images_table("", columns), predictions_table(""), chunks_table("")

    def encoded(table: Table, predictions: Table, chunks: Table, batch: Batch) -> Any:
        rows, reasons = image_rows(table, ["keywords"], batch)
        parts = list(chunk_parts(chunks, batch, [image.content for image in batch.images], reasons))
        return rows, reasons, long_answers(predictions, batch), parts, pack(rows)[0]

    there = pickle.loads(pickle.dumps((table, predictions, chunks, batch)))
    found = pickle.loads(pickle.dumps(encoded(*there)))
    assert found == encoded(table, predictions, chunks, batch)
    rows, reasons, long, parts, _ = found
    assert rows.column("image").to_pylist() == [b"x", None, b"y"]
    assert rows.column("chunks").to_pylist() == [0, 2, 0]
    assert rows.column("keywords").to_pylist()[:2] == ['["x","y"]', None]
    assert rows.column("probabilities")[0].as_py() == np.ones(2, "<f4").tobytes()
    assert (list(reasons), list(long)) == ([], [2])
    assert [piece.write.rows.num_rows for piece in parts] == [2]


def part(sizes: list[int]) -> Part:
    rows = pa.RecordBatch.from_pydict(
        {"row": list(range(len(sizes))), "data": [b"x" * size for size in sizes]}
    )
    return Part(Write("t", rows), [10 * row for row in range(len(sizes))])


@pytest.mark.parametrize(
    "sizes",
    [
        [[1] * 500],
        [[FLUSH_BYTES // 3] * 10, [5], [FLUSH_BYTES // 2] * 3],
        [[1] * (FLUSH_ROWS + 1)],
        [[3 * FLUSH_BYTES], [1]],
        [[]],
    ],
)
def test_flushes_are_small_and_keep_every_row_in_order(sizes: list[list[int]]) -> None:
    parts = [part(each) for each in sizes]
    groups = list(flushes(parts))
    for group in groups:
        rows = [piece.write.rows for piece in group]
        count = sum(batch.num_rows for batch in rows)
        assert count == 1 or (count <= FLUSH_ROWS and sum(batch.nbytes for batch in rows) <= FLUSH_BYTES)
        assert all(column.offset == 0 for batch in rows for column in batch.columns)
    pieces = [piece for group in groups for piece in group]
    assert [row for piece in pieces for row in piece.write.rows.column("row").to_pylist()] == [
        row for each in sizes for row in range(len(each))
    ]
    assert [position for piece in pieces for position in piece.positions] == [
        position for whole in parts for position in whole.positions
    ]


def test_a_small_batch_is_one_flush() -> None:
    assert [len(group) for group in flushes([part([1]), part([2, 3])])] == [2]
