"""What a record of any schema says of itself: where a state stands, and who says a status."""

from dataclasses import dataclass, fields

from pydantic import TypeAdapter, with_config

from flumen.streams.control.documents import (
    SCHEMA,
    Document,
    digest,
    entry_schema,
    read_as,
    read_document,
    schema_of,
)
from flumen.streams.control.records import OPEN, DesiredState, ModelName, Revision, WorkerId


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class _Place:
    """Where a state of any schema stands."""

    model: ModelName
    revision: Revision


@dataclass(frozen=True, slots=True)
class Claim:
    """A state as it was written, of any schema: `state` is None where that is too new to be read.

    `digest` tells it from every other state, also by what is not read; `unknown` are keys that are not, the first few.
    """

    model: str
    revision: int
    actor: str
    schema: int
    digest: bytes
    state: DesiredState | None
    unknown: tuple[str, ...] = ()


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class _Speaker:
    """Who says a status of any schema."""

    worker: WorkerId
    model: ModelName


_KNOWN = {"schema", *(field.name for field in fields(DesiredState))}
_DESIRED = TypeAdapter(DesiredState)
_PLACE = TypeAdapter(_Place)
_SPEAKER = TypeAdapter(_Speaker)


def claim_desired(value: bytes | None) -> Claim:
    """Read where a record of the control topic stands, and the rest if its schema lets it be read.

    Raises:
        RecordMalformed: says what is wrong with it.
    """
    document = read_document(value)
    return _claim(document, schema_of(document))


def claim_change(value: bytes | None) -> Claim | None:
    """Likewise of a record of the audit topic; None if it is no change. Raises as `claim_desired`."""
    document = read_document(value)
    state = document.get("state")
    if document.get("event") != "desired" or not isinstance(state, dict):
        return None
    return _claim(state, entry_schema(document))


def parse_worker(value: bytes | None) -> tuple[str, str]:
    """Return the worker and the model of a status of any schema.

    Raises:
        RecordMalformed: it does not say them.
    """
    document = read_document(value)
    said = read_as(_SPEAKER, document)
    return said.worker, said.model


def _claim(document: Document, schema: int) -> Claim:
    place = read_as(_PLACE, document)
    state = read_as(_DESIRED, document) if schema <= SCHEMA else None
    actor = document.get("actor")
    return Claim(
        model=place.model,
        revision=place.revision,
        actor=actor[:200] if isinstance(actor, str) else "somebody",
        schema=schema,
        digest=digest(document),
        state=state,
        unknown=tuple(sorted(name[:50] for name in document if name not in _KNOWN)[:5]) if state else (),
    )
