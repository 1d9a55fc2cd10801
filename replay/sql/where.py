"""A condition on the images, in the language of `flumen sql`: what of it Kudu tests, and the rest by DuckDB."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from flumen.replay.errors import BadQuery
from flumen.replay.sql.prefixes import prefix_predicates
from flumen.replay.sql.pushdown import push_down
from flumen.replay.sql.querying import DUCKDB_SETTINGS
from flumen.replay.sql.readonly import check_read_only
from flumen.stores.kudu import Predicate

_ROW = "row of this batch"
"""The column that numbers a batch's rows: no column of Kudu's has a space."""


class Condition:
    """A condition, such as `knownlabel is not null and source like 'camera-%'`. One thread at a time uses it.

    `columns` are those that it reads; `predicates` is what Kudu tests of it, never more than it says.

    Raises:
        BadQuery: it is no condition on these columns; the message names them.
    """

    def __init__(self, text: str, schema: pa.Schema) -> None:
        import duckdb

        self._sql = f'SELECT "{_ROW}" FROM images WHERE (\n{text}\n)'  # noqa: S608 - checked below
        self._connection = duckdb.connect(":memory:", config=dict(DUCKDB_SETTINGS))
        self._schema = schema
        self._asked = schema.append(pa.field(_ROW, pa.int64()))
        asked = _Asked(self._asked)
        if not text.strip():
            raise BadQuery(
                "the condition is empty: write what may stand behind WHERE, or `true` for all images"
            )
        try:
            condition = _check(self._connection, text, self._sql)
            self._connection.register("images", asked)
            self._connection.execute(self._sql).fetchall()
        except duckdb.Error as error:
            raise self._bad(error) from error
        except RecursionError as error:
            raise BadQuery(
                "the condition is nested too deeply; say it in fewer terms, with IN (...)"
            ) from error
        self.columns: tuple[str, ...] = tuple(name for name in asked.columns if name != _ROW)
        found = (*asked.predicates, *prefix_predicates(condition, schema))
        # `columns(*) is not null` speaks of the number of a row as well, of which Kudu knows nothing.
        self.predicates: tuple[Predicate, ...] = tuple(each for each in found if each.column != _ROW)

    def kept(self, batches: Sequence[pa.RecordBatch]) -> list[pa.RecordBatch]:
        """Return of each batch the rows that meet the condition. They have its columns.

        Raises:
            BadQuery: it cannot be computed, as where a text is taken for a number.
        """
        import duckdb

        chosen = pa.Table.from_batches([rows.select(self.columns) for rows in batches])
        numbered = chosen.append_column(_ROW, pa.array(np.arange(len(chosen))))
        try:
            self._connection.register("images", _Given(self._asked, numbered))
            found = self._connection.execute(self._sql).fetchnumpy()[_ROW]
        except duckdb.Error as error:
            raise self._bad(error) from error
        mask = np.zeros(len(chosen), np.bool_)
        mask[np.asarray(found)] = True
        ends = np.cumsum([rows.num_rows for rows in batches])
        masks = np.split(mask, ends[:-1])
        return [
            rows if each.all() else rows.filter(pa.array(each))
            for rows, each in zip(batches, masks, strict=True)
        ]

    def _bad(self, error: Exception) -> BadQuery:
        return BadQuery(f"{error}\nThe images have these columns: {', '.join(self._schema.names)}")


class _Asked(ds.Dataset):  # type: ignore[misc]  # pyarrow has no types
    """A table without rows that notes down what DuckDB asks it for."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self.columns: tuple[str, ...] = ()
        self.predicates: tuple[Predicate, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> ds.Scanner:  # noqa: A002
        """Return nothing."""
        wanted = list(self._schema.names if columns is None else columns)
        pushed = push_down(filter, self._schema)
        self.columns = tuple(dict.fromkeys([*wanted, *pushed.columns]))
        self.predicates = pushed.predicates
        schema = pa.schema([self._schema.field(name) for name in self.columns])
        return ds.Scanner.from_batches(iter([]), schema=schema, columns=wanted, filter=filter)


class _Given(ds.Dataset):  # type: ignore[misc]  # pyarrow has no types
    """Rows that have those of a table's columns that DuckDB reads: it looks for the others' names alone."""

    def __init__(self, schema: pa.Schema, rows: pa.Table) -> None:
        self._schema = schema
        self._rows = rows

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> ds.Scanner:  # noqa: A002
        """Return the rows that meet DuckDB's filter."""
        return ds.Scanner.from_batches(
            self._rows.to_batches(), schema=self._rows.schema, columns=columns, filter=filter
        )


def _check(connection: Any, text: str, sql: str) -> Mapping[str, Any]:
    """Return the condition, as DuckDB's JSON has it.

    Raises:
        BadQuery: it is more than a condition on the rows of images: a parenthesis that ends it, a query within it; or
            does not say the same of a row whenever it is asked.
    """
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise BadQuery("the condition is not UTF-8") from error
    check_read_only(connection, sql)
    [(serialized,)] = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [sql]).fetchall()
    (statement,) = json.loads(serialized)["statements"]
    node = statement["node"]
    plain: dict[str, Any] = {
        "type": "SELECT_NODE",
        "modifiers": [],
        "group_expressions": [],
        "having": None,
        "sample": None,
        "qualify": None,
    }
    if (
        any(node.get(name) != value for name, value in plain.items())
        or node["from_table"]["type"] != "BASE_TABLE"
    ):
        raise BadQuery(
            f"{text!r} is no condition: write what may stand behind WHERE, and nothing behind that"
        )
    condition: Mapping[str, Any] = node["where_clause"]
    # Whose answer is another one each time, or that do something; pg_sleep is a macro of one of them.
    asked = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability = 'VOLATILE'"
    volatile = {name for (name,) in connection.execute(asked).fetchall()} | {"pg_sleep"}
    for each in _nodes(condition):
        if each.get("class") == "SUBQUERY":
            raise BadQuery("a condition on the images reads no other table: write values in place of a query")
        if each.get("class") == "STAR":
            raise BadQuery(
                "a condition on the images names its columns: write their names in place of COLUMNS(...)"
            )
        if each.get("class") == "COLUMN_REF" and each["column_names"][-1].lower() == _ROW:
            raise BadQuery(f"the images have no column {_ROW!r}")
        name = str(each.get("function_name", "")).lower()
        if each.get("class") == "FUNCTION" and name in volatile:
            raise BadQuery(
                f"a condition on the images says the same of an image whenever it is asked, and {name}() does not; "
                "for a share of them write, for example, hash(id) % 10 = 0"
            )
    return condition


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every object of a JSON document."""
    waiting = [tree]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
