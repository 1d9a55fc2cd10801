"""Which columns flumen's tables have, what counts as another table, and which options are refused."""

from dataclasses import replace
from typing import Any

import pytest

from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import SchemaMismatch, StoreError
from flumen.stores.kudu import KuduOptions
from flumen.stores.kudu.rows import build
from flumen.stores.kudu.schema import (
    ARROW_TYPES,
    KUDU_TYPES,
    Table,
    TableColumn,
    as_written,
    check,
    check_what_stays,
    chunks_table,
    images_table,
    missing,
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
        "probabilities",
    ]
    assert [str(column) for column in table.columns] == [
        "STRING key",
        "INT32",
        "UNIXTIME_MICROS",
        "FLOAT",
        "BINARY",
        "INT32 not null",
        "INT32 not null",
        "BINARY",
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
    others = (TableColumn("knownlabel", "string"), TableColumn("camera", "decimal", nullable=False))
    with pytest.raises(SchemaMismatch) as caught:
        check(expected, Table("images", kept + others))
    message = str(caught.value)
    assert "column 'knownlabel' is STRING, expected INT32" in message
    assert "column 'confidence' is missing, expected FLOAT" in message
    assert "column 'camera' is DECIMAL not null, expected no such column" in message
    assert "'images'" in message


def with_column(table: Table, name: str, **changes: Any) -> Table:
    columns = (replace(column, **changes) if column.name == name else column for column in table.columns)
    return replace(table, columns=tuple(columns))


def test_a_column_that_was_added_later_may_be_null() -> None:
    expected = images_table("", COLUMNS)
    check(expected, with_column(expected, "chunks", nullable=True))


def test_one_that_may_not_be_null_is_another_column() -> None:
    expected = images_table("", COLUMNS)
    with pytest.raises(SchemaMismatch, match="'confidence' is FLOAT not null, expected FLOAT"):
        check(expected, with_column(expected, "confidence", nullable=False))


def test_what_is_missing_can_be_added_and_the_command_is_named() -> None:
    expected = images_table("", COLUMNS)
    found = Table("images", tuple(c for c in expected.columns if c.name not in ("confidence", "chunks")))
    assert missing(expected, found) == (TableColumn("confidence", "float"), TableColumn("chunks", "int32"))
    with pytest.raises(SchemaMismatch) as caught:
        check(expected, found)
    assert "column 'confidence' is missing, expected FLOAT" in str(caught.value)
    assert "`flumen tables migrate`" in str(caught.value)
    check(expected, Table("images", found.columns + missing(expected, found)))


def test_no_command_mends_a_key_that_is_missing() -> None:
    expected = predictions_table("")
    found = Table("predictions", tuple(c for c in expected.columns if c.name != "model"))
    assert missing(expected, found) == ()
    with pytest.raises(SchemaMismatch, match="'model' is missing, expected STRING key") as caught:
        check_what_stays(expected, found)
    assert "migrate" not in str(caught.value)


def test_a_column_more_is_no_matter_where_it_may_be_null_and_is_written_as_null() -> None:
    expected = images_table("", COLUMNS)
    more = (TableColumn("note", "string"), TableColumn("price", "decimal"))
    found = Table("images", expected.columns + more)
    check(expected, found)
    written = as_written(expected, found)
    assert written.others == more[:1]  # of a type that flumen cannot write, nothing is written
    values = {"id": ["a", "b"], "note": ["said of", "another image"], "chunks": [0, 0], "view_chunks": [0, 0]}
    rows, failures = build(written, values, 2)
    assert not failures
    assert rows.column("note").null_count == 2
    with pytest.raises(SchemaMismatch, match="'note' is STRING not null, expected no such column"):
        check(expected, with_column(found, "note", nullable=False))


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


@pytest.mark.parametrize(("servers", "partitions"), [(0, 2), (1, 2), (3, 6), (30, 60), (31, 60), (500, 60)])
def test_partitions_follow_the_servers_that_there_are(servers: int, partitions: int) -> None:
    assert KuduOptions(masters="localhost").partitions_among(servers) == partitions
    assert KuduOptions(masters="localhost", partitions=4).partitions_among(servers) == 4


def test_masters_are_split() -> None:
    assert KuduOptions(masters="a:1, b:2,").addresses == ["a:1", "b:2"]
