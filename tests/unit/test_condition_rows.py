"""Which rows a condition keeps, also where DuckDB sees that it need not look at some column; and what is none."""

import pyarrow as pa
import pytest

from flumen.replay.errors import BadQuery
from flumen.replay.sql.where import Condition

SCHEMA = pa.schema({"id": pa.string(), "n": pa.int32(), "image": pa.binary()})
ROWS = pa.record_batch({"id": ["a", "b", "c"], "n": [1, 2, None], "image": [b"x"] * 3}, schema=SCHEMA)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("n > 1 or true", "abc"),
        ("N > 1 or images.ID = 'b' or true", "abc"),
        ("n > 1 and false", ""),
        ("(n > 1 and 1 = 0) or id = 'c'", "c"),
        ("case when true then id = 'a' else n = 2 end", "a"),
        ("1 = 0", ""),
        ("null", ""),
        ("true", "abc"),
        ("n = n", "ab"),
        ("n is null or n is not null", "abc"),
        ("not (n > 1)", "a"),
        ("true -- and n > 1", "abc"),
    ],
)
def test_a_condition_keeps_the_rows_that_it_says(text: str, kept: str) -> None:
    condition = Condition(text, SCHEMA)
    for given in (ROWS, ROWS.slice(0, 0), ROWS.slice(1)):
        (found,) = condition.kept([given])
        assert found.column("id").to_pylist() == [each for each in given["id"].to_pylist() if each in kept]
        assert found.schema == SCHEMA


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" \n", "the condition is empty"),
        ("n in (select n from images)", "reads no other table"),
        ("random() < 0.5", "random() does not"),
        ("id = main.uuid()::varchar", "uuid() does not"),
        ("n > 1 or error('x')", "error() does not"),
        ("pg_sleep(1) is null", "pg_sleep() does not"),
        ("COLUMNS(*) is not null", "write their names"),
        ('"ROW of this batch" > 0', "no column 'row of this batch'"),
        ("true; drop table images", "Parser Error"),
        ("n > 1 limit 1", "Parser Error"),
        ("n > $1", "Values were not provided"),
        ("size > 1", "The images have these columns: id, n, image"),
    ],
)
def test_what_is_no_condition_on_an_image_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadQuery) as raised:
        Condition(text, SCHEMA)
    assert said in str(raised.value)
