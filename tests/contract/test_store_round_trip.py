"""Whatever is in the columns comes back: drawn rows, many of them in memory, a few on servers."""

from typing import TYPE_CHECKING, Any

import numpy as np
from contract_samples import COLUMNS, as_written, sample_batch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flumen.interceptor.columns import Column, Kind
from flumen.stores.memory import MemoryReader, MemorySink, MemoryStore
from flumen.stores.sink import Reader, Sink

if TYPE_CHECKING:
    from conftest import StoreUnderTest

# Solr's strings end at 32,766 bytes; a character is at most 4.
TEXT = st.text(max_size=200)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.STRING: TEXT,
    Kind.BINARY: st.binary(max_size=2_000),
    Kind.INT32: st.integers(-(2**31), 2**31 - 1),
    Kind.INT64: st.integers(-(2**63), 2**63 - 1),
    Kind.BOOL: st.booleans(),
    # Solr keeps a set in order, and takes an empty one as no value.
    Kind.STRINGS: st.sets(TEXT, min_size=1, max_size=4).map(sorted),
    Kind.JSON: st.just('{"a":[1,2.5,null]}'),
    Kind.DOUBLE: st.floats(-90, 90),
    Kind.FLOAT: st.floats(width=32, allow_nan=False, allow_infinity=False),
    Kind.TIMESTAMP: st.integers(0, 4_102_444_800_000_000),
}


def values_of(column: Column) -> st.SearchStrategy[Any]:
    values = VALUES[column.kind]
    return st.none() | values if column.nullable else values.filter(bool)


ROWS = st.lists(st.fixed_dictionaries({column.name: values_of(column) for column in COLUMNS}), max_size=8)


def check_round_trip(sink: Sink, reader: Reader, rows: list[dict[str, Any]], time_step: int) -> None:
    columns = {column.name: [row[column.name] for row in rows] for column in COLUMNS}
    assert not sink.write(sample_batch(columns["id"], **columns))
    for row in {row["id"]: row for row in rows}.values():
        stored = reader.get(row["id"])
        assert stored is not None
        for column in COLUMNS:
            expected = row[column.name]
            if column.kind is Kind.TIMESTAMP and expected is not None:
                expected -= expected % time_step
            if column.kind is Kind.FLOAT and expected is not None:
                # Solr answers with the shortest text that is the same float.
                assert np.float32(stored[column.name]) == np.float32(expected)
            elif column.name in stored:
                assert as_written(stored[column.name], column) == expected, column.name


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS)
def test_any_row_comes_back_from_memory(rows: list[dict[str, Any]]) -> None:
    memory = MemoryStore()
    sink = MemorySink(memory, COLUMNS)
    sink.connect()
    check_round_trip(sink, MemoryReader(memory), rows, time_step=1)


# One store for all examples is meant: rows of an earlier one are overwritten or not asked for.
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(rows=ROWS)
def test_any_row_comes_back_from_every_store(store: "StoreUnderTest", rows: list[dict[str, Any]]) -> None:
    sink = store.make_sink(COLUMNS)
    sink.connect()
    check_round_trip(sink, store.make_reader(), rows, store.time_step)
