"""The Kudu driver that needs no compiler on the machine: Apache Kudu's Java client in this process, through JPype.

Both loops over cells run inside the JVM (RowWriter.java, ScanReader.java), so a batch crosses over in one call.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.interceptor.open_files import exhausted
from flumen.stores.errors import StoreClosed
from flumen.stores.kudu.classes import defined, direct_rows
from flumen.stores.kudu.driver import (
    FLUSH_ROWS,
    Predicate,
    Write,
    check_listening,
    missing_table,
    row_failures,
    status_error,
)
from flumen.stores.kudu.jars import client_jars
from flumen.stores.kudu.java import acquire_client, java, release_client, start
from flumen.stores.kudu.jvm_scan import rows_of, scan_reader, scan_tokens, token_reader
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.packed import pack
from flumen.stores.kudu.schema import Table, TableColumn

KUDU_EXCEPTION = "org.apache.kudu.client.KuduException"


class JvmDriver:
    """`flumen.stores.kudu.driver.Driver` over the Java client. The JVM is started once a process and stays.

    Raises:
        DriverMissing: JPype, the JRE or a jar of the class path is not there.
        ArtifactError, FolderUnusable: the pinned jars cannot be had.
        StoreUnavailable: no master answers.
    """

    def __init__(self, options: KuduOptions) -> None:
        start(options.classpath or client_jars())
        check_listening(options)
        self._options = options
        self._opened: dict[str, Any] = {}
        self._found: dict[str, Table] = {}
        """What those look like that rows were looked up in: to ask Java for each column takes longer than a look-up."""
        # By table and names: where these columns stand in it. What is opened anew is looked at anew.
        self._positions: dict[str, dict[tuple[str, ...], NDArray[np.int32]]] = {}
        self._writer: Any = None
        with self._translated():
            self._shared: Any = acquire_client(options)
        try:
            with self._translated():
                # The first request: the client connects only now.
                self._shared.getTablesList()
        except BaseException:
            release_client(options)
            raise

    @property
    def _client(self) -> Any:
        if self._shared is None:
            raise StoreClosed("this Kudu driver is closed")
        return self._shared

    def tables(self) -> Sequence[str]:
        """Return the names of all tables of the cluster, sorted."""
        with self._translated():
            return sorted(str(name) for name in self._client.getTablesList().getTablesList())

    def describe(self, table: str) -> Table | None:
        """Return what a table looks like, or None where there is none of that name."""
        self._forget(table)
        with self._translated():
            if not self._client.tableExists(table):
                return None
            return self._described(table)

    def create(self, table: Table) -> None:
        """Create a table, and wait until it can be written. One that exists is left as it is."""
        types = java("org.apache.kudu.Type")
        builder = java("org.apache.kudu.ColumnSchema").ColumnSchemaBuilder
        columns = java("java.util.ArrayList")()
        for column in table.columns:
            made = builder(column.name, getattr(types, column.type.upper()))
            columns.add(made.nullable(column.nullable).key(column.key).build())
        with self._translated():
            servers = int(self._client.listTabletServers().getTabletServersCount())
            options = (
                java("org.apache.kudu.client.CreateTableOptions")()
                .addHashPartitions(
                    java("java.util.ArrayList")(table.keys[:1]), self._options.partitions_among(servers)
                )
                .setNumReplicas(self._options.replicas)
            )
            try:
                # It waits until all tablets run.
                self._client.createTable(table.name, java("org.apache.kudu.Schema")(columns), options)
            except java(KUDU_EXCEPTION) as error:
                # Another worker was faster; the first operation on the table waits until it is complete.
                if not _status(error).startswith("Already present"):
                    raise

    def add_column(self, table: str, column: TableColumn) -> None:
        """Add a column that may be null to a table. One of that name is left as it is."""
        kind = getattr(java("org.apache.kudu.Type"), column.type.upper())
        change = java("org.apache.kudu.client.AlterTableOptions")().addNullableColumn(column.name, kind)
        self._forget(table)
        with self._translated():
            try:
                # It waits until all tablets know of it.
                self._client.alterTable(table, change)
            except java(KUDU_EXCEPTION) as error:
                # Somebody else was faster.
                if not _status(error).startswith("Already present"):
                    raise

    def apply(self, writes: Sequence[Write]) -> Sequence[Mapping[int, str]]:
        """Make all changes, in order, in one flush. See `flumen.stores.kudu.driver.Driver.apply`."""
        with self._translated():
            writer = self._writing()
            try:
                for write in writes:
                    writer.stage(*self._packed(write), write.change)
                answers = writer.flush()
            except BaseException:
                # Half a batch may be staged; a new session knows nothing of it.
                self._writer = None
                raise
        if answers is None:
            return [{} for _ in writes]
        statuses = [None if answer is None else str(answer) for answer in answers]
        return row_failures(statuses, writes, self._options)

    def get_ready(self, rows: Write) -> None:
        """Get ready to write such rows. See `flumen.stores.kudu.driver.Driver.get_ready`."""
        with self._translated():
            self._writing().rehearse(*self._packed(rows))
        self.find(rows.table, rows.rows.schema.names[:1], [""])  # connects to a tablet server

    def _writing(self) -> Any:
        if self._writer is None:
            self._writer = defined("RowWriter")(
                self._client, self._options.timeout_ms, FLUSH_ROWS, direct_rows()
            )
        return self._writer

    def _packed(self, write: Write) -> tuple[Any, NDArray[np.int32], NDArray[np.int32], bytes, int]:
        """Return a write as `RowWriter` takes it."""
        table, names = self._open(write.table), tuple(write.rows.schema.names)
        known = self._positions.setdefault(write.table, {})
        positions = known.get(names)
        if positions is None:
            schema = table.getSchema()
            positions = known[names] = np.array([schema.getColumnIndex(name) for name in names], np.int32)
        cells, layout = pack(write.rows)
        return table, positions, layout, cells, write.rows.num_rows

    def scan(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read the columns of all rows that meet every predicate, batch by batch."""
        found = self.describe(table)
        if found is None:
            raise missing_table(table)
        with self._translated():
            reader = scan_reader(self._client, self._open(table), columns, predicates)
        yield from self._read(reader, pa.schema([found.arrow.field(name) for name in columns]))

    def scan_tokens(
        self,
        table: str,
        columns: Sequence[str],
        predicates: Sequence[Predicate] = (),
        snapshot_us: int | None = None,
    ) -> Sequence[bytes]:
        """Cut a scan into tokens. See `flumen.stores.kudu.driver.Driver.scan_tokens`."""
        if self.describe(table) is None:
            raise missing_table(table)
        with self._translated():
            return scan_tokens(self._client, self._open(table), columns, predicates, snapshot_us)

    def read_token(
        self, table: str, columns: Sequence[str], token: bytes
    ) -> Generator[pa.RecordBatch, None, None]:
        """Read the rows of a token, batch by batch."""
        with self._translated():
            found = self._described(table)
            reader = token_reader(self._client, token)
        yield from self._read(reader, pa.schema([found.arrow.field(name) for name in columns]))

    def _read(self, reader: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            while True:
                with self._translated():
                    if not reader.next():
                        return
                    rows = rows_of(reader, schema)
                yield rows
        finally:
            with self._translated():
                reader.close()

    def find(self, table: str, columns: Sequence[str], keys: Sequence[str]) -> pa.RecordBatch:
        """Read the columns of the rows under these keys. See `flumen.stores.kudu.driver.Driver.find`."""
        # One that is open is not looked at anew, for it is written into all the time.
        if table not in self._opened and self.describe(table) is None:
            raise missing_table(table)
        array = java("java.util.ArrayList")
        with self._translated():
            if table not in self._found:
                self._found[table] = self._described(table)
            found = self._found[table]
            reader = defined("ScanReader").find(self._open(table), array(list(columns)), array(list(keys)))
            return rows_of(reader, pa.schema([found.arrow.field(name) for name in columns]))

    def row_count(self, table: str) -> int | None:
        """Ask a master. See `flumen.stores.kudu.driver.Driver.row_count`."""
        with self._translated():
            count = int(self._open(table).getTableStatistics().getLiveRowCount())
        return count if count >= 0 else None  # where a tablet server is of another time, it is not known

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        if self._shared is not None:
            self._shared = None
            with self._translated():
                if self._writer is not None:
                    self._writer.close()
                release_client(self._options)

    def _open(self, table: str) -> Any:
        if table not in self._opened:
            self._opened[table] = self._client.openTable(table)
        return self._opened[table]

    def _described(self, table: str) -> Table:
        columns = (
            TableColumn(
                str(column.getName()),
                str(column.getType().getName()),
                bool(column.isNullable()),
                bool(column.isKey()),
            )
            for column in self._open(table).getSchema().getColumns()
        )
        return Table(table, tuple(columns))

    def _forget(self, table: str) -> None:
        self._opened.pop(table, None)
        self._positions.pop(table, None)
        self._found.pop(table, None)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except java(KUDU_EXCEPTION) as error:
            raise status_error(_status(error), self._options) from error
        except java("java.lang.Throwable") as error:
            # The client's own network has no status for it, and raises what it likes.
            if exhausted(said := _whole(error)):
                raise status_error(said, self._options) from error
            raise


def _status(error: Any) -> str:
    """Return Kudu's status of a KuduException, as `Code: message`."""
    return str(error.getStatus().toString())


def _whole(error: Any) -> str:
    """Return what an exception of Java's says, and each one that led to it."""
    said = []
    while error is not None:
        said.append(str(error.toString()))
        error = error.getCause()
    return "; ".join(said)
