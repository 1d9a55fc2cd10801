"""The dead letters from an operator's side: find them, send them back to where they came from, or set them aside."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from flumen.streams.dead_letters.dead_letter import (
    SCHEMA,
    DeadLetter,
    Wanted,
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
from flumen.streams.kafka.topics import ensure_marks_topic, ensure_parked_topic, existing_topics
from flumen.streams.settings import Settings

_MOST_AT_ONCE = 200
_MOST_BYTES_AT_ONCE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A dead letter, what has become of it, and the message as it lies in the topic."""

    letter: DeadLetter
    mark: Resolution
    raw: RawMessage


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done with a letter. `refused` is why it was not done, with what to do; empty if it was."""

    letter: DeadLetter
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRules:
    """What may be sent again: letters that died fewer than `max_attempts` times.

    `again` lets those through that are replayed or parked already; with `dry_run` nothing is sent.
    """

    max_attempts: int = 3
    again: bool = False
    dry_run: bool = False


class DeadLetterQueue:
    """Finds letters in the dead-letter topic, with their marks as they were when it was opened."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.dead_topic
        self._observer = TopicReader(settings)
        self._marks = read_resolutions(self._observer, settings.marks_topic)

    def __enter__(self) -> "DeadLetterQueue":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._observer.close()

    def find(self, wanted: Wanted) -> Iterator[Entry]:
        """Read the topic to the end it has now. A letter that was delivered twice is found once.

        Raises:
            KafkaUnavailable: no broker answers.
            TopicMissing: there is no such topic.
        """
        seen: set[str] = set()
        for raw in self._observer.read(self._topic):
            entry = self._open(raw)
            if wanted.takes(entry.letter) and entry.letter.identity not in seen:
                seen.add(entry.letter.identity)
                if wanted.settled or entry.mark.state is State.DEAD:
                    yield entry

    def get(self, place: str) -> Entry:
        """Return the letter at one place, as `0/17`.

        Raises:
            NoSuchDeadLetter: there is none.
            KafkaUnavailable: no broker answers.
            TopicMissing: there is no such topic.
        """
        parsed = parse_place(place)
        raw = self._observer.read_one(self._topic, *parsed) if parsed else None
        if raw is None:
            raise NoSuchDeadLetter(
                f"there is no letter {place!r} in {self._topic!r}. A letter is named by partition/offset, as in 0/17; "
                "`flumen dead list --all` shows those there are"
            )
        return self._open(raw)

    def _open(self, raw: RawMessage) -> Entry:
        letter = read_dead_letter(raw)
        return Entry(letter, self._marks.get(letter.identity, UNRESOLVED), raw)


def replay(entries: Iterable[Entry], settings: Settings, rules: ReplayRules, actor: str) -> Iterator[Outcome]:
    """Send images back to the topics they came from, each as it was before it died.

    A letter is marked as replayed once the broker has acknowledged its image. A crash in between leaves it unmarked;
    to send an image twice does no harm, as the stores keep one of an id.

    Raises:
        PublishFailed: a letter was sent and could not be marked.
        KafkaUnavailable: no broker answers.
    """
    topics = existing_topics(settings)

    def refuse(entry: Entry) -> str:
        return refusal(entry, rules, topics)

    def copy(entry: Entry) -> Outgoing:
        raw = entry.raw
        return Outgoing(entry.letter.origin_topic, raw.key, raw.value, original_headers(raw))

    if rules.dry_run:
        return (Outcome(entry.letter, refuse(entry)) for entry in entries)
    return _settle(entries, settings, refuse, copy, new_resolution(State.REPLAYED, actor))


def park(entries: Iterable[Entry], settings: Settings, actor: str) -> Iterator[Outcome]:
    """Copy letters, as they are, to the topic where nothing expires, and mark them as parked.

    Raises:
        PublishFailed: a letter was copied and could not be marked.
        KafkaUnavailable: no broker answers.
        TopicMissing: the topic of parked letters is not there and may not be created.
    """
    ensure_parked_topic(settings)

    def refuse(entry: Entry) -> str:
        return "it is parked already" if entry.mark.state is State.PARKED else ""

    def copy(entry: Entry) -> Outgoing:
        return Outgoing(settings.parked_topic, entry.raw.key, entry.raw.value, list(entry.raw.headers))

    return _settle(entries, settings, refuse, copy, new_resolution(State.PARKED, actor))


def refusal(entry: Entry, rules: ReplayRules, topics: frozenset[str]) -> str:
    """Say why a letter must not be replayed, and what to do; empty if it may be."""
    letter, mark = entry.letter, entry.mark
    if letter.attempt >= rules.max_attempts:
        return (
            f"it has died {letter.attempt} times, and --max-attempts is {rules.max_attempts}. "
            "Remove the cause and raise that, or park it"
        )
    if mark.state is not State.DEAD and not rules.again:
        return f"it was {mark.state} on {mark.at} by {mark.actor}; --again sends it nevertheless"
    if lack := _lack(letter):
        return lack
    if letter.origin_topic not in topics:
        return f"there is no topic {letter.origin_topic!r} any more; create it and replay once more"
    return ""


def _lack(letter: DeadLetter) -> str:
    """Say why a letter does not hold the message that it was; empty if it does."""
    if letter.schema != SCHEMA:
        return (
            f"a later version of flumen wrote it: it has schema {letter.schema}, and this one reads {SCHEMA} at most. "
            "Upgrade flumen here, or park it"
        )
    if not letter.origin:
        return "it does not say which topic it came from; save its bytes with `flumen dead show --save`"
    if letter.left_out_bytes:
        return (
            f"its {letter.left_out_bytes:,} bytes were more than a letter may have, and are "
            "not in it; publish the image again from the original"
        )
    return ""


def _settle(
    entries: Iterable[Entry],
    settings: Settings,
    refuse: Callable[[Entry], str],
    copy: Callable[[Entry], Outgoing],
    mark: Resolution,
) -> Iterator[Outcome]:
    """Send what may be sent, a bounded number of bytes at a time; mark what was acknowledged."""
    ensure_marks_topic(settings)
    producer = command_producer(settings)
    for some in _portions(entries):
        refused = [refuse(entry) for entry in some]
        sent = [entry for entry, reason in zip(some, refused, strict=True) if not reason]
        failures = producer.send([copy(entry) for entry in sent])
        there = [entry.letter for entry, failure in zip(sent, failures, strict=True) if not failure]
        _mark(producer, settings.marks_topic, there, mark)
        yield from (Outcome(entry.letter, why) for entry, why in zip(some, refused, strict=True) if why)
        for entry, failure in zip(sent, failures, strict=True):
            why = f"it was not acknowledged ({failure}) and is not marked; run this again" if failure else ""
            yield Outcome(entry.letter, why)


def _mark(producer: Producer, topic: str, letters: Sequence[DeadLetter], mark: Resolution) -> None:
    failures = producer.send([resolution_message(topic, letter, mark) for letter in letters])
    missing = [letter.place for letter, failure in zip(letters, failures, strict=True) if failure]
    if missing:
        raise PublishFailed(
            f"{', '.join(missing)}: done, but not marked as {mark.state} in {topic!r} "
            f"({next(filter(None, failures))}). They are still listed as dead; to do it again does no harm"
        )


def _portions(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    portion: list[Entry] = []
    size_bytes = 0
    for entry in entries:
        portion.append(entry)
        size_bytes += entry.letter.size_bytes
        if len(portion) == _MOST_AT_ONCE or size_bytes >= _MOST_BYTES_AT_ONCE:
            yield portion
            portion, size_bytes = [], 0
    if portion:
        yield portion
