"""From a batch to rows of Kudu's tables: functions of the batch and of a table's description, and of nothing else.

What they take and return can be pickled, so that another process can encode what this one stores.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.interceptor.batch import Batch, ColumnValues
from flumen.stores.kudu.driver import Write
from flumen.stores.kudu.lists import json_arrays
from flumen.stores.kudu.rows import Part, build
from flumen.stores.kudu.schema import CHUNK_BYTES, MAX_KEY_BYTES, Table
from flumen.stores.kudu.writing import answer_columns

# Characters, of which each takes four bytes at the most: half of what a key may take, with the model's name.
_SHORT_ID = MAX_KEY_BYTES // 8


def image_rows(table: Table, lists: Sequence[str], batch: Batch) -> tuple[pa.RecordBatch, dict[int, str]]:
    """Return a batch as rows of `images`, and the reason for each that must not be written; as `build`.

    `lists` names the columns that hold several texts.
    """
    columns = _image_columns(batch)
    columns |= {name: json_arrays(columns[name]) for name in lists if name in columns}
    return build(table, columns, len(batch))


def long_answers(predictions: Table, batch: Batch) -> dict[int, str]:
    """Return the reason for each answer whose key is too long for `predictions`, where it may have to go later."""
    if max(len(image.id) for image in batch.images) <= _SHORT_ID:
        return {}
    keys = tuple(column for column in predictions.columns if column.key)
    answered = _answered(batch)
    taken = batch.take(answered)
    columns = {**taken.columns, "id": [image.id for image in taken.images]}
    _, refused = build(replace(predictions, columns=keys), columns, len(taken))
    return {answered[row]: reason for row, reason in refused.items()}


def _image_columns(batch: Batch) -> dict[str, ColumnValues]:
    contents = [image.content for image in batch.images]
    seen = views(batch)
    return {
        **answer_columns(batch),
        "image": _cells(contents),
        "chunks": _chunk_counts(contents),
        "image_as_pgm": _cells(seen),
        "view_chunks": _chunk_counts(seen),
    }


def views(batch: Batch) -> Sequence[bytes | None]:
    """Return what the classifier saw of each image: nothing, where the chain does not decode."""
    return batch.columns.get("image_as_pgm", [None] * len(batch))  # type: ignore[return-value]


def _cells(values: Sequence[bytes | None]) -> list[bytes | None]:
    cells = list(values)
    for row in np.flatnonzero(_sizes(values) > CHUNK_BYTES).tolist():
        cells[row] = None
    return cells


def _chunk_counts(values: Sequence[bytes | None]) -> NDArray[np.int32]:
    """Return into how many chunks each value goes: none where it is one cell."""
    sizes = _sizes(values)
    return np.where(sizes > CHUNK_BYTES, -(-sizes // CHUNK_BYTES), 0).astype(np.int32)


def _sizes(values: Sequence[bytes | None]) -> NDArray[np.int64]:
    return np.array([0 if value is None else len(value) for value in values], np.int64)


def _answered(batch: Batch) -> Sequence[int]:
    """Return the rows that a model has answered: none, where the chain does not classify."""
    nobody = [None] * len(batch)
    models = batch.columns.get("model", nobody)
    versions = batch.columns.get("model_version", nobody)
    return [
        row
        for row, (model, version) in enumerate(zip(models, versions, strict=True))
        if model is not None and version is not None
    ]


def chunk_parts(
    table: Table, batch: Batch, values: Sequence[bytes | None], failures: Container[int]
) -> Iterator[Part]:
    """Yield the chunks of each value that is larger than a cell, of rows that have not failed."""
    for row in np.flatnonzero(_sizes(values) > CHUNK_BYTES).tolist():
        image, value = batch.images[row], values[row]
        if row in failures or value is None:
            continue
        starts = range(0, len(value), CHUNK_BYTES)
        chunks = pa.RecordBatch.from_arrays(
            [
                pa.array([image.id] * len(starts), pa.string()),
                pa.array(range(len(starts)), pa.int32()),
                pa.array([value[start : start + CHUNK_BYTES] for start in starts], pa.binary()),
            ],
            schema=table.arrow,
        )
        yield Part(Write(table.name, chunks), [row] * len(starts))
