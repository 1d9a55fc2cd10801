"""Flumen's tables in Kudu: which columns they have, of which type, and whether a table that exists is one of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import SchemaMismatch

# Kudu's own limits: bytes in one cell, bytes in an encoded key.
MAX_CELL_BYTES = 65_536
MAX_KEY_BYTES = 16_384
# The largest image that is one cell; a larger one is cut into chunks of this size.
CHUNK_BYTES = 61_440

KUDU_TYPES = {
    Kind.STRING: "string",
    Kind.BINARY: "binary",
    Kind.BOOL: "bool",
    Kind.INT32: "int32",
    Kind.INT64: "int64",
    Kind.FLOAT: "float",
    Kind.DOUBLE: "double",
    Kind.TIMESTAMP: "unixtime_micros",
    # Kudu has no lists: a JSON array, which Impala and DuckDB read.
    Kind.STRINGS: "string",
    Kind.JSON: "string",
}
ARROW_TYPES = {
    "string": pa.string(),
    "binary": pa.binary(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    # Without a time zone: Kudu keeps microseconds since the epoch and nothing else.
    "unixtime_micros": pa.timestamp("us"),
}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a Kudu table; `type` is Kudu's name for it in lower case."""

    name: str
    type: str
    nullable: bool = True
    key: bool = False

    def __str__(self) -> str:
        suffix = " key" if self.key else "" if self.nullable else " not null"
        return f"{self.type.upper()}{suffix}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table, its key columns first. It is hash-partitioned by the first of them, the image's id.

    `others` are columns that are there and that nobody here fills: every row that is written has null in them, as what
    stands there was said of what the row held before.
    """

    name: str
    columns: tuple[TableColumn, ...]
    others: tuple[TableColumn, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the key columns, in order."""
        return tuple(column.name for column in self.columns if column.key)

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema of its rows. A type that flumen does not use is left out."""
        return pa.schema(
            pa.field(column.name, ARROW_TYPES[column.type], column.nullable)
            for column in (*self.columns, *self.others)
            if column.type in ARROW_TYPES
        )


def images_table(prefix: str, columns: Sequence[Column]) -> Table:
    """Return the table `images`: the id, the image itself, every column the interceptors declare, and the whole answer.

    What the model said stands here as long as it is the image's answer; see `predictions_table`.
    """
    declared = [
        TableColumn(column.name, KUDU_TYPES[column.kind], column.nullable)
        for column in columns
        if column.name != "id"
    ]
    image = TableColumn("image", "binary")
    counts = (TableColumn(name, "int32", nullable=False) for name in ("chunks", "view_chunks"))
    names = {column.name for column in columns}
    answer = [TableColumn("probabilities", "binary")] if "probabilities" not in names else []
    return Table(f"{prefix}images", (_key("id", "string"), *declared, image, *counts, *answer))


def chunks_table(prefix: str, name: str = "image_chunks") -> Table:
    """Return the table `image_chunks`: the pieces of images that are larger than `CHUNK_BYTES`.

    `view_chunks` has the same columns: the pieces of what the classifier saw.
    """
    return Table(
        f"{prefix}{name}",
        (_key("id", "string"), _key("seq", "int32"), TableColumn("data", "binary", nullable=False)),
    )


def predictions_table(prefix: str) -> Table:
    """Return the table `predictions`: the answers that are not their images' own.

    They are those of challengers, and those that another model's answer has superseded. An answer may be
    of both tables, and then that of `images` counts: where its model came back, or became the champion, or an earlier
    version wrote it.
    """
    return Table(
        f"{prefix}predictions",
        (
            _key("id", "string"),
            _key("model", "string"),
            _key("model_version", "int32"),
            TableColumn("prediction", "int32"),
            TableColumn("confidence", "float"),
            TableColumn("probabilities", "binary"),
            TableColumn("classified_at", "unixtime_micros"),
        ),
    )


def all_tables(prefix: str, columns: Sequence[Column]) -> tuple[Table, ...]:
    """Return every table that workers write, in the order in which they are made."""
    images, chunks = images_table(prefix, columns), chunks_table(prefix)
    return images, chunks, chunks_table(prefix, "view_chunks"), predictions_table(prefix)


def _key(name: str, kudu_type: str) -> TableColumn:
    return TableColumn(name, kudu_type, nullable=False, key=True)


def check(expected: Table, found: Table) -> None:
    """Compare a table that exists with the one flumen writes. The order of columns does not matter.

    One more is no matter where it may be null: another worker's interceptor fills it, or a newer version. A column that
    was added later may be null, whatever its interceptor says.

    Raises:
        SchemaMismatch: a column is missing, is one too many and may not be null, or is of another type.
    """
    check_what_stays(expected, found)
    lacking = missing(expected, found)
    if lacking:
        raise SchemaMismatch(
            f"the Kudu table {expected.name!r} lacks what this worker writes: "
            f"{'; '.join(f'column {column.name!r} is missing, expected {column}' for column in lacking)}. "
            "Run `flumen tables migrate`: it adds what is missing, and changes nothing else"
        )


def check_what_stays(expected: Table, found: Table) -> None:
    """Compare as `check` does, but for columns that can be added.

    Raises:
        SchemaMismatch: names all that differs, what is missing as well.
    """
    there = {column.name: column for column in found.columns}
    wanted = {column.name: column for column in expected.columns}
    differing = [
        name for name in dict.fromkeys([*wanted, *there]) if not _fits(wanted.get(name), there.get(name))
    ]
    lacking = [column.name for column in missing(expected, found)]
    if differing:
        problems = (
            f"column {name!r} is {there.get(name) or 'missing'}, expected {wanted.get(name) or 'no such column'}"
            for name in [*differing, *lacking]
        )
        raise SchemaMismatch(
            f"the Kudu table {expected.name!r} has other columns than this worker writes: {'; '.join(problems)}. "
            "It was left as it is. Rename or drop that table, set another table prefix, or run with the interceptors "
            "it was made for"
        )


def missing(expected: Table, found: Table) -> tuple[TableColumn, ...]:
    """Return the columns that a table lacks and that can be added to it: the rows it holds have null there."""
    there = {column.name for column in found.columns}
    return tuple(
        replace(column, nullable=True)
        for column in expected.columns
        if column.name not in there and not column.key
    )


def as_written(expected: Table, found: Table) -> Table:
    """Return the table as rows are written into it: with the columns beside those that are expected."""
    wanted = {column.name for column in expected.columns}
    others = (column for column in found.columns if column.name not in wanted)
    return replace(expected, others=tuple(column for column in others if column.type in ARROW_TYPES))


def _fits(wanted: TableColumn | None, there: TableColumn | None) -> bool:
    """Say whether a column is as it must be, or can be added."""
    if wanted is None:
        return there is None or there.nullable
    if there is None:
        return not wanted.key
    return there in (wanted, replace(wanted, nullable=True))
