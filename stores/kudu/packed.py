"""A record batch as one run of bytes, so that it crosses into the JVM in one call, and back."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_ALIGNMENT = 8


def pack(rows: pa.RecordBatch) -> tuple[bytes, NDArray[np.int32]]:
    """Lay the batch's Arrow buffers one after another.

    Args:
        rows: strings and binaries with 32-bit offsets; no array has an offset of its own.

    Returns:
        The bytes, and int32 of three numbers a column: where in them its values, its offsets and its validity
        bitmap start; -1 where it has none. A column that is null in every row has nothing of the three.
    """
    parts: list[pa.Buffer | bytes] = []
    layout: list[int] = []
    size = 0

    def append(buffer: pa.Buffer | None) -> int:
        nonlocal size
        if buffer is None:
            return -1
        start = size
        padding = -len(buffer) % _ALIGNMENT
        parts.extend((buffer, bytes(padding)))
        size += len(buffer) + padding
        return start

    for column in rows.columns:
        assert column.offset == 0
        if column.null_count == len(column):
            layout += (-1, -1, -1)
            continue
        validity, *offsets, values = column.buffers()
        layout.append(append(values if values is not None else pa.py_buffer(b"")))
        layout.append(append(offsets[0] if offsets else None))
        layout.append(append(validity if column.null_count else None))
    return b"".join(parts), np.array(layout, dtype=np.int32)


def unpack(packed: bytes, layout: Sequence[int], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    """Build a batch over packed bytes, without copying them.

    Args:
        packed: what `ScanReader` filled.
        layout: four numbers a column: where its values, its offsets and its validity bitmap start (-1 = none), and
            how many bytes its values take.
        rows: how many rows there are.
        schema: the batch's columns, in the order of the layout.
    """
    whole = pa.py_buffer(packed)
    arrays = []
    for index, field in enumerate(schema):
        values, offsets, validity, length = layout[4 * index : 4 * index + 4]
        buffers = [whole.slice(validity, (rows + 7) // 8)]
        if offsets >= 0:
            buffers.append(whole.slice(offsets, 4 * (rows + 1)))
        arrays.append(pa.Array.from_buffers(field.type, rows, [*buffers, whole.slice(values, length)]))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
