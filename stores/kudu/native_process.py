"""The child of the native driver: it alone imports kudu-python, and answers one request after another.

kudu-python's rules, each learnt from a crash: set every column of a row, give the session a buffer larger than any
flush, never use its sync mode. `flumen.stores.kudu.rows` checks every cell before it comes here.
"""

import ast
import contextlib
import itertools
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from operator import eq, ge, gt, le, lt
from typing import Any

import pyarrow as pa

from flumen.stores.kudu.driver import ROW_IS_GONE, ROW_IS_THERE, ROW_IS_TO_BLAME, Predicate, Write
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.schema import Table, TableColumn

# Far over FLUSH_BYTES: an overflow of this buffer ends the interpreter.
_BUFFER_BYTES = 32 * 1024 * 1024
# A tablet server drops a scan that is not read on with for --scanner_ttl_ms, a minute if it is not told otherwise.
_KEEP_ALIVE_S = 10.0
_OPERATORS = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave: a value, or the Kudu status it failed with, or why kudu-python does not load."""

    value: Any = None
    status: str | None = None
    missing: str | None = None


def serve(connection: Connection, options: KuduOptions) -> None:
    """Answer requests `(method, arguments)` until the other end closes the pipe, or dies."""
    # Ctrl-C goes to the whole process group: the worker decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import kudu
    except ImportError as error:
        connection.send(Answer(missing=str(error)))
        return
    _keep_microseconds(kudu)
    opened = _answer(kudu, lambda: _Client(kudu, options))
    connection.send(Answer(status=opened.status))
    kept_alive = time.monotonic()
    while opened.status is None:
        try:
            if connection.poll(_KEEP_ALIVE_S):
                method, arguments = connection.recv()
                connection.send(_answer(kudu, partial(getattr(opened.value, method), *arguments)))
        except (EOFError, OSError):
            return
        if time.monotonic() - kept_alive >= _KEEP_ALIVE_S:
            opened.value.keep_scans_alive()
            kept_alive = time.monotonic()


def _keep_microseconds(kudu: Any) -> None:
    """Let kudu-python take and give times as they are stored: its detour over datetime costs half of an upsert."""
    for module in (kudu.client, kudu.schema):
        for conversion in ("to_unixtime_micros", "from_unixtime_micros"):
            if hasattr(module, conversion):
                setattr(module, conversion, int)


def _answer(kudu: Any, call: Callable[[], Any]) -> Answer:
    try:
        return Answer(value=call())
    except kudu.KuduNotFound as error:
        return Answer(status=f"Not found: {_text(error)}")
    except kudu.KuduInvalidArgument as error:
        return Answer(status=f"Invalid argument: {_text(error)}")
    except kudu.KuduNotSupported as error:
        return Answer(status=f"Not supported: {_text(error)}")
    except kudu.KuduBadStatus as error:
        return Answer(status=_text(error))


def _text(error: Exception) -> str:
    message = error.args[0] if error.args else ""
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)


class _Client:
    """The same methods as `flumen.stores.kudu.driver.Driver`, as calls and answers that can be pickled."""

    def __init__(self, kudu: Any, options: KuduOptions) -> None:
        self._kudu = kudu
        self._options = options
        self._client = kudu.client.Client(
            options.addresses, admin_timeout_ms=options.timeout_ms, rpc_timeout_ms=options.timeout_ms
        )
        self._opened: dict[str, Any] = {}
        self._scans: dict[int, tuple[Any, pa.Schema]] = {}
        self._scan_ids = itertools.count()

    def tables(self) -> list[str]:
        return sorted(self._client.list_tables())

    def describe(self, table: str) -> Table | None:
        if not self._client.table_exists(table):
            return None
        opened = self._opened[table] = self._client.table(table)
        columns = [opened.schema[position] for position in range(len(opened.schema))]
        keys = opened.schema.primary_keys()
        return Table(
            table,
            tuple(
                TableColumn(column.name, column.type.name, column.nullable, column.name in keys)
                for column in columns
            ),
        )

    def create(self, table: Table) -> None:
        builder = self._kudu.schema_builder()
        for column in table.columns:
            builder.add_column(column.name, column.type, nullable=column.nullable)
        builder.set_primary_keys(list(table.keys))
        partitioning = self._kudu.client.Partitioning()
        servers = len(self._client.list_tablet_servers())
        partitioning.add_hash_partitions(list(table.keys[:1]), self._options.partitions_among(servers))
        try:
            self._client.create_table(table.name, builder.build(), partitioning, self._options.replicas)
        except self._kudu.KuduBadStatus as error:
            # Another worker was faster. The first operation on a table waits until it is complete.
            if not _text(error).startswith("Already present"):
                raise

    def add_column(self, table: str, column: TableColumn) -> None:
        alterer = self._client.new_table_alterer(self._client.table(table))
        alterer.add_column(column.name, column.type, nullable=True)
        try:
            self._opened[table] = alterer.alter()
        except self._kudu.KuduBadStatus as error:
            if not _text(error).startswith("Already present"):
                raise

    def apply(self, writes: Sequence[Write]) -> list[str | None] | None:
        """Return None where all is stored, else the server's answer for each row of all writes (None = stored)."""
        session = self._session()
        for operation in self._operations(writes):
            session.apply(operation)
        try:
            session.flush()
        except self._kudu.KuduBadStatus:
            errors, overflowed = session.get_pending_errors()
            statuses = [_error_status(error) for error in errors]
            known = (*ROW_IS_TO_BLAME, ROW_IS_GONE, ROW_IS_THERE)
            foreign = [status for status in statuses if not status.startswith(known)]
            if overflowed or foreign or not statuses:
                reason = foreign[0] if foreign else "Incomplete: more errors than the client keeps"
                raise self._kudu.KuduBadStatus(reason) from None
            # An error does not say which row it is of. Changes can be repeated, so ask row by row; a row that has
            # just been inserted is there then, as one that is called so may be.
            return [self._apply_one(operation) for operation in self._operations(writes)]
        return None

    def _apply_one(self, operation: Any) -> str | None:
        session = self._session()
        session.apply(operation)
        try:
            session.flush()
        except self._kudu.KuduBadStatus:
            errors, _ = session.get_pending_errors()
            return _error_status(errors[0])
        return None

    def _session(self) -> Any:
        return self._client.new_session(
            flush_mode="manual", timeout_ms=self._options.timeout_ms, mutation_buffer_sz=_BUFFER_BYTES
        )

    def _operations(self, writes: Sequence[Write]) -> Iterator[Any]:
        for write in writes:
            table = self._table(write.table)
            columns = [table.schema[position] for position in range(len(table.schema))]
            if write.change in ("delete", "update"):
                columns = [column for column in columns if column.name in write.rows.schema.names]
            names = [column.name for column in columns]
            cells = (_cells(write.rows, name) for name in names)
            for row in zip(*cells, strict=True):
                # What changes of a row need not stand at its beginning.
                given = dict(zip(names, row, strict=True)) if write.change == "update" else row
                yield getattr(table, f"new_{write.change}")(given)

    def _table(self, name: str) -> Any:
        if name not in self._opened:
            self._opened[name] = self._client.table(name)
        return self._opened[name]

    def open_scan(self, table: str, schema: pa.Schema, predicates: Sequence[Predicate]) -> int:
        opened = self._table(table)
        scanner = opened.scanner()
        scanner.set_projected_column_names(schema.names)
        scanner.add_predicates([_predicate(opened, predicate) for predicate in predicates])
        return self._opened_scan(scanner, schema)

    def scan_tokens(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate], snapshot_us: int | None
    ) -> list[bytes]:
        opened = self._table(table)
        builder = opened.scan_token_builder()
        builder.set_projected_column_names(list(columns))
        builder.add_predicates([_predicate(opened, predicate) for predicate in predicates])
        if snapshot_us is not None:
            builder.set_read_mode("snapshot")
            # As a text with a format, which is what `int` takes beside a text: see `_keep_microseconds`.
            builder.set_snapshot(str(snapshot_us), 10)
        return [bytes(token.serialize()) for token in builder.build()]

    def open_token(self, schema: pa.Schema, token: bytes) -> int:
        return self._opened_scan(self._client.deserialize_token_into_scanner(token), schema)

    def _opened_scan(self, scanner: Any, schema: pa.Schema) -> int:
        scanner.open()
        scan = next(self._scan_ids)
        self._scans[scan] = scanner, schema
        return scan

    def find(self, table: str, schema: pa.Schema, keys: Sequence[str]) -> pa.RecordBatch:
        key, *_ = self._table(table).schema.primary_keys()
        found: list[pa.RecordBatch] = []
        for value in keys:
            scan = self.open_scan(table, schema, [Predicate(key, "=", (value,))])
            while (rows := self.next_rows(scan)) is not None:
                found.append(rows)
            self.close_scan(scan)
        return (
            pa.Table.from_batches(found, schema).combine_chunks().to_batches()[0] if found else _none(schema)
        )

    def next_rows(self, scan: int) -> pa.RecordBatch | None:
        scanner, schema = self._scans[scan]
        while scanner.has_more_rows():
            tuples = scanner.read_next_batch_tuples()
            if tuples:
                columns = zip(zip(*tuples, strict=True), schema.types, strict=True)
                return pa.RecordBatch.from_arrays([pa.array(*each) for each in columns], schema=schema)
        return None

    def keep_scans_alive(self) -> None:
        """Ask for the scans that nobody reads on with for now; what is wrong with one is said where it is read."""
        for scanner, _ in self._scans.values():
            with contextlib.suppress(self._kudu.KuduBadStatus):
                scanner.keep_alive()

    def close_scan(self, scan: int) -> None:
        scanner, _ = self._scans.pop(scan)
        scanner.close()


def _none(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, each) for each in schema.types], schema=schema)


def _cells(rows: pa.RecordBatch, column: str) -> list[Any]:
    """Return a column's values; nulls for one that the rows lack, as they are given to Kudu by position."""
    return _values(rows.column(column)) if column in rows.schema.names else [None] * rows.num_rows


def _values(array: pa.Array) -> list[Any]:
    """Return a column as kudu-python takes it: strings as UTF-8, which spares it the encoding; times as int."""
    if pa.types.is_string(array.type):
        array = array.cast(pa.binary())
    elif pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    values: list[Any] = array.to_pylist()
    return values


def _error_status(error: Any) -> str:
    """Return the status of a row's error. kudu-python shows it in one place: `KuduError('b'Invalid ...'')`."""
    literal = repr(error).removeprefix("KuduError('").removesuffix("')")
    status: bytes = ast.literal_eval(literal)
    return status.decode(errors="replace")


def _predicate(table: Any, predicate: Predicate) -> Any:
    column = table[predicate.column]
    if predicate.operator == "is null":
        return column.is_null()
    if predicate.operator == "is not null":
        return column.is_not_null()
    if predicate.operator == "in":
        return column.in_list(list(predicate.values))
    return _OPERATORS[predicate.operator](column, predicate.values[0])
