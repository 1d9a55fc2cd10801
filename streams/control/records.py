"""What is written to the control, status and audit topics: JSON, read strictly.

A key that is missing, a value of another type or out of bounds, or too many bytes make a record malformed. A key that
is unknown is ignored, and a newer schema is refused (`documents`). A key that is added has a default, and is written
only where it says something else: workers of 0.1.0 take no key more than they know. Times are ISO 8601 in UTC.
docs/swapping.md shows one of each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from flumen.models.names import MAX_VERSION, NAME_PATTERN
from flumen.models.slot import NO_REVISION
from flumen.streams.control.documents import (
    SCHEMA,
    Document,
    check_schema,
    entry_schema,
    read_as,
    read_document,
    schema_of,
)

MAX_REVISION = 2**53
"""The largest whole number that every reader of JSON keeps exactly."""

MAX_FIRST_REVISION = 1_000_000
"""The largest revision that an audit log may begin with: from there, one for each change, nobody reaches the last."""

MAX_MESSAGE = 2000

_TIME_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)$"

ModelName = Annotated[str, Field(pattern=NAME_PATTERN)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[int, Field(ge=1, le=MAX_VERSION)]
Revision = Annotated[int, Field(ge=1, le=MAX_REVISION)]
RevisionOrNone = Annotated[int, Field(ge=NO_REVISION, le=MAX_REVISION)]
Time = Annotated[str, Field(pattern=_TIME_PATTERN, max_length=40)]
WorkerId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
Words = Annotated[str, Field(max_length=MAX_MESSAGE)]

Record = TypeVar("Record")

OPEN = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
"""How records are read: what is unknown is ignored, what is known has its type."""


class WorkerState(StrEnum):
    """What a worker is about. `refused`: it goes on with the model it has."""

    STARTING = "starting"
    SERVING = "serving"
    PREPARING = "preparing"
    READY = "ready"
    REFUSED = "refused"
    STOPPED = "stopped"


class Command(StrEnum):
    """What an operator said. Only `rollback` goes back the way that others went forward."""

    ACTIVATE = "activate"
    ROLLBACK = "rollback"
    SHADOW = "shadow"


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class ModelRef:
    """One version of a model, and the sha256 of its file."""

    version: Version
    sha256: Sha256


@with_config(OPEN)
@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """What every worker of a model shall run; one record of the control topic.

    `champion` classifies, `challenger` is scored in shadow, `prepare` is to be loaded and verified.
    `revision` rises with every change; `actor` made it, for the `reason` given.
    """

    model: ModelName
    champion: ModelRef
    challenger: ModelRef | None
    prepare: ModelRef | None
    revision: Revision
    actor: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Words
    at: Time


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class Refused:
    """What a worker did not do, and why: the class of the error, and its message.

    `ref` is null where the record names no model, `revision` 0 where it cannot be told.
    """

    ref: ModelRef | None
    revision: RevisionOrNone
    reason: Annotated[str, Field(min_length=1, max_length=100)]
    message: Words

    @classmethod
    def because(cls, error: Exception, ref: ModelRef | None = None, revision: int = NO_REVISION) -> "Refused":
        """Put an error into a record. Its message may quote anything."""
        message = str(error).encode(errors="backslashreplace").decode()
        return cls(ref, revision, type(error).__name__[:100], message[:MAX_MESSAGE])


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class DriftStatus:
    """What has changed of what arrives at a worker, by the names of statistics, and since when."""

    statistics: tuple[Annotated[str, Field(max_length=200)], ...]
    since: Time


@with_config(OPEN)
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """What one worker runs; one record of the status topic.

    `prepared` is loaded and verified, and waits. `heard` is the revision of the control record that the worker acts on,
    `revision` that of the one whose champion answers now: it stays behind where that is still loaded, or refused.
    `images_per_s` is a mean over about a heartbeat. `drift`: what has changed, left out where nothing has.
    """

    worker: WorkerId
    model: ModelName
    state: WorkerState
    champion: ModelRef | None
    challenger: ModelRef | None
    prepared: ModelRef | None
    refused: Refused | None
    heard: RevisionOrNone
    revision: RevisionOrNone
    images_per_s: Annotated[float, Field(ge=0)]
    at: Time
    started_at: Time
    drift: Annotated[DriftStatus | None, Field(exclude_if=lambda drift: drift is None)] = None


@with_config(OPEN)
@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Audit: an operator wrote a new state, by a command. `former` is the one it replaced, null for the first."""

    event: Literal["desired"] = "desired"
    command: Command
    state: DesiredState
    former: DesiredState | None


@with_config(OPEN)
@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """Audit: a worker's champion has changed, and a batch was taken on it.

    `offsets` are the first one of each partition in that batch, by the partition's number: from there on, on this
    worker, the version in `champion` answers. A batch need not hold every partition of the worker.
    """

    event: Literal["effective"] = "effective"
    model: ModelName
    worker: WorkerId
    revision: RevisionOrNone
    champion: ModelRef
    at: Time
    offsets: dict[Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,9})$")], Annotated[int, Field(ge=0)]]


AuditEntry = Desired | Effective

_DESIRED = TypeAdapter(DesiredState)
_STATUS = TypeAdapter(WorkerStatus)
_AUDIT: TypeAdapter[AuditEntry] = TypeAdapter(Annotated[AuditEntry, Field(discriminator="event")])


def parse_desired(value: bytes | None) -> DesiredState:
    """Read a record of the control topic.

    Raises:
        RecordTooNew: its schema is newer than this version's.
        RecordMalformed: says what is wrong with it.
    """
    return _parse(_DESIRED, read_document(value))


def parse_status(value: bytes | None) -> WorkerStatus:
    """Read a record of the status topic. Raises as `parse_desired`."""
    return _parse(_STATUS, read_document(value))


def parse_audit(value: bytes | None) -> AuditEntry:
    """Read a record of the audit topic. Raises as `parse_desired`.

    A former state whose schema is newer is read as null: it is told, and nothing hangs on it.
    """
    document = read_document(value)
    check_schema(entry_schema(document))
    former = document.get("former")
    if isinstance(former, dict) and schema_of(former) > SCHEMA:
        document = {**document, "former": None}
    return _parse(_AUDIT, document)


def to_json(record: DesiredState | WorkerStatus | AuditEntry) -> bytes:
    """Return a record's value. It reads back as the same record.

    Raises:
        RecordMalformed: the record itself is out of bounds.
    """
    match record:
        case DesiredState():
            return _dump(_DESIRED, record)
        case WorkerStatus():
            return _dump(_STATUS, record)
        case _:
            return _dump(_AUDIT, record)


def now() -> str:
    """Return the time as records hold it: UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def first_offsets(offsets: Mapping[int, int]) -> dict[str, int]:
    """Return offsets by partition as JSON has them: its keys are texts."""
    return {str(partition): offset for partition, offset in sorted(offsets.items())}


def _parse(adapter: TypeAdapter[Record], document: Document) -> Record:
    check_schema(schema_of(document))
    return read_as(adapter, document)


def _dump(adapter: TypeAdapter[Record], record: Record) -> bytes:
    value = adapter.dump_json(record)
    _parse(adapter, read_document(value))
    return value
