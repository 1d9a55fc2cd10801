"""The newest dead letters, in bounded memory: what each says of itself, cut, and what has become of it."""

import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from flumen.streams.dead_letters.dead_letter import DeadLetter, read_dead_letter
from flumen.streams.dead_letters.resolutions import UNRESOLVED, Resolution, State, parse_resolution
from flumen.streams.kafka.message import RawMessage
from flumen.streams.kafka.received import is_readable

NEWEST = 2_000
"""So many dead letters are known to the console; `flumen dead list` reads the whole topic."""

MOST_GROUPS = 100
_MOST_RESOLUTIONS = 50_000
_LONGEST_NAME = 100
_LONGEST_KEY = 300
_LONGEST_REASON = 600
_LONGEST_ACTOR = 200


@dataclass(frozen=True, slots=True)
class Listed:
    """A dead letter in short. All texts come from outside, and are cut where they are long.

    `kind` is the name of the error's class; `at` is microseconds since 1970; `place` names it: partition and offset.
    """

    place: str
    at: int
    key: str
    stage: str
    kind: str
    reason: str
    model: str
    origin: str
    attempt: int
    size_bytes: int
    resolution: Resolution = UNRESOLVED


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one stage and one kind of error: how many, when the newest died, and its reason."""

    stage: str
    kind: str
    count: int
    at: int
    reason: str


class DeadLetterList:
    """Takes the records of the topics of dead letters and of resolutions, and may be asked by any thread.

    One that was delivered twice is there once. The oldest go where there are more than `most`.
    """

    def __init__(self, most: int = NEWEST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._letters: OrderedDict[bytes, Listed] = OrderedDict()
        self._resolutions: OrderedDict[bytes, Resolution] = OrderedDict()

    @property
    def is_full(self) -> bool:
        """Whether there may be more dead letters than are known here."""
        return len(self._letters) >= self._most

    def take_dead_letter(self, raw: RawMessage) -> None:
        """Take a record of the topic of dead letters, whatever it holds."""
        dead_letter = read_dead_letter(raw)
        identity = _digest(dead_letter.identity)
        with self._lock:
            self._letters.setdefault(identity, _in_short(dead_letter))
            while len(self._letters) > self._most:
                self._letters.popitem(last=False)

    def take_resolution(self, raw: RawMessage) -> None:
        """Take a record of the topic of resolutions; one that is none is left out."""
        found = parse_resolution(raw.value) if is_readable(raw) else None
        if found is not None:
            self.resolve(*found)

    def resolve(self, identity: str, resolution: Resolution) -> None:
        """Note what has become of the dead letter with this `DeadLetter.identity`."""
        digest = _digest(identity)
        cut = Resolution(resolution.state, resolution.at[:40], resolution.actor[:_LONGEST_ACTOR])
        with self._lock:
            self._resolutions[digest] = cut
            self._resolutions.move_to_end(digest)
            while len(self._resolutions) > _MOST_RESOLUTIONS:
                self._resolutions.popitem(last=False)

    def forget(self, place: str) -> None:
        """Leave out the dead letter of a place: it is gone."""
        with self._lock:
            for digest in [digest for digest, letter in self._letters.items() if letter.place == place]:
                del self._letters[digest]

    def letters(
        self, state: State | None = State.DEAD, stage: str | None = None, kind: str | None = None
    ) -> list[Listed]:
        """Return those of a state, of a stage and a kind, the newest first; None is any."""
        found = [
            letter
            for letter in self._all()
            if state in (None, letter.resolution.state)
            and stage in (None, letter.stage)
            and kind in (None, letter.kind)
        ]
        return sorted(found, key=lambda letter: (letter.at, letter.place), reverse=True)

    def groups(self, state: State | None = State.DEAD) -> Sequence[Group]:
        """Return the groups of those of a state, the largest first; a hundred at the most."""
        return group(self.letters(state))

    def _all(self) -> Iterator[Listed]:
        with self._lock:
            letters = list(self._letters.items())
            resolutions = {digest: self._resolutions.get(digest, UNRESOLVED) for digest, _ in letters}
        for digest, letter in letters:
            resolution = resolutions[digest]
            yield letter if resolution is UNRESOLVED else replace(letter, resolution=resolution)


def group(letters: Iterable[Listed]) -> Sequence[Group]:
    """Group dead letters, of which the newest come first, by stage and kind."""
    counts: Counter[tuple[str, str]] = Counter()
    newest: dict[tuple[str, str], Listed] = {}
    for letter in letters:
        key = letter.stage, letter.kind
        counts[key] += 1
        newest.setdefault(key, letter)
    return [
        Group(*key, count, newest[key].at, newest[key].reason)
        for key, count in counts.most_common(MOST_GROUPS)
    ]


def _in_short(dead_letter: DeadLetter) -> Listed:
    return Listed(
        place=dead_letter.place,
        at=int(dead_letter.failed_at.timestamp() * 1_000_000),
        key=_cut(dead_letter.key, _LONGEST_KEY),
        stage=_cut(dead_letter.stage, _LONGEST_NAME),
        kind=_cut(dead_letter.error_class.rpartition(".")[2], _LONGEST_NAME),
        reason=_cut(dead_letter.reason, _LONGEST_REASON),
        model=_cut(dead_letter.model, _LONGEST_NAME),
        origin=_cut(dead_letter.origin, _LONGEST_KEY),
        attempt=dead_letter.attempt,
        size_bytes=dead_letter.size_bytes,
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _digest(identity: str) -> bytes:
    return hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).digest()
