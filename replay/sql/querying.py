"""SQL over what Kudu holds: DuckDB computes, Kudu's scanners deliver the columns and rows that are needed."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flumen.replay.errors import BadQuery
from flumen.replay.sql.memory import bytes_to_use, too_much
from flumen.replay.sql.ranges import with_ranges
from flumen.replay.sql.readonly import check_read_only
from flumen.replay.sql.scans import KuduTable, Reading, Scan, kudu_tables
from flumen.replay.sql.values import values_of
from flumen.replay.sql.views import views
from flumen.stores.kudu import KuduReader

if TYPE_CHECKING:
    import duckdb

# No files, no extensions, no Python variables. One thread: a table's scan is one stream of batches.
DUCKDB_SETTINGS: Mapping[str, Any] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    "temp_directory": "",
    "threads": 1,
}
BATCH_ROWS = 2048
"""Rows of a batch that is handed out: as many as DuckDB computes at once."""

# What DuckDB makes of Ctrl-C.
_INTERRUPTED = "Query interrupted"


@dataclass(frozen=True, slots=True)
class Result:
    """What a query returned: unique column names, a tuple a row, and the scans it made."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]
    scans: Sequence[Scan] = field(default_factory=tuple)


class Batches(Iterator[pa.RecordBatch]):
    """What a query returns, as it is computed: `schema`, with unique names, and batches of it.

    A batch is computed in a thread of its own, so that Ctrl-C is heard meanwhile.
    """

    def __init__(self, session: "_Session", batches: pa.RecordBatchReader) -> None:
        self._session = session
        self._batches = batches
        names = _unique(batches.schema.names)
        self.schema = pa.schema(
            [each.with_name(name) for each, name in zip(batches.schema, names, strict=True)]
        )
        self._thread = ThreadPoolExecutor(1, "flumen-sql")

    @property
    def scans(self) -> Sequence[Scan]:
        """The scans that were made until now."""
        return self._session.scans

    def __next__(self) -> pa.RecordBatch:
        with self._session.translated():
            computed = self._thread.submit(next, self._batches, None)
            try:
                rows = computed.result()
            except KeyboardInterrupt:
                self._session.connection.interrupt()
                raise
        if rows is None:
            raise StopIteration
        return pa.RecordBatch.from_arrays(rows.columns, schema=self.schema)

    def close(self) -> None:
        """Compute no more."""
        self._thread.shutdown()


def query(reader: KuduReader, sql: str, at_us: int | None = None, threads: int = 1) -> Result:
    """Run one read-only statement over the tables of `TABLES`, and the views `mnist` and `answers`.

    Args:
        reader: the Kudu to read.
        sql: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN; a semicolon at the end is welcome.
        at_us: the tables as they were then: microseconds since the epoch, by Kudu's clocks.
        threads: so many read a table at once, each with a connection of its own.

    Raises:
        BadQuery: another statement, or one that DuckDB refuses, or one that takes too much memory.
        NoSuchMoment: Kudu's history does not reach back to `at_us`.
        StoreError: Kudu cannot be read.
        KeyboardInterrupt: Ctrl-C, while DuckDB was at work.
    """
    with _session(Reading(reader, at_us, threads)) as session:
        with session.translated():
            result = session.ask(sql)
            rows = result.to_arrow_table() if result is not None else pa.table({})
        columns = [[_plain(value) for value in values_of(column)] for column in rows.columns]
        return Result(_unique(rows.column_names), list(zip(*columns, strict=True)), session.scans)


@contextmanager
def query_batches(
    reader: KuduReader, sql: str, at_us: int | None = None, threads: int = 1
) -> Iterator[Batches]:
    """Run a statement as `query` does, and give its rows as Arrow batches, of which only some are in memory at once.

    Timestamps with a zone are in UTC. Whoever reads the batches meets the errors of `query`.
    """
    with _session(Reading(reader, at_us, threads)) as session:
        with session.translated():
            result = session.ask(sql)
            empty = pa.RecordBatchReader.from_batches(pa.schema([]), [])
            batches = Batches(session, result.to_arrow_reader(BATCH_ROWS) if result is not None else empty)
        try:
            yield batches
        finally:
            batches.close()


@dataclass(frozen=True, slots=True)
class _Session:
    """A DuckDB over the tables there are, for one statement, and so many bytes that it may take."""

    connection: "duckdb.DuckDBPyConnection"
    tables: Mapping[str, KuduTable]
    most: int

    @property
    def scans(self) -> Sequence[Scan]:
        return [scan for table in self.tables.values() for scan in table.scans]

    def ask(self, sql: str) -> "duckdb.DuckDBPyRelation | None":
        """Return what a statement stands for; it is computed when its rows are fetched."""
        try:
            sql.encode()
        except UnicodeEncodeError as error:
            raise BadQuery(f"the statement is not UTF-8 from its sign {error.start + 1:,} on") from error
        check_read_only(self.connection, sql)
        self._register()
        asked = self.connection.sql(sql)  # what is wrong with it is told in its own words
        ranged = None if asked is None else self._with_ranges(sql)
        # A column without a name is called as its text, which may hold a range then: it is run as it was given.
        return asked if asked is None or ranged is None or ranged.columns != asked.columns else ranged

    def _with_ranges(self, sql: str) -> "duckdb.DuckDBPyRelation | None":
        import duckdb

        try:
            ranged = with_ranges(self.connection, sql)
            return self.connection.sql(ranged) if ranged != sql else None
        except (duckdb.Error, RecursionError):
            return None  # it is run as it was given

    def _register(self) -> None:
        for name, table in self.tables.items():
            self.connection.register(name, table)
        for view in views(self._schemas):
            self.connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET lock_configuration = true")

    @property
    def _schemas(self) -> Mapping[str, pa.Schema]:
        return {name: table.schema for name, table in self.tables.items()}

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what DuckDB and Arrow raise into the errors of `query`."""
        import duckdb

        try:
            yield
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            raise too_much(self.most) from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            for table in self.tables.values():
                if table.failure is not None:
                    raise table.failure from error
            if "Out of Memory Error" in str(error):
                raise too_much(self.most) from error
            raise BadQuery(f"{error}\n{_catalogue(self._schemas)}") from error
        except RecursionError as error:  # which is a RuntimeError
            raise BadQuery(
                "the statement is nested too deeply; say it in fewer terms, for example with IN (...) instead of "
                "many OR"
            ) from error
        except RuntimeError as error:
            if _INTERRUPTED in str(error):
                raise KeyboardInterrupt from error
            raise


@contextmanager
def _session(reading: Reading) -> Iterator[_Session]:
    import duckdb

    tables = kudu_tables(reading)
    if not tables:
        raise BadQuery(
            "there is no table of images in Kudu yet, nor of runs: start a worker with `flumen worker`, it creates "
            "the tables of images, or an experiment; or check the table prefix in the settings"
        )
    most = bytes_to_use()
    connection = duckdb.connect(":memory:", config={**DUCKDB_SETTINGS, "memory_limit": f"{most // 2} bytes"})
    try:
        yield _Session(connection, tables, most)
    finally:
        connection.close()
        for table in tables.values():
            table.close()


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
