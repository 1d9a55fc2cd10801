"""Scans by Kudu's Java client: what is asked for, and the rows as Arrow batches. `jvm.py` translates the errors."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from flumen.stores.errors import StoreRefused
from flumen.stores.kudu.classes import defined
from flumen.stores.kudu.driver import Predicate
from flumen.stores.kudu.java import java
from flumen.stores.kudu.packed import unpack

INVALID_MESSAGE = "org.apache.kudu.shaded.com.google.protobuf.InvalidProtocolBufferException"
SCAN_BYTES = 1024 * 1024
TOKEN_BYTES = 64 * 1024 * 1024
"""What one token is to read, about: a tablet with more is read by several."""

# What Kudu's predicates take for a column of each type.
_BOXES = {
    "string": "java.lang.String",
    "bool": "java.lang.Boolean",
    "int32": "java.lang.Integer",
    "int64": "java.lang.Long",
    "unixtime_micros": "java.lang.Long",
    "float": "java.lang.Float",
    "double": "java.lang.Double",
}
_OPERATORS = {"=": "EQUAL", "<": "LESS", "<=": "LESS_EQUAL", ">": "GREATER", ">=": "GREATER_EQUAL"}


def scan_reader(client: Any, table: Any, columns: Sequence[str], predicates: Sequence[Predicate]) -> Any:
    """Open a scan; return its `ScanReader`."""
    builder = _asked(client.newScannerBuilder(table), table, columns, predicates)
    return defined("ScanReader")(builder.build())


def scan_tokens(
    client: Any, table: Any, columns: Sequence[str], predicates: Sequence[Predicate], snapshot_us: int | None
) -> list[bytes]:
    """Return the tokens of a scan. See `flumen.stores.kudu.driver.Driver.scan_tokens`."""
    builder = _asked(client.newScanTokenBuilder(table), table, columns, predicates)
    if snapshot_us is not None:
        modes = java("org.apache.kudu.client.AsyncKuduScanner").ReadMode
        builder.readMode(modes.READ_AT_SNAPSHOT).snapshotTimestampMicros(snapshot_us)
    return [bytes(token.serialize()) for token in builder.setSplitSizeBytes(TOKEN_BYTES).build()]


def token_reader(client: Any, token: bytes) -> Any:
    """Open the scan of a token; return its `ScanReader`.

    Raises:
        StoreRefused: it is no token.
    """
    tokens = java("org.apache.kudu.client.KuduScanToken")
    try:
        scanner = tokens.deserializeIntoScanner(token, client)
    except java(INVALID_MESSAGE) as error:
        raise StoreRefused(f"this is no token of a scan of Kudu's: {error.getMessage()}") from error
    return defined("ScanReader")(scanner)


def rows_of(reader: Any, schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows that a `ScanReader` holds."""
    packed = bytes(memoryview(reader.packed()))
    return unpack(packed, [int(position) for position in reader.layout()], int(reader.rows()), schema)


def _asked(builder: Any, table: Any, columns: Sequence[str], predicates: Sequence[Predicate]) -> Any:
    builder.batchSizeBytes(SCAN_BYTES)
    builder.setProjectedColumnNames(java("java.util.ArrayList")(list(columns)))
    for predicate in predicates:
        builder.addPredicate(_predicate(table.getSchema().getColumn(predicate.column), predicate))
    return builder


def _predicate(column: Any, predicate: Predicate) -> Any:
    predicates = java("org.apache.kudu.client.KuduPredicate")
    if predicate.operator == "is null":
        return predicates.newIsNullPredicate(column)
    if predicate.operator == "is not null":
        return predicates.newIsNotNullPredicate(column)
    box = java(_BOXES[str(column.getType().getName())])
    if predicate.operator == "in":
        return predicates.newInListPredicate(
            column, java("java.util.ArrayList")([box(value) for value in predicate.values])
        )
    operator = getattr(predicates.ComparisonOp, _OPERATORS[predicate.operator])
    return predicates.newComparisonPredicate(column, operator, box(predicate.values[0]))
