"""What counts: the changes that the audit log has committed, in one line; the control topic is held against it.

A record alone proves nothing: one that was signed for a transaction that was given up lies in the log, for whoever may
read that to send it again. The audit log is never compacted, and has one order. So all who read it come to the same
line: each state is one revision above the one before, and the first that claims a revision has it.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from flumen.streams.control.keys import Keyring
from flumen.streams.control.records import (
    MAX_FIRST_REVISION,
    NO_REVISION,
    Desired,
    DesiredState,
    parse_audit,
    parse_desired,
    to_json,
)
from flumen.streams.errors import (
    ControlRefused,
    RecordConflict,
    RecordMalformed,
    RecordMisplaced,
    RecordOutOfLine,
    RecordStale,
    RecordUnrecorded,
)
from flumen.streams.kafka.message import UNREADABLE_HEADERS, RawMessage
from flumen.streams.settings import Settings

RECORDED_WITHIN_S = 5.0
"""How long the line of a control record in the audit log may take: committed together, they are read apart."""

SETTLED_WITHIN_S = 2.0
"""How long one who has read both topics to their ends goes on reading for such a line."""

_MAX_WAITING = 100
_ANEW = "`flumen models activate` writes the state anew"


class Line:
    """The states of one model that count, by the audit log."""

    def __init__(self, model: str, keyring: Keyring) -> None:
        self.newest: DesiredState | None = None
        self.highest_said = NO_REVISION
        """The highest revision that an audit log may begin with and that anybody claimed, whether it counts or not."""
        self._model = model
        self._keyring = keyring
        self._digests: dict[int, bytes] = {}

    @property
    def revision(self) -> int:
        """The revision of the newest state; 0 where there is none."""
        return self.newest.revision if self.newest else NO_REVISION

    def take(self, raw: RawMessage) -> Desired | None:
        """Take a record of the audit topic; return the change if it counts, None if it is no change of this model.

        Raises:
            ControlRefused: it is one, and does not count; the subclass is the reason.
        """
        if raw.key != self._model.encode():
            return None
        check_readable(raw)
        entry = parse_audit(raw.value)  # before the signature: what workers say of themselves has none
        if not isinstance(entry, Desired):
            return None
        self._check(raw, entry.state)
        self._follow(entry.state)
        return entry

    def agrees(self, state: DesiredState) -> bool | None:
        """Say whether a state is the one that counts, or counted, at its revision; None where the line has no such."""
        known = self._digests.get(state.revision)
        return None if known is None else known == _digest(state)

    def hear_of(self, revision: int) -> None:
        """Note a revision that somebody claims."""
        if revision < MAX_FIRST_REVISION:
            self.highest_said = max(self.highest_said, revision)

    def _check(self, raw: RawMessage, state: DesiredState) -> None:
        if state.model != self._model:
            raise RecordMisplaced(f"the entry's key is {self._model!r}, and it is about {state.model!r}")
        self.hear_of(state.revision)
        self._keyring.check(raw.topic, raw.key or b"", raw.value or b"", raw.headers)

    def _follow(self, state: DesiredState) -> None:
        agrees, newest = self.agrees(state), self.revision
        if agrees is False:
            raise RecordConflict(
                f"the audit log has another state of revision {state.revision} before this one (by {state.actor}), "
                f"and the first one counts. {_ANEW}"
            )
        if agrees or (newest and state.revision < newest):
            raise RecordStale(
                f"the entry has revision {state.revision}, and {newest} counts already. If the topic was made anew, "
                "start the workers again"
            )
        if newest and state.revision != newest + 1:
            raise RecordOutOfLine(
                f"the entry has revision {state.revision}, and {newest + 1} is the next. {_ANEW}"
            )
        if state.revision > MAX_FIRST_REVISION:
            raise RecordOutOfLine(
                f"the entry has revision {state.revision}, and an audit log begins with {MAX_FIRST_REVISION:,} "
                f"at most. {_ANEW}"
            )
        self.newest = state
        self._digests[state.revision] = _digest(state)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A control record whose line in the audit log has not come, since when, and its place among all that came."""

    state: DesiredState
    since: float
    place: int


class Gate:
    """Lets through what may change the workers of one model, from the control topic and from the audit log."""

    def __init__(
        self, settings: Settings, model: str, keyring: Keyring, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._model = model
        self._keyring = keyring
        self._clock = clock
        self._line = Line(model, keyring)
        self._announced = NO_REVISION
        self._came = 0
        self._refused: ControlRefused | None = None
        self._refused_place = 0
        self._unrecorded: _Waiting | None = None
        self._waiting: deque[_Waiting] = deque(maxlen=_MAX_WAITING)
        self._refused_late: list[ControlRefused] = []

    @property
    def state(self) -> DesiredState | None:
        """What counts now; None where nothing does."""
        return self._line.newest

    @property
    def next_revision(self) -> int:
        """The revision that the next state has to have. Where nothing counts yet, above all that anybody claims."""
        return (self._line.revision or self._line.highest_said) + 1

    @property
    def is_waiting(self) -> bool:
        """Whether a control record waits for its line in the audit log."""
        return any(self._line.agrees(waiting.state) is None for waiting in self._waiting)

    @property
    def has_lost(self) -> bool:
        """Whether the control topic lacks the newest state, so far as it was read."""
        return self._announced < self._line.revision

    @property
    def refused(self) -> ControlRefused | None:
        """Why a control record does not count that came after the newest one that does; None if there is none."""
        return self._refused

    @property
    def conflict(self) -> str | None:
        """Say in what the control topic is not as the audit log; None where the two agree."""
        if self._refused is not None:
            return f"{type(self._refused).__name__}: {self._refused}"
        if self.has_lost:
            return f"the control topic lacks revision {self._line.revision}, which the audit log has. {_ANEW}"
        return None

    def admit(self, raw: RawMessage) -> DesiredState | None:
        """Return the state that counts from this record on; None where the record leaves that as it is.

        Raises:
            ControlRefused: the subclass is the reason; the record changes nothing.
        """
        if raw.topic == self._settings.audit_topic:
            change = self._line.take(raw)
            late = self._unrecorded
            if change and late and late.state == change.state:  # its line has come after all
                self._judge(late.state, late.place)
            return change.state if change else None
        if raw.key != self._model.encode():
            return None
        self._came += 1
        try:
            self._hear(raw)
        except ControlRefused as error:
            self._refuse(error, self._came)
            raise
        return None

    def overdue(self, wait_s: float = RECORDED_WITHIN_S) -> list[ControlRefused]:
        """Return why control records that waited do not count, once that is known; once for each.

        `wait_s`: how long a record's line in the audit log may take.
        """
        self._settle(wait_s)
        refused, self._refused_late = self._refused_late, []
        return refused

    def _settle(self, wait_s: float) -> None:
        for waiting in list(self._waiting):
            is_known = self._line.agrees(waiting.state) is not None
            if is_known or self._clock() - waiting.since >= wait_s:
                self._waiting.remove(waiting)
                try:
                    self._judge(waiting.state, waiting.place)
                except ControlRefused as error:
                    self._refuse(error, waiting.place)
                    self._unrecorded = waiting if isinstance(error, RecordUnrecorded) else None
                    self._refused_late.append(error)

    def _hear(self, raw: RawMessage) -> None:
        check_readable(raw)
        # Nothing of what a record says is looked at before it is known who says it.
        self._keyring.check(raw.topic, raw.key or b"", raw.value or b"", raw.headers)
        state = parse_desired(raw.value)
        if state.model != self._model:
            raise RecordMisplaced(f"the record's key is {self._model!r}, and it is about {state.model!r}")
        self._line.hear_of(state.revision)
        if self._line.agrees(state) is None and state.revision > self._line.revision:
            self._waiting.append(_Waiting(state, self._clock(), self._came))
        else:
            self._settle(RECORDED_WITHIN_S)  # those that came before are not stale for this one
            self._judge(state, self._came)

    def _refuse(self, error: ControlRefused, place: int) -> None:
        """Keep the refusal of the record that stands last in the topic: one that waited may be judged after it."""
        if self._refused is None or place >= self._refused_place:
            self._refused, self._refused_place = error, place

    def _judge(self, state: DesiredState, place: int) -> None:
        """Hold a control record against the audit log, which has been read as far as it goes."""
        agrees, newest = self._line.agrees(state), self._line.revision
        if agrees is False:
            raise RecordConflict(
                f"the record is another state of revision {state.revision} (by {state.actor}) than the audit log "
                f"has, which counts. It was given up, or nobody's; {_ANEW}"
            )
        if agrees is None and state.revision > newest:
            raise RecordUnrecorded(
                f"the record has revision {state.revision} (by {state.actor}), and the audit log ends with {newest}: "
                f"it was never committed there, and changes nothing. {_ANEW}"
            )
        if state.revision <= self._announced or agrees is None:
            raise RecordStale(
                f"the record has revision {state.revision}, and {newest} counts already; write one above "
                "it (`flumen models` does). If the topic was made anew, start the workers again"
            )
        self._announced = state.revision
        if state.revision == newest and place >= self._refused_place:
            self._refused = None


def check_readable(raw: RawMessage) -> None:
    """Refuse a record whose headers Kafka's client cannot return.

    Raises:
        RecordMalformed: it is one.
    """
    if raw.headers is UNREADABLE_HEADERS:
        raise RecordMalformed("the name of one of the record's headers is not UTF-8 text")


def _digest(state: DesiredState) -> bytes:
    return hashlib.sha256(to_json(state)).digest()
