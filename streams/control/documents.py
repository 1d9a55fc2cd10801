"""A record's JSON before it is a record: what stays alike in every schema, and which schema it has.

A record has the key `schema` where that is above 1. Keys that a version does not know are ignored by it; whatever it
may not ignore or could misread makes the number rise. In every schema these stay what they are: `schema`; `model` and
`revision` of a state; `event` and `state` of an audit entry; `worker` and `model` of a status.
"""

import hashlib
import json
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from flumen.streams.errors import RecordMalformed, RecordTooNew

SCHEMA = 1
"""The newest schema that is read and written here."""

MAX_RECORD_BYTES = 65_536
"""Bytes of a record's value. Far more than an actor, a reason and three models need."""

_MAX_SCHEMA = 2**53

Record = TypeVar("Record")

Document = dict[str, Any]


def read_document(value: bytes | None) -> Document:
    """Read a record's value as a JSON object. Of a key that is there twice, the last one is read.

    Raises:
        RecordMalformed: there is none, it is too large or too deep, or no such object.
    """
    if value is None:
        raise RecordMalformed("the record has no value (a tombstone); a state is replaced, never taken away")
    if len(value) > MAX_RECORD_BYTES:
        raise RecordMalformed(f"the record has {len(value):,} bytes; allowed are {MAX_RECORD_BYTES:,}")
    try:
        document = from_json(value, allow_inf_nan=False)
    except ValueError as error:
        raise RecordMalformed(f"the record is not valid: the document: invalid JSON: {error}") from error
    if not isinstance(document, dict):
        raise RecordMalformed("the record is not valid: the document: it is no JSON object")
    return document


def schema_of(document: Document) -> int:
    """Return the schema that a record says it has: 1 where it says none.

    Raises:
        RecordMalformed: it is no whole number above 0.
    """
    schema = document.get("schema", SCHEMA)
    if type(schema) is not int or not 1 <= schema <= _MAX_SCHEMA:
        raise RecordMalformed("the record is not valid: schema: it is no whole number from 1")
    return schema


def entry_schema(document: Document) -> int:
    """Return the schema that an audit entry needs to be read: its own, or its state's if that is newer."""
    state = document.get("state")
    return max(schema_of(document), schema_of(state) if isinstance(state, dict) else 1)


def check_schema(schema: int) -> None:
    """Refuse what a later version of flumen wrote and this one could misread.

    Raises:
        RecordTooNew: it is.
    """
    if schema > SCHEMA:
        raise RecordTooNew(
            f"the record has schema {schema}, and this version of flumen reads {SCHEMA} at most. Upgrade flumen here"
        )


def canonical(document: Document) -> bytes:
    """Return the same bytes for the same JSON, whatever the order of its keys and the space between them.

    Raises:
        RecordMalformed: a number in it is out of range.
    """
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise RecordMalformed(f"the record is not valid: the document: {error}") from error


def digest(document: Document) -> bytes:
    """Return what tells two documents apart: by every key, also by those that nobody here knows."""
    return hashlib.sha256(canonical(document)).digest()


def read_as(adapter: TypeAdapter[Record], document: Document) -> Record:
    """Return the record that a document is.

    Raises:
        RecordMalformed: a key is missing, or has a value of another type or out of bounds.
    """
    try:
        return adapter.validate_json(canonical(document))
    except ValidationError as error:
        raise RecordMalformed(f"the record is not valid: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    where = ".".join(str(part)[:50] for part in first["loc"][:5]) or "the document"
    more = f" (and {len(others)} more)" if others else ""
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}{more}"
