"""How a text begins, as a range that Kudu tests: never less than what the condition lets through."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.replay.errors import BadQuery
from flumen.replay.sql.prefixes import behind
from flumen.replay.sql.where import Condition
from flumen.stores.kudu import Predicate

SCHEMA = pa.schema({"id": pa.string(), "source": pa.string(), "n": pa.int32(), "sha256": pa.binary()})
CAMERAS = [Predicate("source", ">=", ("camera-",)), Predicate("source", "<", ("camera.",))]


@pytest.mark.parametrize(
    ("text", "predicates"),
    [
        ("source like 'camera-%'", CAMERAS),
        ("images.SOURCE LIKE 'camera-_%x'", CAMERAS),
        ("starts_with(source, 'camera-') and length(id) > 3", CAMERAS),
        ("source ^@ 'camera-'", CAMERAS),
        ("length(id) > 3 and (length(id) < 9 and source like 'camera-%')", CAMERAS),
        ("source like '%-camera'", []),
        ("source not like 'camera-%'", []),
        ("not source like 'camera-%'", []),
        ("source ilike 'camera-%'", []),
        ("source like 'camera!-%' escape '!'", []),
        ("source like 'camera-%' or length(id) > 3", []),
        ("'camera-%' like source", []),
        ("source like id", []),
        ("contains(source, 'camera-')", []),
        ("cast(sha256 as varchar) like 'camera-%'", []),
    ],
)
def test_what_kudu_is_asked_for(text: str, predicates: list[Predicate]) -> None:
    condition = Condition(text, SCHEMA)
    assert list(condition.predicates) == predicates
    assert {each.column for each in predicates} <= set(condition.columns)


def test_the_numbers_of_rows_are_no_column_to_anyone() -> None:
    with pytest.raises(BadQuery, match="names its columns"):
        Condition("columns(*) is not null", SCHEMA)
    with pytest.raises(BadQuery, match="no column"):
        Condition('"Row of this BATCH" = 1', SCHEMA)


LETTERS = st.sampled_from([*"ab%_'", "\ud7ff", "\ue000", "\U0010ffff"])
TEXTS = st.text(LETTERS, max_size=5)


@given(TEXTS, st.sampled_from(["like", "^@"]), st.lists(TEXTS, min_size=1, max_size=30))
def test_no_text_that_meets_the_condition_is_outside_its_range(
    pattern: str, operator: str, texts: list[str]
) -> None:
    quoted = pattern.replace("'", "''")
    condition = Condition(f"source {operator} '{quoted}'", SCHEMA)
    rows = pa.record_batch({"source": texts})
    for text in condition.kept([rows])[0].column("source").to_pylist():
        assert all(holds(each, text) for each in condition.predicates)


def holds(predicate: Predicate, text: str) -> bool:
    """As Kudu compares: by bytes."""
    if predicate.operator == "is not null":
        return True
    value, bound = text.encode(), predicate.values[0].encode()
    return {">=": value >= bound, "<": value < bound, "=": value == bound}[predicate.operator]


@given(TEXTS, TEXTS)
def test_behind_a_beginning_comes_what_does_not_begin_so(beginning: str, text: str) -> None:
    end = behind(beginning)
    if end is None:
        assert set(beginning) <= {"\U0010ffff"}
    else:
        assert (beginning.encode() <= text.encode() < end.encode()) == text.startswith(beginning)
