"""Columns that Kudu has no type for: what they are as cells, and the way back."""

from collections.abc import Sequence

import orjson
import pyarrow as pa

from flumen.interceptor.batch import ColumnValues
from flumen.interceptor.columns import Column, Kind


def json_arrays(values: ColumnValues) -> list[object]:
    """Return each sequence of texts as the JSON array that is its cell; None stays None.

    One that cannot be written as JSON stays what it is, so that its row alone is refused.
    """
    return [None if value is None else _json_array(value) for value in values]


def columns_of(rows: pa.RecordBatch, columns: Sequence[Column]) -> dict[str, ColumnValues]:
    """Return rows of Kudu as a batch has them: the declared columns, by name, that these rows have.

    A TIMESTAMP is an int of microseconds, a STRINGS value a list of str; both are otherwise in Kudu.
    """
    return {
        column.name: _values(rows.column(column.name), column)
        for column in columns
        if column.name in rows.schema.names
    }


def _json_array(value: Sequence[str]) -> object:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return value


def _values(array: pa.Array, column: Column) -> ColumnValues:
    if column.kind is Kind.TIMESTAMP:
        return list(array.cast(pa.int64()).to_pylist())
    values: ColumnValues = array.to_pylist()
    if column.kind is Kind.STRINGS:
        return [None if text is None else orjson.loads(text) for text in values]
    return values
