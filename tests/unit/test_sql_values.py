"""What DuckDB computes and Python has no type for."""

import duckdb
import pytest

from flumen.replay.sql.values import values_of


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'infinity'::timestamp", "infinity"),
        ("'-infinity'::timestamp", "-infinity"),
        ("'infinity'::timestamptz", "infinity"),
        ("'-infinity'::date", "-infinity"),
        ("'290000-01-01 12:00:00'::timestamp", "290000-01-01T12:00:00.000000"),
        ("'5000000-01-01'::date", "5000000-01-01"),
        ("'infinity'::timestamp_s", "infinity"),
        ("'infinity'::timestamp_ms", "infinity"),
    ],
)
def test_times_beyond_python_s_calendar_are_texts(expression: str, expected: str) -> None:
    table = duckdb.sql(f"select {expression} as value union all select null").to_arrow_table()
    assert sorted(values_of(table.column(0)), key=str) == sorted([expected, None], key=str)


def test_other_values_are_python_s_own() -> None:
    table = duckdb.sql("select 2::hugeint ** 1, 'a'::blob, '2026-01-01'::date, [1, 2]").to_arrow_table()
    assert [type(values_of(column)[0]).__name__ for column in table.columns][1:] == ["bytes", "date", "list"]
