"""Which SQL is run: one statement that only reads, and that calls no table function beyond a few harmless ones."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flumen.replay.errors import BadQuery

if TYPE_CHECKING:
    import duckdb

# DuckDB has table functions that read files, write logs or change settings, so that all others are refused.
TABLE_FUNCTIONS = frozenset({"generate_series", "range", "repeat", "unnest", "json_each", "json_tree"})

READING_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
"""Of what a statement consists that only reads: WITH can name an INSERT, UPDATE, DELETE or COPY as well."""

MOST_TERMS = 2_000
"""Arrow walks through a filter by recursion, and ends the process where that is too deep: 5,000 terms were too many
beside a JVM."""

_EXPLAIN = re.compile(r"\s*explain\b\s*(analyze\b)?", re.IGNORECASE)


def check_read_only(connection: "duckdb.DuckDBPyConnection", sql: str) -> None:
    """Accept one statement of SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN of one of them.

    Raises:
        BadQuery: no statement, several, another one, also within WITH, or a table function that may do more than
            compute.
        duckdb.Error: it is no SQL.
    """
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise BadQuery(f"give one SQL statement, these are {len(statements)}")
    kind = statements[0].type
    if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise BadQuery(f"{kind.name} is refused: only SELECT, WITH, DESCRIBE, SHOW and EXPLAIN are run here")
    if kind == duckdb.StatementType.EXPLAIN:
        sql = _EXPLAIN.sub("", sql, count=1)
    [(serialized,)] = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [sql]).fetchall()
    tree = json.loads(serialized)
    if tree["error"]:
        raise BadQuery(f"this statement cannot be checked, so it is refused: {tree.get('error_message', '')}")
    for node in nodes_of(tree):
        named = str(node.get("type"))
        if named.endswith("_NODE") and named not in READING_NODES:
            raise BadQuery(
                f"{named.split('_', maxsplit=1)[0]} is refused, within WITH as well: a statement only reads here"
            )
    terms = sum(
        len(node.get("children", ())) for node in nodes_of(tree) if node.get("class") == "CONJUNCTION"
    )
    if terms > MOST_TERMS:
        raise BadQuery(
            f"its conditions have {terms:,} terms joined by AND and OR, and {MOST_TERMS:,} are run here; many values "
            "of one column are written as IN (...)"
        )
    for function in _table_functions(tree):
        if function.lower() not in TABLE_FUNCTIONS:
            raise BadQuery(
                f"the table function {function!r} is refused: only {', '.join(sorted(TABLE_FUNCTIONS))} are run here"
            )


def _table_functions(tree: Any) -> Iterator[str]:
    for node in nodes_of(tree):
        if node.get("type") == "TABLE_FUNCTION":
            yield str(node["function"]["function_name"])


def nodes_of(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a statement's tree, however deep it is."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
