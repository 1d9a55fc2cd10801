"""Rows that are filled in the client's own arrays are those that its methods make, on a real Kudu, cell by cell."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flumen.stores.kudu import KuduOptions, classes
from flumen.stores.kudu.driver import FLUSH_ROWS, Write
from flumen.stores.kudu.jvm import JvmDriver
from flumen.stores.kudu.schema import Table, TableColumn

INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=40),
    "binary": st.binary(max_size=40),
    "bool": st.booleans(),
    "int32": INT32,
    "int64": INT64,
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "unixtime_micros": INT64.map(lambda value: value // 32),
}
COLUMNS = (
    TableColumn("id", "string", nullable=False, key=True),
    TableColumn("seq", "int32", nullable=False, key=True),
    *(TableColumn(f"a_{kind}", kind) for kind in VALUES),
    *(TableColumn(f"every_{kind}", kind, nullable=False) for kind in VALUES),
    TableColumn("never", "string"),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text(max_size=12),
            "seq": INT32,
            **{f"a_{kind}": st.none() | values for kind, values in VALUES.items()},
            **{f"every_{kind}": values for kind, values in VALUES.items()},
        }
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda row: (row["id"], row["seq"]),
)


@pytest.fixture
def options(flumen_stack: Any, flumen_names: Any) -> KuduOptions:
    return KuduOptions(
        masters=flumen_stack.kudu_masters, table_prefix=flumen_names.kudu_prefix, driver="jvm", partitions=2
    )


@pytest.fixture
def drivers(options: KuduOptions) -> Iterator[tuple[JvmDriver, JvmDriver]]:
    """One that fills rows directly, and one that sets each cell by the client's methods."""
    direct, plain = JvmDriver(options), JvmDriver(options)
    plain._writer = classes.defined("RowWriter")(plain._client, options.timeout_ms, FLUSH_ROWS, None)
    yield direct, plain
    direct.close()
    plain.close()


def stored(driver: JvmDriver, table: Table) -> list[tuple[Any, ...]]:
    found = pa.Table.from_batches(driver.scan(table.name, table.arrow.names), schema=table.arrow)
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in found.columns
    ]
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return sorted(rows, key=lambda row: (row[0], row[1]))


def batch(table: Table, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    arrays = [pa.array([row.get(field.name) for row in rows], field.type) for field in table.arrow]
    return pa.RecordBatch.from_arrays(arrays, schema=table.arrow)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=ROWS, gone=st.integers(0, 20))
def test_rows_filled_directly_are_the_plain_ones_cell_by_cell(
    drivers: tuple[JvmDriver, JvmDriver], options: KuduOptions, rows: list[dict[str, Any]], gone: int
) -> None:
    tables = [Table(f"{options.table_prefix}{name}", COLUMNS) for name in ("direct", "plain")]
    left = []
    for driver, table in zip(drivers, tables, strict=True):
        driver.create(table)
        written = batch(table, rows)
        assert driver.apply([Write(table.name, written)]) == [{}]
        everything = stored(driver, table)
        assert len(everything) == len(rows)
        assert everything == sorted(
            (tuple(row.get(name) for name in table.arrow.names) for row in rows), key=lambda row: row[:2]
        )
        keys = written.select(list(table.keys)).take(pa.array(range(min(gone, len(rows))), pa.int32()))
        assert driver.apply([Write(table.name, keys, change="delete")]) == [{}]
        left.append(stored(driver, table))
        every_key = written.select(list(table.keys))
        assert driver.apply([Write(table.name, every_key, change="delete")]) == [{}]
    assert left[0] == left[1]
    assert len(left[0]) == max(0, len(rows) - gone)


def test_rows_are_filled_directly_with_the_client_that_is_pinned(
    drivers: tuple[JvmDriver, JvmDriver],
) -> None:
    """A client that keeps its rows otherwise is slower, and nothing else; here it shall be noticed."""
    assert classes.direct_rows() is not None


OTHERS = {
    "AsPinned": (True, ""),
    "WithoutAnArray": (False, "rows[0].getNoSuchArray();"),
    "FillsNothing": (False, "if (true) { return; }"),
    "FillsOtherwise": (False, "rows[1].addDouble(8, 7); if (true) { return; }"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_with_another_client_cells_are_set_the_plain_way(
    drivers: tuple[JvmDriver, JvmDriver], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    is_taken, first = OTHERS[name]
    source = classes._source("DirectRows").decode().replace("DirectRows", name)
    source = source.replace("    Schema schema = rows[0]", f"    {first}\n    Schema schema = rows[0]", 1)
    monkeypatch.setenv("FLUMEN_CACHE", str(tmp_path))
    monkeypatch.setattr(classes, "_source", lambda _: source.encode())
    assert (classes._tried(name) is not None) == is_taken


def test_kept_classes_that_are_of_no_use_are_compiled_again(
    drivers: tuple[JvmDriver, JvmDriver], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = classes._source("DirectRows").replace(b"DirectRows", b"KeptWrongly")
    monkeypatch.setenv("FLUMEN_CACHE", str(tmp_path))
    monkeypatch.setattr(classes, "_source", lambda _: source)
    classes._keep(classes._kept_file(source), {f"{classes.PACKAGE}.KeptWrongly": b"no class"})
    assert classes._tried("KeptWrongly") is not None
