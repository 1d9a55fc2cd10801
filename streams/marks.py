"""Marks: which dead letters were replayed or parked, by whom and when. A small compacted topic beside the letters."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import orjson

from flumen.streams.errors import TopicMissing
from flumen.streams.letters import Letter
from flumen.streams.offsets import TopicObserver
from flumen.streams.received import is_readable
from flumen.streams.sending import Outgoing


class State(StrEnum):
    """What has become of a dead letter."""

    DEAD = "dead"
    REPLAYED = "replayed"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Mark:
    """The state a letter was given, when (ISO 8601, UTC) and by whom."""

    state: State
    at: str = ""
    actor: str = ""


UNMARKED = Mark(State.DEAD)


def mark_message(topic: str, letter: Letter, mark: Mark) -> Outgoing:
    """Return the message that marks a letter, and with it those that are the same letter delivered twice."""
    content = {"state": mark.state, "at": mark.at, "actor": mark.actor, "letter": letter.identity}
    return Outgoing(topic, letter.place.encode(), orjson.dumps(content), [])


def new_mark(state: State, actor: str) -> Mark:
    """Return a mark made now."""
    return Mark(state, datetime.now(UTC).isoformat(timespec="milliseconds"), actor)


def read_marks(observer: TopicObserver, topic: str) -> dict[str, Mark]:
    """Return the newest mark of every letter that has one, by `Letter.identity`.

    Raises:
        KafkaUnavailable: no broker answers.
    """
    marks = {}
    try:
        for raw in filter(is_readable, observer.read(topic)):
            if (found := parse_mark(raw.value)) is not None:
                identity, mark = found
                marks[identity] = mark
    except TopicMissing:  # it is created with the first mark
        return {}
    return marks


def parse_mark(value: bytes | None) -> tuple[str, Mark] | None:
    """Return what a mark is about and the mark, or None if this is none: a tombstone, or not written by us."""
    try:
        content = orjson.loads(value or b"")
        state, *said = (content[name] for name in ("state", "letter", "at", "actor"))
        mark = Mark(State(state), *said[1:])
    except (ValueError, TypeError, KeyError):
        return None
    return (said[0], mark) if all(isinstance(text, str) for text in said) else None
