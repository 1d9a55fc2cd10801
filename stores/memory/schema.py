"""Which values a column takes, and whether a store that exists has the same columns."""

from collections.abc import Sequence

from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import SchemaMismatch

MAX_ID_BYTES = 16_384
"""Kudu's limit for a key, the smallest of the real stores."""

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1


def check_columns(found: Sequence[Column], expected: Sequence[Column]) -> None:
    """Compare the columns of a store with those to be written. One more is no matter.

    Raises:
        SchemaMismatch: they differ; names the columns.
    """
    kinds = {column.name: column.kind for column in found}
    differing = sorted(column.name for column in expected if kinds.get(column.name) is not column.kind)
    if differing:
        raise SchemaMismatch(f"the memory store has other columns: {', '.join(differing)}; make a new store")


def refusal(column: Column, value: object) -> str | None:
    """Return why the real stores would refuse a value, or None."""
    if value is None:
        return None if column.nullable else f"{column.name} has no value"
    if isinstance(value, str):
        return _text_refusal(column, value)
    if column.kind is Kind.INT32 and isinstance(value, int) and not _INT32_MIN <= value <= _INT32_MAX:
        return f"{column.name} is {value}, outside int32"
    return None


def _text_refusal(column: Column, text: str) -> str | None:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return f"{column.name} is not valid UTF-8: it has a lone surrogate"
    if column.name == "id" and len(encoded) > MAX_ID_BYTES:
        return f"{column.name} has {len(encoded)} bytes, more than {MAX_ID_BYTES}"
    return None
