"""Resolutions: which dead letters were replayed or parked, by whom and when. A small compacted topic."""

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
    """The state a dead letter was given, when (ISO 8601, UTC) and by whom."""

    state: State
    at: str = ""
    actor: str = ""


UNRESOLVED = Resolution(State.DEAD)


def resolution_message(topic: str, dead_letter: DeadLetter, resolution: Resolution) -> Outgoing:
    """Return the message that resolves a dead letter, and with it those that are the same one delivered twice."""
    content = {
        "state": resolution.state,
        "at": resolution.at,
        "actor": resolution.actor,
        "letter": dead_letter.identity,
    }
    return Outgoing(topic, dead_letter.place.encode(), orjson.dumps(content), [])


def new_resolution(state: State, actor: str) -> Resolution:
    """Return a resolution made now."""
    return Resolution(state, datetime.now(UTC).isoformat(timespec="milliseconds"), actor)


def read_resolutions(reader: TopicReader, topic: str) -> dict[str, Resolution]:
    """Return the newest resolution of every dead letter that has one, by `DeadLetter.identity`.

    Raises:
        KafkaUnavailable: no broker answers.
    """
    resolutions = {}
    try:
        for raw in filter(is_readable, reader.read(topic)):
            if (found := parse_resolution(raw.value)) is not None:
                identity, resolution = found
                resolutions[identity] = resolution
    except TopicMissing:  # it is created with the first resolution
        return {}
    return resolutions


def parse_resolution(value: bytes | None) -> tuple[str, Resolution] | None:
    """Return a dead letter's identity and its resolution; None for a tombstone, and for what was not written by us."""
    try:
        content = orjson.loads(value or b"")
        state, *said = (content[name] for name in ("state", "letter", "at", "actor"))
        resolution = Resolution(State(state), *said[1:])
    except (ValueError, TypeError, KeyError):
        return None
    return (said[0], resolution) if all(isinstance(text, str) for text in said) else None
