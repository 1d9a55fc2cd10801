"""Several texts in one cell, and the way back from rows to a batch's columns."""

import pyarrow as pa

from flumen.interceptor.columns import Column, Kind
from flumen.stores.kudu import columns_of
from flumen.stores.kudu.lists import json_arrays
from flumen.stores.kudu.rows import build
from flumen.stores.kudu.schema import images_table

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("keywords", Kind.STRINGS, ""),
    Column("taken_at", Kind.TIMESTAMP, ""),
    Column("palette", Kind.JSON, ""),
)


def test_order_quotes_and_nulls_are_kept() -> None:
    texts = [["zebra", 'a "quoted" word', "ünï"], None, []]
    assert json_arrays(texts) == ['["zebra","a \\"quoted\\" word","ünï"]', None, "[]"]


def test_rows_are_columns_again() -> None:
    values = {
        "id": ["a", "b"],
        "keywords": [["zebra", "apple", "zebra"], None],
        "taken_at": [1_700_000_000_123_456, None],
        "palette": ['[{"name":"black"}]', None],
    }
    table = images_table("", COLUMNS)
    cells = {**values, "keywords": json_arrays(values["keywords"]), "chunks": [0, 0], "view_chunks": [0, 0]}
    rows, failures = build(table, cells, 2)
    assert not failures
    assert columns_of(rows, COLUMNS) == values
    assert columns_of(rows.select(["id"]), COLUMNS) == {"id": ["a", "b"]}


def test_a_text_that_is_none_refuses_its_row_alone() -> None:
    cells = {"id": ["a", "b"], "keywords": json_arrays([["half a pair: \ud83d"], ["fits"]])}
    rows, failures = build(
        images_table("", COLUMNS[:2]), cells | {"chunks": [0, 0], "view_chunks": [0, 0]}, 2
    )
    assert list(failures) == [0]
    assert "'keywords'" in failures[0]
    assert isinstance(rows, pa.RecordBatch)
