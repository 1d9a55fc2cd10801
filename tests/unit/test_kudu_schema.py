"""Which columns flumen's tables have, what counts as another table, and which options are refused."""

from dataclasses import replace
from typing import Any

import pytest

from interceptor.columns import Column, Kind
from stores.errors import SchemaMismatch, StoreError
from stores.kudu import KuduOptions
from stores.kudu.schema import (
    ARROW_TYPES,
    KUDU_TYPES,
    Table,
    TableColumn,
    check,
    chunks_table,
    images_table,
    predictions_table,
)

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("knownlabel", Kind.INT32, ""),
    Column("ingested_at", Kind.TIMESTAMP, ""),
    Column("confidence", Kind.FLOAT, ""),
)


def test_images_have_the_declared_columns_and_the_image() -> None:
    table = images_table("test_", COLUMNS)
    assert table.name == "test_images"
    assert table.keys == ("id",)
    assert table.arrow.names == [
        "id",
        "knownlabel",
        "ingested_at",
        "confidence",
        "image",
        "chunks",
        "view_chunks",
    ]
    assert [str(column) for column in table.columns] == [
        "STRING key",
        "INT32",
        "UNIXTIME_MICROS",
        "FLOAT",
        "BINARY",
        "INT32 not null",
        "INT32 not null",
    ]


def test_keys_of_the_other_tables() -> None:
    assert chunks_table("").keys == ("id", "seq")
    assert predictions_table("").keys == ("id", "model", "model_version")


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_type_in_kudu_and_in_arrow(kind: Kind) -> None:
    assert KUDU_TYPES[kind] in ARROW_TYPES


def test_the_order_of_columns_does_not_matter() -> None:
    expected = images_table("", COLUMNS)
    check(expected, replace(expected, columns=tuple(reversed(expected.columns))))


def test_all_differences_are_named() -> None:
    expected = images_table("", COLUMNS)
    kept = tuple(column for column in expected.columns if column.name not in ("knownlabel", "confidence"))
    others = (TableColumn("knownlabel", "string"), TableColumn("camera", "decimal"))
    with pytest.raises(SchemaMismatch) as caught:
        check(expected, Table("images", kept + others))
    message = str(caught.value)
    assert "column 'knownlabel' is STRING, expected INT32" in message
    assert "column 'confidence' is missing, expected FLOAT" in message
    assert "column 'camera' is DECIMAL, expected no such column" in message
    assert "'images'" in message


def test_a_column_that_may_be_null_is_another_column() -> None:
    expected = images_table("", COLUMNS)
    loose = [
        replace(column, nullable=True) if column.name == "chunks" else column for column in expected.columns
    ]
    with pytest.raises(SchemaMismatch, match="'chunks' is INT32, expected INT32 not null"):
        check(expected, Table("images", tuple(loose)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("masters", " , "),
        ("driver", "odbc"),
        ("partitions", 1),
        ("replicas", 2),
        ("replicas", 0),
        ("timeout_s", 0),
        ("timeout_s", float("nan")),
    ],
)
def test_an_option_out_of_bounds_is_named(field: str, value: Any) -> None:
    with pytest.raises(StoreError, match=f"{field}=.*{value}"):
        KuduOptions(**({"masters": "localhost:7051"} | {field: value}))


def test_masters_are_split() -> None:
    assert KuduOptions(masters="a:1, b:2,").addresses == ["a:1", "b:2"]
