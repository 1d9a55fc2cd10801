"""Which values a column takes: what the strictest store refuses, for the stores that would take anything."""

from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.envelope import MAX_ID_BYTES

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1


def refusal(column: Column, value: object) -> str | None:
    """Return why a store would refuse a value, or None."""
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
