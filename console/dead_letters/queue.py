"""Dead letters in Kafka, as the console asks for them: followed, looked at one by one, replayed and parked."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from flumen.console.dead_letters.listed import NEWEST, DeadLetterList
from flumen.streams.dead_letters.queue import (
    DeadLetterQueue,
    Entry,
    ReplayRules,
    ResolutionResult,
    park,
    replay,
)
from flumen.streams.dead_letters.resolutions import State, new_resolution
from flumen.streams.errors import NoSuchDeadLetter
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import existing_topics
from flumen.streams.settings import Settings

_LISTEN_S = 1.0
_LOOK_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done with the dead letter at a place; `refused` is why it was not, empty where it was."""

    place: str
    key: str
    refused: str = ""


class Queue(Protocol):
    """Dead letters that are opened and settled. Its methods block."""

    def get(self, place: str) -> Entry:
        """Return the dead letter at one place.

        Raises:
            NoSuchDeadLetter: there is none.
            StreamError: Kafka does not answer.
        """

    def replay(self, places: Sequence[str], rules: ReplayRules, by: str) -> Sequence[Outcome]:
        """Send dead letters back to where they came from, on somebody's behalf.

        Raises:
            StreamError: Kafka does not answer, or did not take what was to be written down.
        """

    def park(self, places: Sequence[str], by: str) -> Sequence[Outcome]:
        """Set dead letters aside, on somebody's behalf. Raises as `replay`."""


class KafkaQueue:
    """`Queue` over Kafka; `known` hears at once what has become of them."""

    def __init__(self, settings: Settings, known: DeadLetterList) -> None:
        self._settings = settings
        self._known = known

    def get(self, place: str) -> Entry:
        """See `Queue.get`."""
        with DeadLetterQueue(self._settings) as queue:
            return self._get(queue, place)

    def replay(self, places: Sequence[str], rules: ReplayRules, by: str) -> Sequence[Outcome]:
        """See `Queue.replay`."""
        send = partial(replay, settings=self._settings, rules=rules, actor=by)
        return self._settle(places, send, State.REPLAYED, by)

    def park(self, places: Sequence[str], by: str) -> Sequence[Outcome]:
        """See `Queue.park`."""
        send = partial(park, settings=self._settings, actor=by)
        return self._settle(places, send, State.PARKED, by)

    def _settle(
        self,
        places: Sequence[str],
        send: Callable[[Iterator[Entry]], Iterator[ResolutionResult]],
        state: State,
        by: str,
    ) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        with DeadLetterQueue(self._settings) as queue:

            def entries() -> Iterator[Entry]:
                for place in dict.fromkeys(places):
                    try:
                        yield self._get(queue, place)
                    except NoSuchDeadLetter as error:
                        outcomes.append(Outcome(place, "", str(error)))

            for result in send(entries()):
                letter = result.dead_letter
                outcomes.append(Outcome(letter.place, letter.key, result.refused))
                if not result.refused:
                    self._known.resolve(letter.identity, new_resolution(state, by))
        return outcomes

    def _get(self, queue: DeadLetterQueue, place: str) -> Entry:
        try:
            return queue.get(place)
        except NoSuchDeadLetter:
            self._known.forget(place)
            raise


@contextmanager
def following(settings: Settings, known: DeadLetterList) -> Iterator[Callable[[], DeadLetterList]]:
    """Read the newest dead letters and what became of them, and give what goes on reading; it blocks for a second.

    Raises:
        StreamError: Kafka does not answer, or there is no topic of dead letters.
    """
    with ExitStack() as opened:

        def take_resolutions() -> TopicReader:
            reader = opened.enter_context(closing(TopicReader(settings)))
            for raw in reader.follow((settings.resolutions_topic,)):
                known.take_resolution(raw)
            return reader

        letters = opened.enter_context(closing(TopicReader(settings)))
        for raw in letters.follow((settings.dead_topic,), newest={settings.dead_topic: NEWEST}):
            known.take_dead_letter(raw)
        has_any = settings.resolutions_topic in existing_topics(settings)
        resolutions = take_resolutions() if has_any else None
        looked_at = time.monotonic()

        def go_on() -> DeadLetterList:
            nonlocal resolutions, looked_at
            for raw in letters.news(_LISTEN_S):
                known.take_dead_letter(raw)
            if resolutions is not None:
                for raw in resolutions.news(0.0):
                    known.take_resolution(raw)
            elif (
                time.monotonic() - looked_at >= _LOOK_EVERY_S
            ):  # the first one that is resolved makes the topic
                looked_at = time.monotonic()
                if settings.resolutions_topic in existing_topics(settings):
                    resolutions = take_resolutions()
            return known

        yield go_on
