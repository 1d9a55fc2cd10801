"""What the index should give back of an image's row, and what it does give back: compared field by field.

docValues give texts of a field that holds several as a set in their order, times to the millisecond, and floats with 32
bits: two values are the same here where the index cannot tell them apart.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flumen.interceptor.batch import Batch, plain
from flumen.interceptor.columns import Kind
from flumen.stores.solr.encoding import field_values
from flumen.stores.solr.schema import HASH_BANDS, IndexField

_UNREADABLE = frozenset({HASH_BANDS.name})
"""Fields that are searched by, and that Solr does not give back. What they are made from is compared."""


def readable(fields: Sequence[IndexField]) -> tuple[IndexField, ...]:
    """Return the fields whose values Solr gives back."""
    return tuple(field for field in fields if field.name not in _UNREADABLE)


def differing(
    batch: Batch, documents: Sequence[Mapping[str, Any]], fields: Sequence[IndexField]
) -> list[list[str]]:
    """Return for each row the columns in which its document, as Solr gives it, is not what the row would make.

    Args:
        batch: rows of images, by column.
        documents: the document of each row.
        fields: those that are compared.
    """
    found: list[list[str]] = [[] for _ in documents]
    for field in fields:
        values = field_values(batch.columns, field)
        wanted = [None] * len(documents) if values is None else plain(values)
        of_row, of_document = (
            _WANTED.get(field.column.kind, _as_it_is),
            _GIVEN.get(field.column.kind, _as_it_is),
        )
        for row, (value, document) in enumerate(zip(wanted, documents, strict=True)):
            given = document.get(field.name)
            if value is None and given is None:
                continue
            if _known(of_row, value) != _known(of_document, given):
                found[row].append(field.column.name)
    return found


def _known(read: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else read(value)


def _as_it_is(value: Any) -> Any:
    return value


def _single(value: float) -> float | None:
    number = float(np.float32(value))
    return number if math.isfinite(number) else None


def _double(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _texts(values: Sequence[str]) -> list[str] | None:
    return sorted(set(values)) or None


def _numbers(vector: Sequence[float]) -> bytes:
    return np.asarray(vector, np.float32).tobytes()


def milliseconds(time: str) -> int:
    """Return a time, as Solr gives it, in milliseconds since the epoch."""
    return int(np.datetime64(time.removesuffix("Z"), "ms").astype(np.int64))


_WANTED: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.FLOAT: _single,
    Kind.DOUBLE: _double,
    Kind.STRINGS: _texts,
    Kind.TIMESTAMP: lambda micros: int(micros) // 1000,
    Kind.BINARY: _numbers,
}
_GIVEN: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.FLOAT: _single,
    Kind.STRINGS: _texts,
    Kind.TIMESTAMP: milliseconds,
    Kind.BINARY: _numbers,
}
