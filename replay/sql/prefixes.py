"""What of a condition says how a text begins: Kudu has no LIKE, and tests it as a range of texts.

DuckDB hands no LIKE over to what it scans, so it is read off the statement, as `json_serialize_sql` gives it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from flumen.stores.kudu import Predicate

_LIKE, _BEGINS = "~~", frozenset({"^@", "starts_with", "prefix"})
_WILDCARDS = re.compile("[%_]")
_FIRST_SURROGATE, _BEHIND_SURROGATES, _LAST = "\ud800", "\ue000", "\U0010ffff"


def prefix_predicates(condition: Mapping[str, Any], schema: pa.Schema) -> tuple[Predicate, ...]:
    """Return ranges of texts that hold whatever meets a condition.

    Args:
        condition: the `where_clause` of a statement in DuckDB's JSON.
        schema: the columns of the one table it reads.

    Returns:
        For each `column LIKE 'begin%'` that has to hold, `>= 'begin'` and `< 'begio'`. They say less than a pattern
        with more behind its beginning, and never more than the condition.
    """
    return tuple(
        predicate
        for node in _conjuncts(condition)
        if node.get("type") == "FUNCTION"
        for predicate in _of_function(node, schema)
    )


def behind(beginning: str) -> str | None:
    """Return the first text, in the order of UTF-8's bytes, behind all that begin so; None where there is none."""
    kept = beginning.rstrip(_LAST)
    if not kept:
        return None
    following = chr(ord(kept[-1]) + 1)
    return kept[:-1] + (_BEHIND_SURROGATES if following == _FIRST_SURROGATE else following)


def _conjuncts(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if node.get("type") != "CONJUNCTION_AND":
        yield node
        return
    for child in node["children"]:
        yield from _conjuncts(child)


def _of_function(node: Mapping[str, Any], schema: pa.Schema) -> Iterator[Predicate]:
    match [argument["expression"] for argument in node["arguments"]]:
        case [
            {"type": "COLUMN_REF", "column_names": [*_, written]},
            {"type": "VALUE_CONSTANT", "literal": {"kind": "STRING", "text": str(pattern)}},
        ]:
            beginning = beginning_of(node["function_name"], pattern)
            column = _text_column(written, schema)
            if not beginning or column is None:
                return
            yield Predicate(column, ">=", (beginning,))
            end = behind(beginning)
            if end is not None:
                yield Predicate(column, "<", (end,))


def beginning_of(function: str, pattern: str) -> str:
    """Return how a text has to begin for a function of DuckDB's to be true of it; empty where it does not say."""
    if function.lower() in _BEGINS:
        return pattern
    return _WILDCARDS.split(pattern, maxsplit=1)[0] if function == _LIKE else ""


def _text_column(written: str, schema: pa.Schema) -> str | None:
    """Return the column of texts that is meant: names are read without regard to case."""
    named = [field.name for field in schema if field.name.lower() == written.lower()]
    return named[0] if len(named) == 1 and pa.types.is_string(schema.field(named[0]).type) else None
