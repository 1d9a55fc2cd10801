"""SQL over what Kudu holds: DuckDB computes, Kudu's scanners deliver the columns and rows that are needed."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds

from flumen.replay.errors import BadQuery
from flumen.replay.sql.memory import bytes_to_use, too_much
from flumen.replay.sql.pushdown import push_down
from flumen.replay.sql.readonly import check_read_only
from flumen.replay.sql.values import values_of
from flumen.replay.sql.views import views
from flumen.stores.errors import StoreError
from flumen.stores.kudu import KuduReader, Predicate

if TYPE_CHECKING:
    import duckdb

TABLES = ("images", "predictions", "image_chunks", "view_chunks", "model_runs")
# No files, no extensions, no Python variables. One thread: Kudu's drivers are used by one at a time.
DUCKDB_SETTINGS: Mapping[str, Any] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    "temp_directory": "",
    "threads": 1,
}
# What DuckDB makes of Ctrl-C.
_INTERRUPTED = "Query interrupted"


@dataclass(slots=True)
class Scan:
    """One scan that a query made: what was pushed down to Kudu, and how many rows came back."""

    table: str
    columns: Sequence[str]
    predicates: Sequence[Predicate]
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What a query returned: unique column names, a tuple a row, and the scans it made."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]
    scans: Sequence[Scan] = field(default_factory=tuple)


def query(reader: KuduReader, sql: str) -> Result:
    """Run one read-only statement over the tables of `TABLES`, and the views `mnist` and `answers`.

    Args:
        reader: the Kudu to read.
        sql: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN; a semicolon at the end is welcome.

    Raises:
        BadQuery: another statement, or one that DuckDB refuses, or one that takes too much memory.
        StoreError: Kudu cannot be read.
        KeyboardInterrupt: Ctrl-C, while DuckDB was at work.
    """
    import duckdb

    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise BadQuery(f"the statement is not UTF-8 from its sign {error.start + 1:,} on") from error
    schemas = {table: reader.schema(table) for table in _present(reader)}
    tables = {name: _KuduTable(reader, name, schema) for name, schema in schemas.items()}
    most = bytes_to_use()
    connection = duckdb.connect(":memory:", config={**DUCKDB_SETTINGS, "memory_limit": f"{most // 2} bytes"})
    try:
        check_read_only(connection, sql)
        _register(connection, tables)
        result = connection.sql(sql)
        rows = result.to_arrow_table() if result is not None else pa.table({})
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise too_much(most) from error
    except duckdb.Error as error:
        for table in tables.values():
            if table.failure is not None:
                raise table.failure from error
        raise BadQuery(f"{error}\n{_catalogue(schemas)}") from error
    except RecursionError as error:  # which is a RuntimeError
        raise BadQuery(
            "the statement is nested too deeply; say it in fewer terms, for example with IN (...) instead of many OR"
        ) from error
    except RuntimeError as error:
        if _INTERRUPTED in str(error):
            raise KeyboardInterrupt from error
        raise
    finally:
        connection.close()
        for table in tables.values():
            table.close()
    columns = [[_plain(value) for value in values_of(column)] for column in rows.columns]
    scans = [scan for table in tables.values() for scan in table.scans]
    return Result(_unique(rows.column_names), list(zip(*columns, strict=True)), scans)


def _present(reader: KuduReader) -> Sequence[str]:
    there = set(reader.tables())
    present = [table for table in TABLES if table in there]
    if not present:
        raise BadQuery(
            "there is no table of images in Kudu yet, nor of runs: start a worker with `flumen worker`, it creates "
            "the tables of images, or an experiment; or check the table prefix in the settings"
        )
    return present


def _register(connection: "duckdb.DuckDBPyConnection", tables: Mapping[str, "_KuduTable"]) -> None:
    for name, table in tables.items():
        connection.register(name, table)
    for view in views({name: table.schema for name, table in tables.items()}):
        connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")
    connection.execute("SET lock_configuration = true")


class _KuduTable(ds.Dataset):  # type: ignore[misc]  # pyarrow has no types
    """A Kudu table as DuckDB scans it: it asks a pyarrow data set for columns and a filter."""

    def __init__(self, reader: KuduReader, name: str, schema: pa.Schema) -> None:
        self._reader = reader
        self._name = name
        self._schema = schema
        self.scans: list[Scan] = []
        self.failure: StoreError | None = None
        self._open: list[_Reading] = []

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> ds.Scanner:  # noqa: A002
        """Return the rows of these columns that pass the filter. DuckDB relies on the filter: it tests no row again."""
        wanted = list(self._schema.names if columns is None else columns)
        pushed = push_down(filter, self._schema)
        scan = Scan(self._name, list(dict.fromkeys([*wanted, *pushed.columns])), pushed.predicates)
        self.scans.append(scan)
        schema = pa.schema([self._schema.field(name) for name in scan.columns])
        reading = _Reading(self._batches(scan))
        self._open.append(reading)
        return ds.Scanner.from_batches(reading, schema=schema, columns=wanted, filter=filter)

    def close(self) -> None:
        """End the scans that the query has left before their ends, as one with LIMIT does."""
        for reading in self._open:
            reading.close()

    def _batches(self, scan: Scan) -> Generator[pa.RecordBatch, None, None]:
        try:
            for batch in self._reader.scan(scan.table, scan.columns, scan.predicates):
                scan.rows += batch.num_rows
                yield batch
        except StoreError as error:
            self.failure = error
            raise


class _Reading(Iterator[pa.RecordBatch]):
    """The batches of one scan, read ahead by a thread of Arrow's, which outlives the query and knows no end of it.

    A reader that is closed under that thread lets it wait for ever, and with it the process that ends.
    """

    def __init__(self, batches: Generator[pa.RecordBatch, None, None]) -> None:
        self._batches = batches
        self._lock = Lock()

    def __next__(self) -> pa.RecordBatch:
        with self._lock:
            return next(self._batches)

    def close(self) -> None:
        """Wait for the batch that is being read, and read no more."""
        with self._lock:
            self._batches.close()


def _catalogue(schemas: Mapping[str, pa.Schema]) -> str:
    lines = [f"  {table}({', '.join(schema.names)})" for table, schema in schemas.items()]
    lines += [f"  {view.name}({', '.join(view.columns)})" for view in views(schemas)]
    return "\n".join(["There are these tables and columns:", *lines])


def _plain(value: Any) -> Any:
    """Return DuckDB's whole numbers (a sum is a decimal of scale 0) as int."""
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


def _unique(names: Sequence[str]) -> Sequence[str]:
    unique: list[str] = []
    for name in names:
        number = sum(1 for other in unique if other == name or other.startswith(f"{name}:"))
        unique.append(f"{name}:{number}" if name in unique else name)
    return unique
