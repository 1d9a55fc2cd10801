"""From a micro-batch in columns to documents in CBOR, a whole column at a time.

Solr reads CBOR with less work than JSON. A document is a map of its own, so that any of them can be sent together
without being encoded again. What is as wide in every row is put side by side in one matrix, what all rows share is
encoded once, and each document is joined from few pieces.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flumen.interceptor.batch import Batch, ColumnValues, nulls_in, plain
from flumen.interceptor.columns import Column, Kind
from flumen.stores.solr.bands import hash_bands
from flumen.stores.solr.cells import FixedCells, one_cell, text_cell, whole_column
from flumen.stores.solr.schema import CORRECT, HASH_BANDS, LOCATION, VECTORS, IndexField
from flumen.stores.solr.vectors import vectors_of_size

CONTENT_TYPE = "application/cbor"

_MAP, _LIST, _END = b"\xbf", b"\x9f", b"\xff"
_REQUEST_BYTES = 8 * 1024 * 1024
_FEW = 16
"""A column that has so many times fewer values than rows is encoded by value, not by row."""

_HASHES_END = 1 << 63


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A micro-batch for Solr: a document in CBOR for each row, and why the rows in `refused` are not to be sent."""

    documents: Sequence[bytes]
    refused: Mapping[int, str]


def encode(batch: Batch, fields: Sequence[IndexField]) -> EncodedBatch:
    """Encode one document a row, in the batch's order. A null cell is not in it: most images say little.

    A declared column that the batch lacks is null in every row; NaN and infinite numbers are null. Refused are rows
    with an integer that does not fit, which Solr would wrap silently, with text that is not valid Unicode, and with
    what is of another kind than its column.
    """
    pieces = _Pieces(len(batch))
    for field in fields if len(batch) else ():
        values = field_values(batch.columns, field)
        if values is not None:
            pieces.add(field, values)
    return EncodedBatch(pieces.documents(), pieces.refused)


def requests_of(
    rows: Sequence[int], documents: Sequence[bytes], most_bytes: int = _REQUEST_BYTES
) -> Iterator[Sequence[int]]:
    """Yield the rows in order, as many at once as make a request of some MiB, which takes Solr seconds at most."""
    start = size = 0
    for place, row in enumerate(rows):
        if place > start and size + len(documents[row]) > most_bytes:
            yield rows[start:place]
            start, size = place, 0
        size += len(documents[row])
    if rows:
        yield rows[start:]


def request_body(documents: Iterable[bytes]) -> bytes:
    """Return what Solr is sent to add these documents."""
    return b"".join((_LIST, *documents, _END))


class _Pieces:
    """What the documents of one batch are joined from: what all share, fixed cells, and a list for each other field."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._shared = [_MAP]
        self._fixed: list[FixedCells] = []
        self._varying: list[Sequence[bytes]] = []
        self.refused: dict[int, str] = {}

    def add(self, field: IndexField, values: ColumnValues) -> None:
        """Encode one field of every row."""
        key = text_cell(field.name)
        present: Sequence[int] = range(self._rows)
        if isinstance(values, list) and (nulls := nulls_in(values)):
            if nulls == self._rows:
                return
            present = [row for row, value in enumerate(values) if value is not None]
            values = [values[row] for row in present]
        fixed = whole_column(field.column.kind, values)
        if len(present) < self._rows:
            cells = (
                self._each(field.column, key, values, present) if fixed is None else fixed.behind(key).rows()
            )
            self._varying.append(self._scattered(cells, present))
        elif fixed is not None:
            self._fixed.append(fixed.behind(key))
        else:
            self._vary(self._each(field.column, key, values, present))

    def documents(self) -> list[bytes]:
        """Return each row's document."""
        columns = [self._side_by_side().rows(), *self._varying, [_END] * self._rows]
        return list(map(b"".join, zip(*columns, strict=True)))

    def _side_by_side(self) -> FixedCells:
        """Return what all documents begin with: what is the same in each, then the fixed cells."""
        shared = b"".join(self._shared)
        row = shared + b"".join(cells.head + bytes(cells.rest.shape[1]) for cells in self._fixed)
        matrix = np.empty((self._rows, len(row)), np.uint8)
        matrix[:] = np.frombuffer(row, np.uint8)
        at = len(shared)
        for cells in self._fixed:
            at += len(cells.head)
            matrix[:, at : at + cells.rest.shape[1]] = cells.rest
            at += cells.rest.shape[1]
        return FixedCells(b"", matrix)

    def _vary(self, cells: Sequence[bytes]) -> None:
        if cells.count(cells[0]) == len(cells):
            self._shared.append(cells[0])
        else:
            self._varying.append(cells)

    def _scattered(self, cells: Sequence[bytes], rows: Sequence[int]) -> list[bytes]:
        scattered = [b""] * self._rows
        for row, cell in zip(rows, cells, strict=True):
            scattered[row] = cell
        return scattered

    def _each(self, column: Column, key: bytes, values: ColumnValues, rows: Sequence[int]) -> list[bytes]:
        """Encode value by value; where one cannot be, its row is refused."""
        kind, cells = column.kind, plain(values)
        try:
            if kind is Kind.STRINGS:
                cells = list(map(tuple, cells))
            distinct = set(cells)
            if len(distinct) * _FEW <= len(rows):
                by_value = {value: _keyed(key, one_cell(kind, value)) for value in distinct}
                return [by_value[value] for value in cells]
            return [_keyed(key, one_cell(kind, value)) for value in cells]
        except (TypeError, ValueError, OverflowError, AttributeError):
            return [self._one(column, key, value, row) for row, value in zip(rows, cells, strict=True)]

    def _one(self, column: Column, key: bytes, value: Any, row: int) -> bytes:
        try:
            return _keyed(key, one_cell(column.kind, value))
        except OverflowError:
            self.refused[row] = f"{column.name} is {value}, outside {column.kind.value}"
        except (TypeError, ValueError, AttributeError) as error:
            self.refused[row] = f"{column.name} is no {column.kind.value}: {error}"
        return b""


def _keyed(key: bytes, cell: bytes) -> bytes:
    return key + cell if cell else cell


def field_values(columns: Mapping[str, ColumnValues], field: IndexField) -> ColumnValues | None:
    """Return what the rows of these columns have in a field; None where they lack what it is made from."""
    if not field.made_from:
        return columns.get(field.column.name)
    if not columns.keys() >= set(field.made_from):
        return None
    made = [plain(columns[name]) for name in field.made_from]
    if field.column in VECTORS:
        return vectors_of_size(made[0], VECTORS[field.column])
    return _MADE[field.column.name](*made)


def correct(predictions: list[int], known_labels: list[int | None]) -> list[bool | None]:
    """Return the field `correct` of documents: whether each prediction is the known label, None where none is known."""
    return [
        None if known is None else known == prediction
        for prediction, known in zip(predictions, known_labels, strict=True)
    ]


def _points(latitudes: list[float | None], longitudes: list[float | None]) -> list[str | None]:
    return [
        None if latitude is None or longitude is None else f"{latitude},{longitude}"
        for latitude, longitude in zip(latitudes, longitudes, strict=True)
    ]


def _bands(hashes: list[int | None]) -> ColumnValues:
    """Return the bands of each hash; what is none has none, and the column itself says so."""
    present = [row for row, value in enumerate(hashes) if isinstance(value, int) and 0 <= value < _HASHES_END]
    bands = hash_bands(np.array([hashes[row] for row in present], dtype=np.int64))
    if len(present) == len(hashes):
        return bands
    scattered: list[Any] = [None] * len(hashes)
    for row, values in zip(present, bands, strict=True):
        scattered[row] = values
    return scattered


_MADE: Mapping[str, Callable[..., ColumnValues]] = {
    CORRECT.name: correct,
    LOCATION.name: _points,
    HASH_BANDS.name: _bands,
}
