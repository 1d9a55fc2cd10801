"""A record batch becomes bytes for the JVM, and bytes from the JVM become a record batch."""

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from flumen.stores.kudu.packed import pack, unpack

SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "blob": pa.binary(),
        "flag": pa.bool_(),
        "number": pa.int32(),
        "time": pa.timestamp("us"),
        "share": pa.float64(),
    }
)
ROWS = st.lists(
    st.tuples(
        st.none() | st.text(),
        st.none() | st.binary(),
        st.none() | st.booleans(),
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none() | st.integers(0, 2**52),
        st.none() | st.floats(allow_nan=False),
    ),
    min_size=1,
)


def all_valid(rows: int) -> bytes:
    return b"\xff" * ((rows + 7) // 8)


@given(ROWS)
def test_what_was_packed_can_be_unpacked(rows: list[tuple[Any, ...]]) -> None:
    columns = [
        pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), SCHEMA.types, strict=True)
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
    packed, layout = pack(batch)
    assert all(position % 8 == 0 for position in layout if position >= 0)
    # The way back names the length of each column's values, and always a validity bitmap.
    packed += all_valid(len(rows))
    back = []
    for index, column in enumerate(columns):
        values, offsets, validity = (int(position) for position in layout[3 * index : 3 * index + 3])
        if column.null_count == len(column):
            assert (values, offsets, validity) == (-1, -1, -1)
            continue
        end = len(packed) - len(all_valid(len(rows)))
        back += [values, offsets, validity if validity >= 0 else end, end - values]
        assert (validity >= 0) == (column.null_count > 0)
    there = batch.select([index for index, column in enumerate(columns) if column.null_count < len(column)])
    unpacked = unpack(packed, back, len(rows), there.schema)
    unpacked.validate(full=True)
    assert unpacked.to_pydict() == there.to_pydict()
