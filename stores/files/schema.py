"""The columns of the files, as Arrow has them, and how they compare with those that are there."""

from collections.abc import Sequence

import pyarrow as pa

from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import SchemaMismatch

_TYPES = {
    Kind.STRING: pa.string(),
    Kind.BINARY: pa.large_binary(),  # images of one query may be more than 2 GiB together
    Kind.BOOL: pa.bool_(),
    Kind.INT32: pa.int32(),
    Kind.INT64: pa.int64(),
    Kind.FLOAT: pa.float32(),
    Kind.DOUBLE: pa.float64(),
    Kind.TIMESTAMP: pa.timestamp("us", "UTC"),
    Kind.STRINGS: pa.list_(pa.string()),
    Kind.JSON: pa.string(),
}

WRITTEN, REMOVED = "written_ns", "removed"
OF_FILES = (WRITTEN, REMOVED)
"""What this store adds to every row: when it was written, and whether it says that its image was removed."""


def files_schema(columns: Sequence[Column], images: bool) -> pa.Schema:
    """Return the schema of every file: the declared columns, and this store's own.

    `images`: with the image itself, and with BINARY columns.

    Raises:
        SchemaMismatch: a column has a name that this store uses itself.
    """
    declared = [column for column in columns if images or column.kind is not Kind.BINARY]
    own = [
        _field("probabilities", pa.list_(pa.float32()), "Of each class, in the order of the model's labels."),
        *([_field("image", pa.large_binary(), "The image's bytes, as they came.")] if images else []),
        _field(
            WRITTEN, pa.int64(), "Nanoseconds since 1970 in UTC; of rows with one id the greatest counts."
        ),
        _field(REMOVED, pa.bool_(), "The image was removed; all else is null."),
    ]
    if taken := sorted({column.name for column in declared} & {field.name for field in own}):
        raise SchemaMismatch(
            f"the files have columns of their own named {', '.join(taken)}; rename those of the interceptor"
        )
    return pa.schema([*(_field(column.name, _TYPES[column.kind], column.doc) for column in declared), *own])


def missing(found: pa.Schema, expected: pa.Schema) -> list[pa.Field]:
    """Return the columns that are to be written and are not there."""
    return [field for field in expected if field.name not in found.names]


def check_schema(found: pa.Schema, expected: pa.Schema, address: str) -> None:
    """Compare the columns that are there with those to be written. One more is no matter.

    Raises:
        SchemaMismatch: one is missing, or of another type.
    """
    check_what_stays(found, expected, address)
    if lacking := missing(found, expected):
        raise SchemaMismatch(
            f"the files in {address} lack what this worker writes: {_listed(lacking)}. "
            "Run `flumen tables migrate`: it adds what is missing, and changes nothing else"
        )


def check_what_stays(found: pa.Schema, expected: pa.Schema, address: str) -> None:
    """Compare as `check_schema` does, but for columns that can be added.

    Raises:
        SchemaMismatch: one is of another type.
    """
    differing = [
        f"column {field.name!r} is {found.field(field.name).type}, expected {field.type}"
        for field in expected
        if field.name in found.names and found.field(field.name).type != field.type
    ]
    if differing:
        raise SchemaMismatch(
            f"the files in {address} have other columns: {'; '.join(differing)}. Write to another folder, or set the "
            "interceptors as they were"
        )


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


def _listed(fields: Sequence[pa.Field]) -> str:
    return "; ".join(f"column {field.name!r} is missing, expected {field.type}" for field in fields)
