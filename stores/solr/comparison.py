"""What the index should give back of an image's row, and what it does give back: compared field by field.

docValues give texts of a field that holds several as a set in their order, times to the millisecond, and floats with 32
bits: two values are the same here where the index cannot tell them apart.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    there: set[str] = set().union(*documents)
    for field in fields:
        kind, values = field.column.kind, field_values(batch.columns, field)
        wanted = [None] * len(documents) if values is None else plain(values)
        given = (
            [document.get(field.name) for document in documents]
            if field.name in there
            else [None] * len(documents)
        )
        of_row, of_document = _WANTED.get(kind, _as_it_is), _GIVEN.get(kind, _as_it_is)
        for row in _suspects(kind, wanted, given):
            if _known(of_row, wanted[row]) != _known(of_document, given[row]):
                found[row].append(field.column.name)
    return found


def _suspects(kind: Kind, wanted: Sequence[Any], given: Sequence[Any]) -> Iterable[int]:
    """Return the rows to be compared one by one: a whole column at once says of most that they are alike."""
    alike, count = _ALIKE.get(kind), len(wanted)
    try:
        if alike is None:
            if wanted == given:
                return ()
            return [row for row, pair in enumerate(zip(wanted, given, strict=True)) if pair[0] != pair[1]]
        both, one_alone = _present(wanted, given)
        if not both:
            return one_alone
        if len(both) < len(wanted):
            wanted, given = [wanted[row] for row in both], [given[row] for row in both]
        return [*one_alone, *np.asarray(both)[~alike(wanted, given)].tolist()]
    except (TypeError, ValueError, AttributeError, OverflowError):  # among them is what is of another kind
        return range(count)


def _present(wanted: Sequence[Any], given: Sequence[Any]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the rows that have both values, and those that have one of them."""
    if None not in wanted and None not in given:
        return range(len(wanted)), ()
    pairs = list(enumerate(zip(wanted, given, strict=True)))
    both = [row for row, (one, other) in pairs if one is not None and other is not None]
    return both, [row for row, (one, other) in pairs if (one is None) != (other is None)]


def _floats_alike(wanted: Sequence[float], given: Sequence[float]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        one, other = (np.asarray(values, np.float64).astype(np.float32) for values in (wanted, given))
    return np.asarray(one == other)


def _times_alike(wanted: Sequence[int], given: Sequence[str]) -> NDArray[np.bool_]:
    told = np.array([time.removesuffix("Z") for time in given], "datetime64[ms]").astype(np.int64)
    return np.asarray(np.asarray(wanted, np.int64) // 1000 == told)


def _known(read: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else read(value)


def _as_it_is(value: Any) -> Any:
    return value


def _single(value: float) -> float | None:
    with np.errstate(over="ignore"):
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
_ALIKE: Mapping[Kind, Callable[[Sequence[Any], Sequence[Any]], NDArray[np.bool_]]] = {
    Kind.FLOAT: _floats_alike,
    Kind.TIMESTAMP: _times_alike,
}
