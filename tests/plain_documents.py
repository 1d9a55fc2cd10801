"""Solr's documents the plain way, a value at a time: what the encoding of whole columns is compared with."""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flumen.interceptor.batch import Batch, plain
from flumen.interceptor.columns import Column, Kind
from flumen.stores.solr.schema import IndexField

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("label", Kind.STRING, ""),
    Column("sha256", Kind.STRING, ""),
    Column("keywords", Kind.STRINGS, ""),
    Column("prediction", Kind.INT32, ""),
    Column("knownlabel", Kind.INT32, ""),
    Column("shots", Kind.INT64, ""),
    Column("confidence", Kind.FLOAT, ""),
    Column("latitude", Kind.DOUBLE, ""),
    Column("longitude", Kind.DOUBLE, ""),
    Column("flash_fired", Kind.BOOL, ""),
    Column("ingested_at", Kind.TIMESTAMP, ""),
    Column("sold_at", Kind.TIMESTAMP, ""),
    Column("image_as_pgm", Kind.BINARY, ""),
)


def plain_documents(batch: Batch, fields: Sequence[IndexField]) -> list[dict[str, Any]]:
    """Return what is in each row's document, as JSON has it."""
    columns = {name: plain(values) for name, values in batch.columns.items()}
    return [
        {
            field.name: value
            for field in fields
            if (value := _value(field, {name: values[row] for name, values in columns.items()})) is not None
        }
        for row in range(len(batch))
    ]


def _value(field: IndexField, row: Mapping[str, Any]) -> Any:
    if field.column.name == "correct":
        return None if row["knownlabel"] is None else row["knownlabel"] == row["prediction"]
    if field.column.name == "location":
        place = row["latitude"], row["longitude"]
        there = None not in place and abs(place[0]) <= 90 and abs(place[1]) <= 180
        return "{},{}".format(*place) if there else None
    value = row.get(field.column.name)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if field.column.kind is Kind.FLOAT and not _fits(value):
        return None
    if field.column.kind is Kind.TIMESTAMP:
        return f"{np.datetime64(value, 'us').astype('datetime64[ms]')}Z"
    return list(value) if field.column.kind is Kind.STRINGS else value


def _fits(value: float) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.float32(value)))


def read_cbor(content: bytes) -> Any:
    """Return what a text in CBOR says, as far as documents use it (RFC 8949, section 3)."""
    value, end = _read(content, 0)
    assert end == len(content)
    return value


def _read(content: bytes, at: int) -> tuple[Any, int]:
    first, at = content[at], at + 1
    major, info = first >> 5, first & 31
    if first in (0xF4, 0xF5):
        return first == 0xF5, at
    if major == 7:
        form = {26: ">f", 27: ">d"}[info]
        return struct.unpack_from(form, content, at)[0], at + struct.calcsize(form)
    if info == 31:
        return _until_end(content, at, major)
    number = info
    if info >= 24:
        size = 1 << (info - 24)
        number, at = int.from_bytes(content[at : at + size], "big"), at + size
    if major == 3:
        return content[at : at + number].decode(), at + number
    if major == 4:
        items = []
        for _ in range(number):
            item, at = _read(content, at)
            items.append(item)
        return items, at
    return {0: number, 1: -1 - number}[major], at


def _until_end(content: bytes, at: int, major: int) -> tuple[Any, int]:
    items = []
    while content[at] != 0xFF:
        item, at = _read(content, at)
        items.append(item)
    names = items[::2]
    assert major == 4 or len(names) == len(set(names))
    return items if major == 4 else dict(zip(names, items[1::2], strict=True)), at + 1
