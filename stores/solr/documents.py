"""From a micro-batch in columns to documents, a whole column at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flumen.interceptor.batch import Batch, ColumnValues, plain
from flumen.interceptor.columns import Kind
from flumen.stores.solr.schema import CORRECT, DERIVED, LOCATION, IndexField

_INT32 = np.iinfo(np.int32)


def build_documents(batch: Batch, fields: Sequence[IndexField]) -> list[dict[str, Any]]:
    """Return one document a row, in the batch's order. A null cell is not in it: most images say little.

    A declared column that the batch lacks is null in every row.
    """
    names, full, sparse = [], [], []
    for field in fields:
        values = _field_values(batch.columns, field)
        nulls = 0 if values is None else values.count(None)
        if values is None or nulls == len(values) > 0:
            continue
        if nulls:
            sparse.append((field.name, values))
        else:
            names.append(field.name)
            full.append(values)
    if full:
        documents = [dict(zip(names, row, strict=True)) for row in zip(*full, strict=True)]
    else:
        documents = [{} for _ in batch.images]
    for name, values in sparse:
        for document, value in zip(documents, values, strict=True):
            if value is not None:
                document[name] = value
    return documents


def int32_overflows(batch: Batch, fields: Sequence[IndexField]) -> dict[int, str]:
    """Return the rows with an INT32 value that needs more bits, and why: Solr would wrap it silently."""
    reasons: dict[int, str] = {}
    for field in fields:
        if field.column.kind is Kind.INT32 and field.column.name in batch.columns:
            for row in _outside_int32(batch.columns[field.column.name]):
                reasons[row] = (
                    f"{field.column.name} is {batch.columns[field.column.name][row]}, outside int32"
                )
    return reasons


def _outside_int32(values: ColumnValues) -> Sequence[int]:
    low, high = _INT32.min, _INT32.max
    if isinstance(values, np.ndarray):
        if np.can_cast(values.dtype, np.int32):
            return ()
        return [int(row) for row in np.flatnonzero((values < low) | (values > high))]
    return [row for row, value in enumerate(values) if value is not None and not low <= value <= high]


def _field_values(columns: Mapping[str, ColumnValues], field: IndexField) -> list[Any] | None:
    sources = [columns.get(name) for name in DERIVED.get(field.column, (field.column.name,))]
    present = [values for values in sources if values is not None]
    if len(present) < len(sources):
        return None
    if field.column is CORRECT:
        return _correct(*map(plain, present))
    if field.column is LOCATION:
        return _points(*map(plain, present))
    return _CONVERSIONS.get(field.column.kind, plain)(present[0])


def _correct(predictions: list[int], known_labels: list[int | None]) -> list[bool | None]:
    return [
        None if known is None else known == prediction
        for prediction, known in zip(predictions, known_labels, strict=True)
    ]


def _points(latitudes: list[float | None], longitudes: list[float | None]) -> list[str | None]:
    return [
        None if latitude is None or longitude is None else f"{latitude},{longitude}"
        for latitude, longitude in zip(latitudes, longitudes, strict=True)
    ]


def _iso_times(values: ColumnValues) -> list[str | None]:
    """Turn microseconds since the epoch into ISO 8601 in UTC, cut to the milliseconds that Solr keeps."""
    times = np.asarray(values, dtype="datetime64[us]").astype("datetime64[ms]")
    texts: list[str | None] = np.datetime_as_string(times, timezone="UTC").tolist()
    return [None if time is None else text for time, text in zip(plain(values), texts, strict=True)]


_CONVERSIONS: dict[Kind, Callable[[ColumnValues], list[Any]]] = {Kind.TIMESTAMP: _iso_times}
