"""The faster Kudu driver, where Kudu's C++ client is installed: kudu-python, in a process of its own.

kudu-python never releases the GIL: a flush of half a second would stop every thread of the worker, and some of its
errors end the interpreter. So it lives in a child (native_process.py); rows travel there as Arrow batches.
"""

import multiprocessing
from collections.abc import Generator, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import pyarrow as pa

from flumen.interceptor.open_files import exhausted
from flumen.stores.errors import DriverMissing, StoreClosed, StoreUnavailable
from flumen.stores.kudu.driver import (
    Predicate,
    Write,
    check_listening,
    missing_table,
    native_is_installed,
    row_failures,
    status_error,
)
from flumen.stores.kudu.native_process import Answer, serve
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.schema import Table, TableColumn

# Beyond the client's own time limits: how long the child may be silent, seconds.
_GRACE_S = 30.0
_JOIN_S = 5.0


class NativeDriver:
    """`flumen.stores.kudu.driver.Driver` over kudu-python. A child that died is started anew at the next call.

    Raises:
        DriverMissing: kudu-python, or the C++ client under it, is not installed.
        StoreUnavailable: no master answers.
    """

    def __init__(self, options: KuduOptions) -> None:
        if not native_is_installed():
            raise DriverMissing(
                "the Kudu driver 'native' needs kudu-python, which is not installed: docs/kudu.md says how, "
                "or choose the driver 'jvm'"
            )
        check_listening(options)
        self._options = options
        self._child: tuple[BaseProcess, Connection] | None = None
        self._closed = False
        self._connect()

    def tables(self) -> Sequence[str]:
        """Return the names of all tables of the cluster, sorted."""
        names: list[str] = self._call("tables")
        return names

    def describe(self, table: str) -> Table | None:
        """Return what a table looks like, or None where there is none of that name."""
        found: Table | None = self._call("describe", table)
        return found

    def create(self, table: Table) -> None:
        """Create a table, and wait until it can be written. One that exists is left as it is."""
        self._call("create", table)

    def add_column(self, table: str, column: TableColumn) -> None:
        """Add a column that may be null to a table. One of that name is left as it is."""
        self._call("add_column", table, column)

    def apply(self, writes: Sequence[Write]) -> Sequence[Mapping[int, str]]:
        """Make all changes, in order, in one flush. See `flumen.stores.kudu.driver.Driver.apply`."""
        statuses: list[str | None] | None = self._call("apply", list(writes))
        if statuses is None:
            return [{} for _ in writes]
        return row_failures(statuses, writes, self._options)

    def get_ready(self, rows: Write) -> None:
        """Get ready to write such rows. See `flumen.stores.kudu.driver.Driver.get_ready`."""
        self.find(rows.table, rows.rows.schema.names[:1], [""])  # connects to a tablet server

    def scan(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read the columns of all rows that meet every predicate, batch by batch."""
        found = self.describe(table)
        if found is None:
            raise missing_table(table)
        schema = pa.schema([found.arrow.field(name) for name in columns])
        yield from self._read(self._call("open_scan", table, schema, list(predicates)))

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
        tokens: list[bytes] = self._call("scan_tokens", table, list(columns), list(predicates), snapshot_us)
        return tokens

    def read_token(
        self, table: str, columns: Sequence[str], token: bytes
    ) -> Generator[pa.RecordBatch, None, None]:
        """Read the rows of a token, batch by batch."""
        found = self.describe(table)
        if found is None:
            raise missing_table(table)
        schema = pa.schema([found.arrow.field(name) for name in columns])
        yield from self._read(self._call("open_token", schema, token))

    def _read(self, scan: int) -> Iterator[pa.RecordBatch]:
        try:
            while (rows := self._call("next_rows", scan)) is not None:
                yield rows
        finally:
            if self._child is not None:
                self._call("close_scan", scan)

    def find(self, table: str, columns: Sequence[str], keys: Sequence[str]) -> pa.RecordBatch:
        """Read the columns of the rows under these keys. See `flumen.stores.kudu.driver.Driver.find`."""
        found = self.describe(table)
        if found is None:
            raise missing_table(table)
        schema = pa.schema([found.arrow.field(name) for name in columns])
        rows: pa.RecordBatch = self._call("find", table, schema, list(keys))
        return rows

    def row_count(self, _table: str) -> int | None:
        """Return None: kudu-python does not tell."""
        return None

    def close(self) -> None:
        """End the child. A second call does nothing."""
        self._closed = True
        if self._child is not None:
            (process, connection), self._child = self._child, None
            connection.close()
            process.join(_JOIN_S)
            if process.is_alive():
                process.kill()
                process.join()

    def _connect(self) -> Connection:
        if self._closed:
            raise StoreClosed("this Kudu driver is closed")
        if self._child is not None:
            return self._child[1]
        context = multiprocessing.get_context("spawn")
        try:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=serve, args=(theirs, self._options), name="flumen-kudu-native", daemon=True
            )
            process.start()
        except OSError as error:
            raise StoreUnavailable(
                f"the process that holds Kudu's C++ client does not start: {exhausted(error) or error}"
            ) from error
        theirs.close()
        self._child = process, ours
        try:
            self._receive()
        except Exception:
            self._abandon()
            raise
        return ours

    def _call(self, method: str, *arguments: Any) -> Any:
        connection = self._connect()
        try:
            connection.send((method, arguments))
        except OSError as error:
            raise self._lost() from error
        return self._receive()

    def _receive(self) -> Any:
        assert self._child is not None
        connection = self._child[1]
        try:
            if not connection.poll(2 * self._options.timeout_s + _GRACE_S):
                raise self._lost()
            answer: Answer = connection.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if answer.missing is not None:
            raise DriverMissing(
                f"kudu-python does not load: {answer.missing}. docs/kudu.md says what it needs"
            )
        if answer.status is not None:
            raise status_error(answer.status, self._options)
        return answer.value

    def _lost(self) -> StoreUnavailable:
        code = self._abandon()
        return StoreUnavailable(
            f"the process that holds Kudu's C++ client ended or hung (exit code {code}); "
            "a new one is started at the next call"
        )

    def _abandon(self) -> int | None:
        if self._child is None:
            return None
        (process, connection), self._child = self._child, None
        connection.close()
        process.kill()
        process.join()
        return process.exitcode
