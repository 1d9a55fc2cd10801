"""From the columns of a batch to rows that Kudu takes: converted, checked, and cut into flushes of bearable size."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flumen.interceptor.batch import ColumnValues, nulls_in
from flumen.stores.kudu.driver import FLUSH_BYTES, FLUSH_ROWS, Write
from flumen.stores.kudu.schema import ARROW_TYPES, MAX_CELL_BYTES, MAX_KEY_BYTES, Table, TableColumn

# What Python's datetime, and so every reader in Python, can show: the years 1 to 9999.
MIN_TIMESTAMP = -62_135_596_800_000_000
MAX_TIMESTAMP = 253_402_300_799_999_999
# In a key of several columns, every string but the last ends in two bytes, and a NUL in it takes two.
_KEY_SEPARATOR_BYTES = 2

_CONVERSION_ERRORS = (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows on their way into one table; `positions[i]` is where row i stands in the batch it came from."""

    write: Write
    positions: Sequence[int]


def build(
    table: Table, values: Mapping[str, ColumnValues], count: int
) -> tuple[pa.RecordBatch, dict[int, str]]:
    """Convert columns to the table's types, and find the rows that Kudu would refuse or could not give back.

    Args:
        table: the table the rows are for.
        values: a column each, `count` values long; a column that is not there is null in every row.
        count: the number of rows.

    Returns:
        All rows, with nulls where a value could not be converted, and the reason for each row that must not be
        written.
    """
    failures: dict[int, str] = {}
    arrays = []
    for column in table.columns:
        given = values.get(column.name)
        if column.nullable and (given is None or _is_null(given)):
            arrays.append(_nulls(column.type, count))
            continue
        array, refused = _convert(given, column, count)
        for row, reason in (*refused.items(), *_violations(array, column)):
            failures.setdefault(row, f"column {column.name!r} {reason}")
        arrays.append(array)
    arrays.extend(_nulls(column.type, count) for column in table.others)
    rows = pa.RecordBatch.from_arrays(arrays, schema=table.arrow)
    for row, reason in _long_keys(table, rows):
        failures.setdefault(row, reason)
    return rows, failures


def _is_null(values: ColumnValues) -> bool:
    """Say whether a column is null in every row, as most of what files say of themselves is in most batches."""
    if not isinstance(values, list) or (values and values[0] is not None):
        return False
    return nulls_in(values) == len(values)


@functools.lru_cache(maxsize=64)
def _nulls(kudu_type: str, count: int) -> pa.Array:
    return pa.nulls(count, ARROW_TYPES[kudu_type])


def _convert(
    values: ColumnValues | None, column: TableColumn, count: int
) -> tuple[pa.Array, Mapping[int, str]]:
    kind = ARROW_TYPES[column.type]
    if values is None:
        return pa.nulls(count, kind), {}
    try:
        array = pa.array(values, kind, from_pandas=False)
        if pa.types.is_string(kind):  # bytes are taken for a text, whatever they are
            array.validate(full=True)
    except _CONVERSION_ERRORS:
        return _convert_one_by_one(values, kind)
    return array, {}


def _convert_one_by_one(values: ColumnValues, kind: pa.DataType) -> tuple[pa.Array, Mapping[int, str]]:
    converted: list[Any] = []
    refused: dict[int, str] = {}
    for row, value in enumerate(values):
        try:
            single = pa.array([value], kind, from_pandas=False)
            single.validate(full=True)
            converted.append(single[0])
        except _CONVERSION_ERRORS as error:
            refused[row] = f"holds no valid {kind}: {error}"
            converted.append(None)
    return pa.array(converted, kind), refused


def _violations(array: pa.Array, column: TableColumn) -> Iterator[tuple[int, str]]:
    if not column.nullable and array.null_count:
        yield from _where(array.is_null(), "has no value")
    if column.type in ("string", "binary") and array.nbytes > MAX_CELL_BYTES:
        too_long = pc.greater(pc.binary_length(array), MAX_CELL_BYTES)
        yield from _where(too_long, f"is over {MAX_CELL_BYTES:,} bytes, the most Kudu takes in one cell")
    if column.type == "unixtime_micros":
        microseconds = array.view(pa.int64())
        outside = pc.or_(pc.less(microseconds, MIN_TIMESTAMP), pc.greater(microseconds, MAX_TIMESTAMP))
        yield from _where(outside, "is a time outside the years 1 to 9999")


def _long_keys(table: Table, rows: pa.RecordBatch) -> Iterator[tuple[int, str]]:
    keys = [rows.column(name) for name in table.keys]
    if sum(key.nbytes for key in keys) <= MAX_KEY_BYTES // 2:
        return
    size: Any = 0
    for key in keys:
        if not pa.types.is_string(key.type):
            size = pc.add(size, key.type.bit_width // 8)
            continue
        size = pc.add(size, pc.binary_length(key))
        if key is not keys[-1]:
            size = pc.add(size, pc.add(pc.count_substring(key, "\0"), _KEY_SEPARATOR_BYTES))
    reason = f"the key ({', '.join(table.keys)}) is over {MAX_KEY_BYTES:,} bytes, the most Kudu takes"
    yield from _where(pc.greater(size, MAX_KEY_BYTES), reason)


def _where(mask: pa.BooleanArray, reason: str) -> Iterator[tuple[int, str]]:
    if mask.true_count:
        for row in np.flatnonzero(mask.fill_null(False).to_numpy(zero_copy_only=False)):
            yield int(row), reason


def flushes(parts: Iterable[Part]) -> Iterator[Sequence[Part]]:
    """Group parts, in order, so that no group is over what one flush may carry; a part too large is split."""
    group: list[Part] = []
    size = count = 0
    for piece in itertools.chain.from_iterable(map(_split, parts)):
        rows = piece.write.rows
        if group and (size + rows.nbytes > FLUSH_BYTES or count + rows.num_rows > FLUSH_ROWS):
            yield group
            group, size, count = [], 0, 0
        group.append(piece)
        size += rows.nbytes
        count += rows.num_rows
    if group:
        yield group


def _split(part: Part) -> Iterator[Part]:
    rows = part.write.rows
    if rows.num_rows <= 1 or (rows.nbytes <= FLUSH_BYTES and rows.num_rows <= FLUSH_ROWS):
        if rows.num_rows:
            yield part
        return
    middle = rows.num_rows // 2
    for start, stop in ((0, middle), (middle, rows.num_rows)):
        # take copies, where slice would keep the whole batch's buffers alive and shift every offset
        piece = rows.take(pa.array(range(start, stop), pa.int32()))
        yield from _split(Part(replace(part.write, rows=piece), part.positions[start:stop]))
