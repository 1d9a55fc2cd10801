"""What a column of a micro-batch is: its name, its kind and what it means.

An interceptor declares the columns it adds; the stores make their tables and index from these declarations,
so a column is written down once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from flumen.interceptor.errors import ColumnConflict


class Kind(Enum):
    """The type of a column's values. Every store maps each kind to a type of its own."""

    STRING = "string"
    BINARY = "binary"
    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT = "float"
    DOUBLE = "double"
    TIMESTAMP = "timestamp"
    """Microseconds since 1970-01-01T00:00:00Z, as an int."""
    STRINGS = "strings"
    """Several texts: a sequence of str. Kudu keeps them as a JSON array, Solr as a set."""
    JSON = "json"
    """A text in JSON that is looked at and not searched: Kudu keeps it, Solr does not."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `name` is lower case with underscores, `doc` says in one line what a value means."""

    name: str
    kind: Kind
    doc: str
    nullable: bool = True


def merge_columns(groups: Iterable[Iterable[Column]]) -> tuple[Column, ...]:
    """Return all columns in order of declaration.

    Raises:
        ColumnConflict: two interceptors declare the same name.
    """
    merged: dict[str, Column] = {}
    for column in (column for group in groups for column in group):
        if column.name in merged:
            raise ColumnConflict(f"two interceptors declare the column {column.name!r}; rename one of them")
        merged[column.name] = column
    return tuple(merged.values())
