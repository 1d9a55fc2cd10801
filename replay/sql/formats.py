"""The rows of a query as a file: CSV, JSON, JSON Lines, Arrow, Parquet; written batch by batch, in bounded memory.

Arrow and Parquet keep the types. In the texts, a time with a zone is in UTC and ends in Z, and bytes are base64. JSON
has no NaN and no infinity: they are the texts "NaN", "Infinity" and "-Infinity", and null is null. In CSV a null is an
empty cell, an empty text is "", and the numbers are nan, inf and -inf.
"""

import math
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO, Protocol

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from flumen.replay.errors import BadQuery
from flumen.replay.sql.values import values_of

FORMATS = ("csv", "json", "jsonl", "arrow", "parquet")
BINARY_FORMATS = frozenset({"arrow", "parquet"})
ENDINGS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".arrow": "arrow", ".parquet": "parquet"}

GROUP_ROWS = 122_880
GROUP_BYTES = 64 * 1024 * 1024
"""A row group of a Parquet file has so many rows, or so many bytes: as much of it is in memory."""

FORMULA = r"^[=+\-@\t\r]"
"""How a text begins that a spreadsheet takes for a formula (OWASP, "CSV Injection")."""


class BatchWriter(Protocol):
    """Writes batches of one schema."""

    def write(self, rows: pa.RecordBatch) -> None:
        """Write rows."""

    def finish(self) -> None:
        """Write what comes at the end. The file is not closed."""


def open_writer(
    format_name: str, file: BinaryIO, schema: pa.Schema, spreadsheet: bool = False
) -> BatchWriter:
    """Return a writer of one of `FORMATS`.

    Args:
        format_name: which.
        file: takes the bytes, one after another.
        schema: the columns, of unique names.
        spreadsheet: in CSV, put an apostrophe before texts that a spreadsheet takes for formulas.

    Raises:
        BadQuery: the format has no form for a column's type.
    """
    if format_name == "csv":
        return CsvWriter(file, schema, spreadsheet)
    if format_name == "arrow":
        return _ArrowWriter(file, schema)
    if format_name == "parquet":
        return _ParquetWriter(file, schema)
    return _JsonWriter(file, is_array=format_name == "json")


class CsvWriter:
    """CSV as RFC 4180 has it, with a heading; `formulas` counts the cells that a spreadsheet takes for formulas."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, spreadsheet: bool) -> None:
        from pyarrow import csv

        self._spreadsheet = spreadsheet
        self.formulas = 0
        texts = [pa.field(each.name, _csv_type(each.type)) for each in schema]
        self._writer = csv.CSVWriter(file, pa.schema(texts))

    def write(self, rows: pa.RecordBatch) -> None:
        """Write rows."""
        cells = [self._cells(column) for column in rows.columns]
        self._writer.write_batch(pa.RecordBatch.from_arrays(cells, names=rows.schema.names))

    def finish(self) -> None:
        """Write nothing more."""
        self._writer.close()

    def _cells(self, column: pa.Array) -> pa.Array:
        kind = column.type
        if _is_number(kind):
            return column
        if not _is_text(kind):
            return _csv_texts(column)
        column = column.cast(pa.string())
        begins = pc.match_substring_regex(column, FORMULA)
        self.formulas += pc.sum(begins).as_py() or 0
        if self._spreadsheet:
            column = pc.if_else(begins, pc.binary_join_element_wise("'", column, ""), column)
        return column


class _JsonWriter:
    """An object a row, each on a line of its own: by itself, or as the members of one array."""

    def __init__(self, file: BinaryIO, is_array: bool) -> None:
        self._file = file
        self._is_array = is_array
        self._is_first = True

    def write(self, rows: pa.RecordBatch) -> None:
        names = rows.schema.names
        columns = [json_values(column) for column in rows.columns]
        objects = [to_json_line(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]
        if not objects:
            return
        if not self._is_array:
            self._file.write(b"\n".join(objects) + b"\n")
            return
        self._file.write((b"[\n" if self._is_first else b",\n") + b",\n".join(objects))
        self._is_first = False

    def finish(self) -> None:
        if self._is_array:
            self._file.write(b"[]\n" if self._is_first else b"\n]\n")


class _ArrowWriter:
    """Arrow's IPC file format, which is Feather's second."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pa.ipc.new_file(file, schema)

    def write(self, rows: pa.RecordBatch) -> None:
        self._writer.write_batch(rows)

    def finish(self) -> None:
        self._writer.close()


class _ParquetWriter:
    """Parquet, in row groups of `GROUP_ROWS` or `GROUP_BYTES`."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        from pyarrow import parquet

        if not schema.names:
            raise BadQuery("this statement returns nothing, and Parquet has no form for that")
        try:
            self._writer = parquet.ParquetWriter(file, schema, compression="zstd")
        except (pa.ArrowException, NotImplementedError) as error:
            raise BadQuery(
                f"Parquet cannot hold these columns: {error}. Cast them, as in c::varchar"
            ) from error
        self._waiting: list[pa.RecordBatch] = []

    def write(self, rows: pa.RecordBatch) -> None:
        self._waiting.append(rows)
        count = sum(batch.num_rows for batch in self._waiting)
        if count >= GROUP_ROWS or sum(batch.nbytes for batch in self._waiting) >= GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting), GROUP_ROWS * 2)
            self._waiting = []


def json_values(column: pa.Array) -> list[Any]:
    """Return a column's values as JSON has them; times are left to `to_json_line`."""
    values = values_of(column)
    kind = column.type
    if _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return values
    return [_json_value(value) for value in values]


def to_json_line(value: Any) -> bytes:
    """Return a value of `json_values`, or an object of such, as one line of JSON."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # whole numbers over 64 bits
        import json

        return json.dumps(value, default=_text, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _json_value(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case bytes():
            return b64encode(value).decode()
        case Decimal() if value == value.to_integral_value():
            return int(value)
        case Mapping():
            return {str(name): _json_value(each) for name, each in value.items()}
        case list() | tuple():
            return [_json_value(each) for each in value]
        case _:
            return value


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


def _csv_type(kind: pa.DataType) -> pa.DataType:
    return kind if _is_number(kind) else pa.string()


def _csv_texts(column: pa.Array) -> pa.Array:
    return pa.array([_csv_text(value) for value in json_values(column)], pa.string())


def _csv_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return to_json_line(value).decode() if isinstance(value, (dict, list)) else _text(value)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
