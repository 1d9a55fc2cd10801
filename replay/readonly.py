"""Which SQL is run: one statement that only reads, and that calls no table function beyond a few harmless ones."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from replay.errors import BadQuery

if TYPE_CHECKING:
    import duckdb

# DuckDB has table functions that read files, write logs or change settings, so that all others are refused.
TABLE_FUNCTIONS = frozenset({"generate_series", "range", "repeat", "unnest", "json_each", "json_tree"})

_EXPLAIN = re.compile(r"\s*explain\b\s*(analyze\b)?", re.IGNORECASE)


def check_read_only(connection: "duckdb.DuckDBPyConnection", sql: str) -> None:
    """Accept one statement of SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN of one of them.

    Raises:
        BadQuery: no statement, several, another one, or a table function that may do more than compute.
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
    for function in _table_functions(tree):
        if function.lower() not in TABLE_FUNCTIONS:
            raise BadQuery(
                f"the table function {function!r} is refused: only {', '.join(sorted(TABLE_FUNCTIONS))} are run here"
            )


def _table_functions(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") == "TABLE_FUNCTION":
            yield str(node["function"]["function_name"])
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _table_functions(child)
