"""Marks: which dead letters were replayed or parked, by whom and when. A small compacted topic beside the letters."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import orjson

from flumen.streams.dead_letters.dead_letter import DeadLetter
from flumen.streams.errors import TopicMissing
from flumen.streams.kafka.message import Outgoing
from flumen.streams.kafka.received import is_readable
from flumen.streams.kafka.topic_reader import TopicReader


class State(StrEnum):
    """What has become of a dead letter."""

    DEAD = "dead"
    REPLAYED = "replayed"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The state a letter was given, when (ISO 8601, UTC) and by whom."""

    state: State
    at: str = ""
    actor: str = ""


UNRESOLVED = Resolution(State.DEAD)


def resolution_message(topic: str, letter: DeadLetter, mark: Resolution) -> Outgoing:
    """Return the message that marks a letter, and with it those that are the same letter delivered twice."""
    content = {"state": mark.state, "at": mark.at, "actor": mark.actor, "letter": letter.identity}
    return Outgoing(topic, letter.place.encode(), orjson.dumps(content), [])


def new_resolution(state: State, actor: str) -> Resolution:
    """Return a mark made now."""
    return Resolution(state, datetime.now(UTC).isoformat(timespec="milliseconds"), actor)


def read_resolutions(observer: TopicReader, topic: str) -> dict[str, Resolution]:
    """Return the newest mark of every letter that has one, by `DeadLetter.identity`.

    Raises:
        KafkaUnavailable: no broker answers.
    """
    marks = {}
    try:
        for raw in filter(is_readable, observer.read(topic)):
            if (found := parse_resolution(raw.value)) is not None:
                identity, mark = found
                marks[identity] = mark
    except TopicMissing:  # it is created with the first mark
        return {}
    return marks


def parse_resolution(value: bytes | None) -> tuple[str, Resolution] | None:
    """Return what a mark is about and the mark, or None if this is none: a tombstone, or not written by us."""
    try:
        content = orjson.loads(value or b"")
        state, *said = (content[name] for name in ("state", "letter", "at", "actor"))
        mark = Resolution(State(state), *said[1:])
    except (ValueError, TypeError, KeyError):
        return None
    return (said[0], mark) if all(isinstance(text, str) for text in said) else None
