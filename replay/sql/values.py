"""Values of an Arrow column as Python's own, also those that Python's types cannot hold."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

_DATE_BITS = 32
_LARGEST = {_DATE_BITS: 2**31 - 1, 64: 2**63 - 1}
"""DuckDB's infinity, by the bits of a date or a time; its negative is the other one."""


def values_of(column: Iterable[pa.Scalar]) -> list[Any]:
    """Return a column's values. Dates and times beyond the years 1 to 9999, and the infinite ones, are texts."""
    try:
        return column.to_pylist()  # type: ignore[attr-defined,no-any-return] # pyarrow has no types
    except (OverflowError, ValueError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return _text(scalar)


def _text(scalar: pa.Scalar) -> str:
    kind = scalar.type
    number = scalar.cast(pa.int32() if kind.bit_width == _DATE_BITS else pa.int64()).as_py()
    if abs(number) >= _LARGEST[kind.bit_width]:
        return "infinity" if number > 0 else "-infinity"
    # NumPy's calendar goes on where Python's ends.
    return str(np.datetime64(number, "D" if pa.types.is_date32(kind) else kind.unit))
