"""Which columns of a document are not what its row would make: column by column, as one by one."""

from typing import Any

import numpy as np
import pytest

from flumen.interceptor import Batch, Column, ImageMessage, Kind
from flumen.stores.solr.comparison import differing
from flumen.stores.solr.schema import IndexField

TIME = 1_790_000_000_123_456
SHOWN = "2026-09-21T14:13:20.123Z"


def found(kind: Kind, wanted: list[Any], given: list[Any]) -> list[int]:
    """Return the rows that differ; of the documents, those of None lack the field."""
    field = IndexField(Column("value", kind, ""), "value_x")
    batch = Batch([ImageMessage(str(row), b"", 0) for row in range(len(wanted))], {"value": wanted})
    documents = [{"id": "x"} if value is None else {"value_x": value} for value in given]
    columns = differing(batch, documents, [field])
    assert all(each in ([], ["value"]) for each in columns)
    return [row for row, each in enumerate(columns) if each]


@pytest.mark.parametrize(
    ("kind", "alike", "other"),
    [
        (Kind.FLOAT, (0.1, float(np.float32(0.1))), 0.2),
        (Kind.DOUBLE, (0.1, 0.1), 0.1000001),
        (Kind.INT64, (7, 7), 8),
        (Kind.BOOL, (True, True), False),
        (Kind.STRING, ("a", "a"), "b"),
        (Kind.STRINGS, (["b", "a", "b"], ["a", "b"]), ["a"]),
        (Kind.TIMESTAMP, (TIME, SHOWN), "2026-09-21T14:13:20.124Z"),
    ],
)
def test_a_column_is_compared_at_once_and_only_the_rows_that_differ_are_named(
    kind: Kind, alike: tuple[Any, Any], other: Any
) -> None:
    one, same = alike
    assert found(kind, [one] * 3, [same] * 3) == []
    assert found(kind, [one, one, one], [same, other, same]) == [1]
    assert found(kind, [one, None, None, one], [same, None, same, None]) == [2, 3]
    assert found(kind, [None, None], [None, None]) == []


@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_null_in_the_index(nothing: float) -> None:
    assert found(Kind.FLOAT, [nothing, nothing, 1.0], [None, 1.0, 1.0]) == [1]
    assert found(Kind.DOUBLE, [nothing, nothing, 1.0], [None, 1.0, 1.0]) == [1]


def test_a_double_too_large_for_a_float_is_null_as_well() -> None:
    assert found(Kind.FLOAT, [1e300, 1e300, 2.0], [None, 1.0, 2.0]) == [1]


def test_times_before_1970_are_cut_to_the_millisecond_below() -> None:
    assert found(Kind.TIMESTAMP, [-1, -1], ["1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z"]) == [1]


def test_values_of_another_kind_differ_and_the_other_rows_do_not() -> None:
    assert found(Kind.INT32, [1, 2], ["1", 2]) == [0]
    assert found(Kind.STRINGS, [["a"], ["b"]], [["a"], ["c"]]) == [1]
