"""The dead letters from an operator's side: find them, send them back to where they came from, or set them aside."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from flumen.streams.dead_letters.dead_letter import (
    SCHEMA,
    DeadLetter,
    DeadLetterFilters,
    original_headers,
    parse_place,
    read_dead_letter,
)
from flumen.streams.dead_letters.resolutions import (
    UNRESOLVED,
    Resolution,
    State,
    new_resolution,
    read_resolutions,
    resolution_message,
)
from flumen.streams.errors import NoSuchDeadLetter, PublishFailed
from flumen.streams.kafka.message import Outgoing, RawMessage
from flumen.streams.kafka.producer import Producer, command_producer
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_parked_topic, ensure_resolutions_topic, existing_topics
from flumen.streams.settings import Settings

_MOST_AT_ONCE = 200
_MOST_BYTES_AT_ONCE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A dead letter, what has become of it, and the message as it lies in the topic."""

    dead_letter: DeadLetter
    resolution: Resolution
    raw: RawMessage


@dataclass(frozen=True, slots=True)
class ResolutionResult:
    """What was done with a dead letter. `refused` is why it was not done, with what to do; empty if it was."""

    dead_letter: DeadLetter
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRules:
    """What may be sent again: dead letters that died fewer than `max_attempts` times.

    `again` lets those through that are replayed or parked already; with `dry_run` nothing is sent.
    """

    max_attempts: int = 3
    again: bool = False
    dry_run: bool = False


class DeadLetterQueue:
    """Finds dead letters in the dead-letter topic, with their resolutions as they were when it was opened."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.dead_topic
        self._reader = TopicReader(settings)
        try:
            self._resolutions = read_resolutions(self._reader, settings.resolutions_topic)
        except BaseException:
            self._reader.close()
            raise

    def __enter__(self) -> "DeadLetterQueue":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def find(self, filters: DeadLetterFilters) -> Iterator[Entry]:
        """Read the topic to the end it has now. A dead letter that was delivered twice is found once.

        Raises:
            KafkaUnavailable: no broker answers.
            TopicMissing: there is no such topic.
        """
        seen: set[str] = set()
        for raw in self._reader.read(self._topic):
            entry = self._open(raw)
            if filters.match(entry.dead_letter) and entry.dead_letter.identity not in seen:
                seen.add(entry.dead_letter.identity)
                if filters.settled or entry.resolution.state is State.DEAD:
                    yield entry

    def get(self, place: str) -> Entry:
        """Return the dead letter at one place, as `0/17`.

        Raises:
            NoSuchDeadLetter: there is none.
            KafkaUnavailable: no broker answers.
            TopicMissing: there is no such topic.
        """
        parsed = parse_place(place)
        raw = self._reader.read_one(self._topic, *parsed) if parsed else None
        if raw is None:
            raise NoSuchDeadLetter(
                f"there is no dead letter {place!r} in {self._topic!r}. It is named by partition/offset, as in 0/17; "
                "`flumen dead list --all` shows those there are"
            )
        return self._open(raw)

    def _open(self, raw: RawMessage) -> Entry:
        dead_letter = read_dead_letter(raw)
        return Entry(dead_letter, self._resolutions.get(dead_letter.identity, UNRESOLVED), raw)


def replay(
    entries: Iterable[Entry], settings: Settings, rules: ReplayRules, actor: str
) -> Iterator[ResolutionResult]:
    """Send images back to the topics they came from, each as it was before it died.

    A dead letter is recorded as replayed once the broker has acknowledged its image. A crash in between leaves it dead;
    to send an image twice does no harm, as the stores keep one of an id.

    Raises:
        PublishFailed: a dead letter was sent, and that could not be recorded.
        KafkaUnavailable: no broker answers.
    """
    topics = existing_topics(settings)

    def refuse(entry: Entry) -> str:
        return refusal(entry, rules, topics)

    def copy(entry: Entry) -> Outgoing:
        raw = entry.raw
        return Outgoing(entry.dead_letter.origin_topic, raw.key, raw.value, original_headers(raw))

    if rules.dry_run:
        return (ResolutionResult(entry.dead_letter, refuse(entry)) for entry in entries)
    return _settle(entries, settings, refuse, copy, new_resolution(State.REPLAYED, actor))


def park(entries: Iterable[Entry], settings: Settings, actor: str) -> Iterator[ResolutionResult]:
    """Copy dead letters, as they are, to the topic where nothing expires, and record them as parked.

    Raises:
        PublishFailed: a dead letter was copied, and that could not be recorded.
        KafkaUnavailable: no broker answers.
        TopicMissing: the topic of parked dead letters is not there and may not be created.
    """
    ensure_parked_topic(settings)

    def refuse(entry: Entry) -> str:
        return "it is parked already" if entry.resolution.state is State.PARKED else ""

    def copy(entry: Entry) -> Outgoing:
        return Outgoing(settings.parked_topic, entry.raw.key, entry.raw.value, list(entry.raw.headers))

    return _settle(entries, settings, refuse, copy, new_resolution(State.PARKED, actor))


def refusal(entry: Entry, rules: ReplayRules, topics: frozenset[str]) -> str:
    """Say why a dead letter must not be replayed, and what to do; empty if it may be."""
    dead_letter, resolution = entry.dead_letter, entry.resolution
    if dead_letter.attempt >= rules.max_attempts:
        return (
            f"it has died {dead_letter.attempt} times, and --max-attempts is {rules.max_attempts}. "
            "Remove the cause and raise that, or park it"
        )
    if resolution.state is not State.DEAD and not rules.again:
        return f"it was {resolution.state} on {resolution.at} by {resolution.actor}; --again sends it nevertheless"
    if lack := _lack(dead_letter):
        return lack
    if dead_letter.origin_topic not in topics:
        return f"there is no topic {dead_letter.origin_topic!r} any more; create it and replay once more"
    return ""


def _lack(dead_letter: DeadLetter) -> str:
    """Say why a dead letter does not hold the message that it was; empty if it does."""
    if dead_letter.schema != SCHEMA:
        return (
            f"a later version of flumen wrote it: it has schema {dead_letter.schema}, and this one reads {SCHEMA} at "
            "most. Upgrade flumen here, or park it"
        )
    if not dead_letter.origin:
        return "it does not say which topic it came from; save its bytes with `flumen dead show --save`"
    if dead_letter.left_out_bytes:
        return (
            f"its {dead_letter.left_out_bytes:,} bytes were more than a dead letter may have, and are "
            "not in it; publish the image again from the original"
        )
    return ""


def _settle(
    entries: Iterable[Entry],
    settings: Settings,
    refuse: Callable[[Entry], str],
    copy: Callable[[Entry], Outgoing],
    resolution: Resolution,
) -> Iterator[ResolutionResult]:
    """Send what may be sent, a bounded number of bytes at a time; record what was acknowledged."""
    ensure_resolutions_topic(settings)
    producer = command_producer(settings)
    for some in _portions(entries):
        refused = [refuse(entry) for entry in some]
        sent = [entry for entry, reason in zip(some, refused, strict=True) if not reason]
        failures = producer.send([copy(entry) for entry in sent])
        there = [entry.dead_letter for entry, failure in zip(sent, failures, strict=True) if not failure]
        _record(producer, settings.resolutions_topic, there, resolution)
        yield from (
            ResolutionResult(entry.dead_letter, why) for entry, why in zip(some, refused, strict=True) if why
        )
        for entry, failure in zip(sent, failures, strict=True):
            why = f"it was not acknowledged ({failure}) and is still dead; run this again" if failure else ""
            yield ResolutionResult(entry.dead_letter, why)


def _record(
    producer: Producer, topic: str, dead_letters: Sequence[DeadLetter], resolution: Resolution
) -> None:
    failures = producer.send(
        [resolution_message(topic, dead_letter, resolution) for dead_letter in dead_letters]
    )
    missing = [
        dead_letter.place for dead_letter, failure in zip(dead_letters, failures, strict=True) if failure
    ]
    if missing:
        raise PublishFailed(
            f"{', '.join(missing)}: done, but not recorded as {resolution.state} in {topic!r} "
            f"({next(filter(None, failures))}). They are still listed as dead; to do it again does no harm"
        )


def _portions(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    portion: list[Entry] = []
    size_bytes = 0
    for entry in entries:
        portion.append(entry)
        size_bytes += entry.dead_letter.size_bytes
        if len(portion) == _MOST_AT_ONCE or size_bytes >= _MOST_BYTES_AT_ONCE:
            yield portion
            portion, size_bytes = [], 0
    if portion:
        yield portion
