"""What of a filter goes to Kudu: never a condition that the filter does not contain."""

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.replay.sql.pushdown import Call, Field, Literal, parse, push_down
from flumen.stores.kudu import Predicate

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "n": pa.int32(),
        "share": pa.float32(),
        "at": pa.timestamp("us"),
        "image": pa.binary(),
    }
)
number, key, share = ds.field("n"), ds.field("id"), ds.field("share")


def int32(value: int | None) -> pa.Scalar:
    return pa.scalar(value, pa.int32())


def sql_in(field: Any, values: list[int]) -> Any:
    """IN, as DuckDB writes it."""
    return pc.if_else(
        field.is_valid(), field.isin(pa.array(values, pa.int32())), pc.scalar(pa.scalar(None, pa.bool_()))
    )


@pytest.mark.parametrize(
    ("expression", "predicates"),
    [
        (number == int32(3), [Predicate("n", "=", (3,))]),
        (number < int32(3), [Predicate("n", "<", (3,))]),
        (number <= int32(3), [Predicate("n", "<=", (3,))]),
        (number > int32(3), [Predicate("n", ">", (3,))]),
        (number >= int32(3), [Predicate("n", ">=", (3,))]),
        (pc.less(pc.scalar(int32(3)), number), [Predicate("n", ">", (3,))]),
        (number.is_null(), [Predicate("n", "is null")]),
        (number.is_valid(), [Predicate("n", "is not null")]),
        (sql_in(number, [1, 2]), [Predicate("n", "in", (1, 2))]),
        (key == 'quote " and \\', [Predicate("id", "=", ('quote " and \\',))]),
        ((number > int32(1)) & (key < "x") & number.is_valid(), ["n > 1", "id < 'x'", "n is not null"]),
        ((number > int32(1)) & ((key < "x") | (key == "y")), ["n > 1"]),
        (ds.field("at") < pa.scalar(datetime(1970, 1, 2), pa.timestamp("us")), ["at < 86400000000"]),
    ],
)
def test_simple_conditions_are_pushed(expression: Any, predicates: list[Any]) -> None:
    assert list(map(str, push_down(expression, SCHEMA).predicates)) == list(map(str, predicates))


@pytest.mark.parametrize(
    ("expression", "columns"),
    [
        ((number == int32(3)) | (key == "x"), ("n", "id")),
        (~(number == int32(3)), ("n",)),
        (number != int32(3), ("n",)),
        (number == int32(None), ("n",)),
        (pc.add(number, pc.scalar(int32(1))) == int32(3), ("n",)),
        (number.cast(pa.int64()) == 3, ("n",)),
        (share > pa.scalar(float("nan"), pa.float32()), ("share",)),
        (ds.field("image") == b"x", ("image",)),
        (number.is_null(nan_is_null=True), ("n",)),
        (pc.less(number, number), ("n",)),
        (pc.scalar(True), ()),
        (pc.if_else(number.is_valid(), number == int32(1), pc.scalar(True)), ("n",)),
    ],
)
def test_other_conditions_are_left_to_the_filter(expression: Any, columns: tuple[str, ...]) -> None:
    pushed = push_down(expression, SCHEMA)
    assert pushed.predicates == ()
    assert pushed.columns == columns


def test_no_filter_needs_nothing() -> None:
    assert push_down(None, SCHEMA).columns == ()


def test_an_unknown_form_reads_every_column() -> None:
    pushed = push_down(ds.field("n", "nested") == 1, SCHEMA)
    assert pushed.columns == tuple(SCHEMA.names)
    assert pushed.predicates == ()


def test_the_tree_of_an_expression() -> None:
    assert parse(number == int32(3)) == Call("equal", (Field("n"), Literal(int32(3))), {})


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMBERS = st.integers(-3, 3)
CONDITIONS = st.one_of(
    st.builds(
        lambda compare, value: compare(number, int32(value)),
        st.sampled_from(list(COMPARISONS.values())),
        NUMBERS,
    ),
    st.builds(
        lambda compare, text: compare(key, text), st.sampled_from(list(COMPARISONS.values())), st.text("ab")
    ),
    st.builds(lambda values: sql_in(number, values), st.lists(NUMBERS, min_size=1)),
    st.sampled_from([number.is_null(), number.is_valid(), key.is_null(), key.is_valid(), number != int32(0)]),
)
FILTERS = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.builds(operator.and_, inner, inner),
        st.builds(operator.or_, inner, inner),
        st.builds(operator.invert, inner),
    ),
)
ROWS = st.lists(
    st.fixed_dictionaries({"id": st.none() | st.text("ab"), "n": st.none() | NUMBERS}), max_size=20
)


def holds(predicate: Predicate, row: dict[str, Any]) -> bool:
    value = row[predicate.column]
    if predicate.operator in ("is null", "is not null"):
        return (value is None) == (predicate.operator == "is null")
    if value is None:
        return False
    if predicate.operator == "in":
        return value in predicate.values
    return COMPARISONS[predicate.operator](value, predicate.values[0])


@given(FILTERS, ROWS)
def test_kudu_never_drops_a_row_that_passes_the_filter(expression: Any, rows: list[dict[str, Any]]) -> None:
    schema = pa.schema({"id": pa.string(), "n": pa.int32()})
    passing = pa.Table.from_pylist(rows, schema=schema).filter(expression).to_pylist()
    pushed = push_down(expression, schema)
    kept = [row for row in rows if all(holds(predicate, row) for predicate in pushed.predicates)]
    table = pa.Table.from_pylist(kept, schema=schema)
    assert table.filter(expression).to_pylist() == passing
    assert set(pushed.columns) <= {"id", "n"}
