"""What a dead letter says about itself, the filters that find it, and the message it was before it died."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flumen.streams.dead_letters.writer import LEFT_OUT_HEADER, attempt_of
from flumen.streams.kafka.message import UNREADABLE_HEADERS, Headers, RawMessage, SentHeaders

_CONNECT = "__connect.errors."
_UNREADABLE = "no dead letter of a worker: the name of one of its headers is not UTF-8 text"
_OURS = (_CONNECT, "flumen.")
SCHEMA_HEADER = "flumen.schema"
"""Stands where a dead letter's schema is above 1."""

SCHEMA = 1
"""The newest schema of a dead letter that is read here."""

_LAST_MS = 253_402_214_400_000
"""Begin of the last day of the year 9999, in milliseconds since the epoch."""
_COUNT = re.compile(r"[0-9]{1,12}")
_PLACE = re.compile(r"([0-9]{1,9})/([0-9]{1,18})")
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter. All texts come from outside: what is not UTF-8 is escaped, control characters are not.

    `place` is its partition and offset in the dead-letter topic (`0/17`), `origin` those of the image it was, with
    their topic (`images/3/1024`); empty if it does not say. `failed_at` is UTC. `attempt` counts how often it died.
    `left_out_bytes` is the size of a message that was too large for a dead letter: its value is not here; else 0.
    `schema` is 0 where it is no number.
    """

    place: str
    failed_at: datetime
    key: str
    stage: str
    reason: str
    error_class: str
    model: str
    origin: str
    attempt: int
    sha256: str
    size_bytes: int
    left_out_bytes: int
    schema: int = SCHEMA

    @property
    def origin_topic(self) -> str:
        """Where the image came from, and goes to when it is replayed; empty if the dead letter does not say."""
        return self.origin.partition("/")[0]

    @property
    def identity(self) -> str:
        """The same for dead letters that were delivered twice: one image, at one attempt."""
        return f"{self.origin} {self.attempt} {self.sha256}" if self.origin else self.place


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilters:
    """What a dead letter has to be to be found; what is None does not matter.

    `reason` is a part of the reason, in capitals or not; `model` is a name or `name@version`; `topic` is where
    the image came from; `since` is inclusive, `until` is not. `settled`: also those replayed or parked.
    """

    reason: str | None = None
    stage: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    model: str | None = None
    topic: str | None = None
    settled: bool = False

    def match(self, dead_letter: DeadLetter) -> bool:
        """Say whether a dead letter passes; whether it is settled is not told by the dead letter itself."""
        return (
            (self.reason is None or self.reason.casefold() in dead_letter.reason.casefold())
            and self.stage in (None, dead_letter.stage)
            and (self.since is None or dead_letter.failed_at >= self.since)
            and (self.until is None or dead_letter.failed_at < self.until)
            and self.model in (None, dead_letter.model, dead_letter.model.rpartition("@")[0])
            and self.topic in (None, dead_letter.origin_topic)
        )


def read_dead_letter(raw: RawMessage) -> DeadLetter:
    """Return what a message of the dead-letter topic says; never raises, whatever it holds."""
    said = {name: to_text(value) for name, value in _own(raw)}
    parts = [said.get(_CONNECT + part, "") for part in ("topic", "partition", "offset")]
    return DeadLetter(
        place=f"{raw.partition}/{raw.offset}",
        failed_at=_moment_of(raw.timestamp_ms),
        key=to_text(raw.key),
        stage=said.get(_CONNECT + "stage", ""),
        reason=_UNREADABLE
        if raw.headers is UNREADABLE_HEADERS
        else said.get(_CONNECT + "exception.message", ""),
        error_class=said.get(_CONNECT + "exception.class.name", ""),
        model=said.get("flumen.model", ""),
        origin="/".join(parts) if all(parts) else "",
        attempt=attempt_of(raw.headers),
        sha256=said.get("flumen.sha256", ""),
        size_bytes=len(raw.value or b""),
        left_out_bytes=_count(said.get(LEFT_OUT_HEADER, "")),
        schema=_count(said.get(SCHEMA_HEADER, "1")),
    )


def _own(raw: RawMessage) -> Headers:
    """Return what the worker said: from the first of its headers on, behind those that the message came with."""
    first = f"{_CONNECT}topic"
    begins = [number for number, (name, _) in enumerate(raw.headers) if name == first]
    return raw.headers[begins[-1] :] if begins else raw.headers


def _count(text: str) -> int:
    return int(text) if _COUNT.fullmatch(text) else 0


def _moment_of(timestamp_ms: int) -> datetime:
    """Return a moment of Kafka's, of which any 64 bits may be given, within what a `datetime` can be."""
    return datetime.fromtimestamp(min(max(0, timestamp_ms), _LAST_MS) / 1000, UTC)


def to_text(value: bytes | None) -> str:
    r"""Return bytes from outside as text, those that are not UTF-8 as `\xff`."""
    return (value or b"").decode("utf-8", "backslashreplace")


def original_headers(raw: RawMessage) -> SentHeaders:
    """Return the headers an image had before it died, and how often it has died: that must not be forgotten."""
    kept: SentHeaders = [(name, value) for name, value in raw.headers if not name.startswith(_OURS)]
    return [*kept, ("flumen.attempt", str(attempt_of(raw.headers)))]


def parse_place(text: str) -> tuple[int, int] | None:
    """Return the partition and the offset that `0/17` names, or None if it names none."""
    found = _PLACE.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else None


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the moment that is meant: `2h` is two hours before `now`; without a zone, a time is this machine's.

    Raises:
        ValueError: it is neither a duration nor ISO 8601; the message says what is allowed.
    """
    try:
        if found := _DURATION.fullmatch(text):
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is no time; give a duration such as 30m, 2h or 7d, or ISO 8601 such as 2030-01-31T12:00"
        ) from error
