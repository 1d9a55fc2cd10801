"""The values of columns in CBOR (RFC 8949): a whole column as a matrix of bytes, or one value."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.batch import ColumnValues, plain
from flumen.interceptor.columns import Kind
from flumen.stores.solr.times import iso_time, iso_times

_TEXT, _ARRAY = 0x60, 0x80
_FALSE, _TRUE = 0xF4, 0xF5
_FOUR_BYTES, _EIGHT_BYTES, _NEGATIVE = 0x1A, 0x1B, 0x20
_FLOAT, _DOUBLE = 0xFA, 0xFB
_SHORT = 24
_LONGEST = 1 << 20
"""Bytes of a text. Solr takes 32,766, and says so; over 20,000,000 characters it fails as if it were at fault."""
_LENGTHS = ((0x18, 1), (0x19, 2), (0x1A, 4))


@dataclass(frozen=True, slots=True)
class FixedCells:
    """Cells that are as wide in every row: the bytes that all begin with, and the others, rows x bytes."""

    head: bytes
    rest: NDArray[np.uint8]

    def rows(self) -> list[bytes]:
        """Return each row's cell."""
        width, content = self.rest.shape[1], self.rest.tobytes()
        return [self.head + content[at : at + width] for at in range(0, len(content), width)]

    def behind(self, key: bytes) -> "FixedCells":
        """Return the same with a key before each."""
        return FixedCells(key + self.head, self.rest)


def whole_column(kind: Kind, values: ColumnValues) -> FixedCells | None:
    """Encode one or more values, none of them null; None where they are not as wide, or are better looked at singly."""
    encode = _WHOLE.get(kind)
    return None if encode is None else encode(values)


def one_cell(kind: Kind, value: Any) -> bytes:
    """Encode a value; empty is null: NaN and infinite numbers.

    Raises:
        OverflowError: it needs more bits than its kind has.
        TypeError, ValueError, AttributeError: it is of another kind.
    """
    return _ONE[kind](value)


def text_cell(value: str) -> bytes:
    """Encode a text.

    Raises:
        ValueError: it is not valid Unicode, or far longer than Solr takes.
    """
    content = value.encode()
    if len(content) > _LONGEST:
        raise ValueError(f"it has {len(content):,} bytes, and Solr takes 32,766")
    return _text_head(len(content)) + content


def _head(kind: int, length: int) -> bytes:
    """Return how a text or an array of this length begins."""
    if length < _SHORT:
        return bytes((kind | length,))
    sign, size = next((sign, size) for sign, size in _LENGTHS if length < 1 << (8 * size))
    return bytes((kind | sign,)) + length.to_bytes(size, "big")


@lru_cache(maxsize=512)
def _text_head(length: int) -> bytes:
    return _head(_TEXT, length)


def _texts(values: Sequence[str]) -> bytes:
    return _head(_ARRAY, len(values)) + b"".join(map(text_cell, values))


def _alike(values: ColumnValues) -> FixedCells | None:
    """Encode texts in ASCII that are as long in every row: checksums, and most ids."""
    texts = plain(values)
    try:
        length, joined = len(texts[0]), "".join(texts)
    except TypeError:
        return None
    if not 0 < length <= _LONGEST or not joined.isascii() or set(map(len, texts)) != {length}:
        return None
    return FixedCells(_text_head(length), np.frombuffer(joined.encode(), np.uint8).reshape(-1, length))


def _texts_alike(values: ColumnValues) -> FixedCells | None:
    """Encode lists of texts that are as many and as long in every row, each row given as an array of bytes."""
    kinds = {(value.dtype, value.shape) if isinstance(value, np.ndarray) else None for value in values}
    if len(kinds) != 1 or None in kinds or values[0].dtype.kind != "S":
        return None
    texts = np.ascontiguousarray(values)
    rows, count = texts.shape
    head = _text_head(texts.dtype.itemsize)
    cells = np.empty((rows, count, len(head) + texts.dtype.itemsize), np.uint8)
    cells[:, :, : len(head)] = np.frombuffer(head, np.uint8)
    cells[:, :, len(head) :] = texts.view(np.uint8).reshape(rows, count, -1)
    return FixedCells(_head(_ARRAY, count), cells.reshape(rows, -1))


def _vectors(values: ColumnValues) -> FixedCells | None:
    """Encode vectors of as many numbers in every row, n x dimensions."""
    numbers = np.ascontiguousarray(values, dtype=np.float32)
    rows, count = numbers.shape
    cells = np.empty((rows, count, 5), np.uint8)
    cells[:, :, 0] = _FLOAT
    cells[:, :, 1:] = numbers.astype(">f4").view(np.uint8).reshape(rows, count, 4)
    return FixedCells(_head(_ARRAY, count), cells.reshape(rows, -1))


def _vector(value: Any) -> bytes:
    numbers = np.asarray(value, dtype=np.float32)
    encode = _float(np.float32, _FLOAT)
    return _head(_ARRAY, len(numbers)) + b"".join(map(encode, numbers.tolist()))


def _integers(type_: type[np.signedinteger[Any]], first: int) -> Callable[[ColumnValues], FixedCells | None]:
    bounds = np.iinfo(type_)

    def encode(values: ColumnValues) -> FixedCells | None:
        array = _array(values, "iu")
        if array is None:
            return None
        least, most = array.min(), array.max()
        if not (least >= bounds.min and most <= bounds.max):
            return None
        numbers = array.astype(type_, copy=False)
        if least >= 0:
            return FixedCells(bytes((first,)), _bytes_of(numbers))
        negative = numbers < 0
        # A negative one is written as -1 - n, which is what its bits say turned round.
        turned = _bytes_of(np.where(negative, ~numbers, numbers))
        heads = np.where(negative, first | _NEGATIVE, first).astype(np.uint8)[:, None]
        return FixedCells(b"", np.concatenate((heads, turned), axis=1))

    return encode


def _integer(size: int, first: int) -> Callable[[Any], bytes]:
    limit = 1 << (8 * size - 1)

    def encode(value: Any) -> bytes:
        number = int(value)
        if not -limit <= number < limit:
            raise OverflowError
        if number < 0:
            return bytes((first | _NEGATIVE,)) + (-1 - number).to_bytes(size, "big")
        return bytes((first,)) + number.to_bytes(size, "big")

    return encode


def _floats(type_: type[np.floating[Any]], first: int) -> Callable[[ColumnValues], FixedCells | None]:
    def encode(values: ColumnValues) -> FixedCells | None:
        array = _array(values, "iuf")
        if array is None or not np.isfinite(array).all():
            return None
        with np.errstate(over="ignore"):  # too large a double is an infinite float to Solr as well
            return FixedCells(bytes((first,)), _bytes_of(array.astype(type_, copy=False)))

    return encode


def _float(type_: type[np.floating[Any]], first: int) -> Callable[[Any], bytes]:
    def encode(value: Any) -> bytes:
        number = float(value)
        if not math.isfinite(number):
            return b""
        with np.errstate(over="ignore"):
            return bytes((first,)) + _bytes_of(np.array([number]).astype(type_)).tobytes()

    return encode


def _booleans(values: ColumnValues) -> FixedCells | None:
    array = _array(values, "b")
    if array is None:
        return None
    return FixedCells(b"", np.where(array, _TRUE, _FALSE).astype(np.uint8)[:, None])


def _boolean(value: Any) -> bytes:
    return bytes((_TRUE if value else _FALSE,))


def _times(values: ColumnValues) -> FixedCells | None:
    array = _array(values, "i")
    texts = None if array is None else iso_times(array)
    return None if texts is None else FixedCells(_text_head(texts.shape[1]), texts)


def _time(value: Any) -> bytes:
    return text_cell(iso_time(value))


def _array(values: ColumnValues, kinds: str) -> NDArray[Any] | None:
    """Return a column as an array if all of it is of one of these kinds of numpy's."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        return None
    return array if array.dtype.kind in kinds and array.ndim == 1 else None


def _bytes_of(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """Return rows x bytes, the highest first."""
    width = numbers.dtype.itemsize
    return numbers.astype(numbers.dtype.newbyteorder(">")).view(np.uint8).reshape(-1, width)


_WHOLE: Mapping[Kind, Callable[[ColumnValues], FixedCells | None]] = {
    Kind.STRING: _alike,
    Kind.STRINGS: _texts_alike,
    Kind.BOOL: _booleans,
    Kind.INT32: _integers(np.int32, _FOUR_BYTES),
    Kind.INT64: _integers(np.int64, _EIGHT_BYTES),
    Kind.FLOAT: _floats(np.float32, _FLOAT),
    Kind.DOUBLE: _floats(np.float64, _DOUBLE),
    Kind.TIMESTAMP: _times,
    Kind.BINARY: _vectors,
}
_ONE: Mapping[Kind, Callable[[Any], bytes]] = {
    Kind.STRING: text_cell,
    Kind.STRINGS: _texts,
    Kind.BOOL: _boolean,
    Kind.INT32: _integer(4, _FOUR_BYTES),
    Kind.INT64: _integer(8, _EIGHT_BYTES),
    Kind.FLOAT: _float(np.float32, _FLOAT),
    Kind.DOUBLE: _float(np.float64, _DOUBLE),
    Kind.TIMESTAMP: _time,
    Kind.BINARY: _vector,
}
