"""`LIKE 'begin%'` written as a range of texts beside it: DuckDB hands a range over to what it scans, and no LIKE."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flumen.replay.sql.prefixes import beginning_of, behind
from flumen.replay.sql.readonly import nodes_of

if TYPE_CHECKING:
    import duckdb


def with_ranges(connection: "duckdb.DuckDBPyConnection", sql: str) -> str:
    """Return a statement that means the same, and has a range beside each LIKE of a column that has to hold.

    What is true of `c LIKE 'begin%'` is true of `c::VARCHAR >= 'begin' AND c::VARCHAR < 'begio'`, whatever the type of
    `c`; where it is a text already, the cast is none. A collation would compare otherwise: such a statement is left as
    it is, and one without LIKE.

    Raises:
        duckdb.Error: DuckDB cannot write the statement down.
    """
    if "collat" in sql.lower():
        return sql
    tree = _tree(connection, sql)
    if tree["error"]:  # EXPLAIN, which is none of a SELECT
        return sql
    found = False
    for node in nodes_of(tree):
        condition = node.get("where_clause")
        ranges = [each for like in _likes(condition) for each in _ranges(connection, like)]
        if condition and ranges:
            node["where_clause"] = _joined(connection, [condition, *ranges])
            found = True
    if not found:
        return sql
    [(text,)] = connection.execute("SELECT json_deserialize_sql($1::JSON)", [json.dumps(tree)]).fetchall()
    return str(text)


def _tree(connection: "duckdb.DuckDBPyConnection", sql: str) -> dict[str, Any]:
    [(serialized,)] = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [sql]).fetchall()
    tree: dict[str, Any] = json.loads(serialized)
    return tree


def _likes(condition: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield of the conditions that must all hold each column whose beginning is given, and the beginning."""
    if not isinstance(condition, dict):
        return
    if condition.get("type") == "CONJUNCTION_AND":
        for child in condition["children"]:
            yield from _likes(child)
    elif condition.get("type") == "FUNCTION":
        match [argument["expression"] for argument in condition["arguments"]]:
            case [
                {"type": "COLUMN_REF"} as column,
                {"type": "VALUE_CONSTANT", "literal": {"kind": "STRING", "text": str(pattern)}},
            ]:
                beginning = beginning_of(condition["function_name"], pattern)
                if beginning:
                    yield column, beginning


def _ranges(
    connection: "duckdb.DuckDBPyConnection", like: tuple[dict[str, Any], str]
) -> Iterator[dict[str, Any]]:
    column, beginning = like
    for operator, bound in ((">=", beginning), ("<", behind(beginning))):
        if bound is not None:
            node = _condition(connection, f"c::VARCHAR {operator} {_quoted(bound)}")
            node["left"]["child"] = column
            yield node


def _joined(connection: "duckdb.DuckDBPyConnection", conditions: list[dict[str, Any]]) -> dict[str, Any]:
    node = _condition(connection, "a AND b")
    node["children"] = conditions
    return node


def _condition(connection: "duckdb.DuckDBPyConnection", text: str) -> dict[str, Any]:
    """Return a condition as DuckDB's JSON has it: its form is DuckDB's own, and not written out here."""
    (statement,) = _tree(connection, f"SELECT 1 FROM t WHERE {text}")["statements"]  # noqa: S608 - quoted by us
    node: dict[str, Any] = statement["node"]["where_clause"]
    return node


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
