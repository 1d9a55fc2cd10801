"""Rows of Kudu as plain values."""

from typing import Any

import pyarrow as pa


def plain_rows(rows: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return rows by column name; a TIMESTAMP is an int of microseconds."""
    arrays = [
        array.view(pa.int64()) if pa.types.is_timestamp(array.type) else array for array in rows.columns
    ]
    plain: list[dict[str, Any]] = pa.RecordBatch.from_arrays(arrays, names=rows.schema.names).to_pylist()
    return plain
