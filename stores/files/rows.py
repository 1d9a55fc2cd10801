"""From a batch to the rows of a file: each column as Arrow has it, without the rows that a column refuses."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from flumen.interceptor.batch import Batch, plain
from flumen.interceptor.columns import Column, Kind
from flumen.stores.files.schema import REMOVED, WRITTEN
from flumen.stores.values import refusal


def build(batch: Batch, columns: Sequence[Column], schema: pa.Schema) -> tuple[pa.Table, dict[int, str]]:
    """Return the rows of a file, those that are good, and why each of the others is not, by its row in the batch.

    `written_ns` is left at the row's place in the batch.
    """
    cells = _cells(batch, columns, schema)
    refused = _refused(cells, columns, schema)
    good = [row for row in range(len(batch)) if row not in refused]
    arrays = [
        _array([cells[field.name][row] for row in good] if refused else cells[field.name], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema), refused


def build_removals(ids: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Return a row for each image that is removed: its id, and that it is. `written_ns` as `build` leaves it."""
    known: dict[str, list[Any]] = {
        "id": list(ids),
        WRITTEN: list(range(len(ids))),
        REMOVED: [True] * len(ids),
    }
    nothing = [None] * len(ids)
    return pa.Table.from_arrays(
        [_array(known.get(field.name, nothing), field.type) for field in schema], schema=schema
    )


def is_id(image_id: str) -> bool:
    """Say whether an image of this id may be here at all."""
    return refusal(Column("id", Kind.STRING, "", nullable=False), image_id) is None


def _cells(batch: Batch, columns: Sequence[Column], schema: pa.Schema) -> dict[str, list[Any]]:
    count = len(batch)
    own: dict[str, list[Any]] = {
        "id": [image.id for image in batch.images],
        "image": [image.content for image in batch.images],
        WRITTEN: list(range(count)),
        REMOVED: [False] * count,
    }
    names = [*(column.name for column in columns), "probabilities"]
    declared = {name: plain(batch.columns.get(name, [None] * count)) for name in names}
    return {name: own.get(name) or declared.get(name, [None] * count) for name in schema.names}


def _refused(cells: dict[str, list[Any]], columns: Sequence[Column], schema: pa.Schema) -> dict[int, str]:
    """Look at every cell of the columns where something may be wrong: most are taken or refused as a whole."""
    refused: dict[int, str] = {}
    for column in columns:
        if column.name not in cells:
            continue
        values = cells[column.name]
        if column.nullable and _fits(values, schema.field(column.name).type):
            continue
        for row, value in enumerate(values):
            reason = refusal(column, value)
            if reason is None and not _fits([value], schema.field(column.name).type):
                reason = f"{column.name} is no {column.kind.value}"
            if reason is not None:
                refused.setdefault(row, reason)
    return refused


def _fits(values: list[Any], kind: pa.DataType) -> bool:
    try:
        _array(values, kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return False
    return True


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind)
