"""What counts: the changes that the audit log has committed, in one line; the control topic is held against it.

A record alone proves nothing: one that was signed for a transaction that was given up lies in the log, for whoever may
read that to send it again. The audit log is never compacted, and has one order. So all who read it come to the same
line: each state is one revision above the one before, and the first that claims a revision has it.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from flumen.models.slot import NO_REVISION
from flumen.streams.control.claims import Claim, claim_change, claim_desired
from flumen.streams.control.documents import check_schema
from flumen.streams.control.keys import Keyring
from flumen.streams.control.records import (
    MAX_FIRST_REVISION,
    Desired,
    DesiredState,
    parse_audit,
)
from flumen.streams.errors import (
    ControlRefused,
    RecordConflict,
    RecordMalformed,
    RecordMisplaced,
    RecordOutOfLine,
    RecordStale,
    RecordTooNew,
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


class RevisionHistory:
    """The states of one model that count, by the audit log."""

    def __init__(self, model: str, keyring: Keyring) -> None:
        self.newest: DesiredState | None = None
        """The newest state that counts and can be read."""
        self.revision = NO_REVISION
        """The revision of the newest state that counts; 0 where there is none."""
        self.too_new: RecordTooNew | None = None
        """Why the newest state that counts cannot be read, where it cannot."""
        self.unknown: tuple[str, ...] = ()
        """Keys of the newest state that this version of flumen does not know."""
        self.highest_said = NO_REVISION
        """The highest revision that an audit log may begin with and that anybody claimed, whether it counts or not."""
        self._model = model
        self._keyring = keyring
        self._digests: dict[int, bytes] = {}

    def take(self, raw: RawMessage) -> Desired | None:
        """Take a record of the audit topic; return the change if it counts, None if it is no change of this model.

        Raises:
            RecordTooNew: it is one and counts, and cannot be read here.
            ControlRefused: it is one, and does not count; the subclass is the reason.
        """
        if raw.key != self._model.encode():
            return None
        check_readable(raw)
        claim = claim_change(raw.value)  # before the signature: what workers say of themselves has none
        entry = parse_audit(raw.value) if claim is None or claim.state is not None else None
        if claim is None:
            return None
        self._check(raw, claim)
        self._follow(claim)
        try:
            check_schema(claim.schema)
        except RecordTooNew as error:
            self.too_new = error
            raise
        assert isinstance(entry, Desired), "a change that can be read is one"
        return entry

    def agrees(self, claim: Claim) -> bool | None:
        """Say whether a state is the one that counts, or counted, at its revision; None where the line has no such."""
        known = self._digests.get(claim.revision)
        return None if known is None else known == claim.digest

    def hear_of(self, revision: int) -> None:
        """Note a revision that somebody claims."""
        if revision < MAX_FIRST_REVISION:
            self.highest_said = max(self.highest_said, revision)

    def _check(self, raw: RawMessage, claim: Claim) -> None:
        if claim.model != self._model:
            raise RecordMisplaced(f"the entry's key is {self._model!r}, and it is about {claim.model!r}")
        self.hear_of(claim.revision)
        self._keyring.check(raw.topic, raw.key or b"", raw.value or b"", raw.headers)

    def _follow(self, claim: Claim) -> None:
        agrees, newest = self.agrees(claim), self.revision
        if agrees is False:
            raise RecordConflict(
                f"the audit log has another state of revision {claim.revision} before this one (by {claim.actor}), "
                f"and the first one counts. {_ANEW}"
            )
        if agrees or (newest and claim.revision < newest):
            raise RecordStale(
                f"the entry has revision {claim.revision}, and {newest} counts already. If the topic was made anew, "
                "start the workers again"
            )
        if newest and claim.revision != newest + 1:
            raise RecordOutOfLine(
                f"the entry has revision {claim.revision}, and {newest + 1} is the next. {_ANEW}"
            )
        if claim.revision > MAX_FIRST_REVISION:
            raise RecordOutOfLine(
                f"the entry has revision {claim.revision}, and an audit log begins with {MAX_FIRST_REVISION:,} "
                f"at most. {_ANEW}"
            )
        self.revision, self.too_new, self.unknown = claim.revision, None, claim.unknown
        self.newest = claim.state or self.newest
        self._digests[claim.revision] = claim.digest


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A control record whose line in the audit log has not come, since when, and its place among all that came."""

    claim: Claim
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
        self._history = RevisionHistory(model, keyring)
        self._announced = NO_REVISION
        self._came = 0
        self._refused: ControlRefused | None = None
        self._refused_place = 0
        self._waiting: deque[_Waiting] = deque(maxlen=_MAX_WAITING)
        self._unrecorded: deque[_Waiting] = deque(maxlen=_MAX_WAITING)
        self._refused_late: list[ControlRefused] = []

    @property
    def state(self) -> DesiredState | None:
        """What counts now; None where nothing does. Where `too_new` says why that cannot be read, what did before."""
        return self._history.newest

    @property
    def too_new(self) -> RecordTooNew | None:
        """Why the state that counts cannot be read here; None where it can. Nobody may write over it then."""
        return self._history.too_new

    @property
    def unknown(self) -> tuple[str, ...]:
        """Keys of the state that counts which this version does not know: what it writes next lacks them."""
        return self._history.unknown

    @property
    def next_revision(self) -> int:
        """The revision that the next state has to have. Where nothing counts yet, above all that anybody claims."""
        return (self._history.revision or self._history.highest_said) + 1

    @property
    def is_waiting(self) -> bool:
        """Whether a control record waits for its line in the audit log."""
        return any(self._awaits_line(waiting.claim) for waiting in self._waiting)

    @property
    def has_lost(self) -> bool:
        """Whether the control topic lacks the newest state, so far as it was read."""
        return self._announced < self._history.revision

    @property
    def refused(self) -> ControlRefused | None:
        """Why the state that counts cannot be read, or a control record after it does not count; None if neither."""
        return self._history.too_new or self._refused

    @property
    def conflict(self) -> str | None:
        """Say in what the control topic is not as the audit log, or not read; None where the two agree."""
        if self.refused is not None:
            return f"{type(self.refused).__name__}: {self.refused}"
        if self.has_lost:
            return f"the control topic lacks revision {self._history.revision} of the audit log. {_ANEW}"
        return None

    def admit(self, raw: RawMessage) -> DesiredState | None:
        """Return the state that counts from this record on; None where the record leaves that as it is.

        Raises:
            ControlRefused: the subclass is the reason; the record changes nothing.
        """
        if raw.topic == self._settings.audit_topic:
            change = self._history.take(raw)
            for late in [late for late in self._unrecorded if self._history.agrees(late.claim) is not None]:
                self._unrecorded.remove(late)  # its line has come after all
                self._decide(late)
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
        """Return why control records that waited do not count; they wait for their line in the audit log `wait_s`."""
        self._settle(wait_s)
        refused, self._refused_late = self._refused_late, []
        return refused

    def _settle(self, wait_s: float) -> None:
        """Judge those that wait, in the order in which they were written: none before one that still waits."""
        while self._waiting and not (
            self._awaits_line(self._waiting[0].claim) and self._clock() - self._waiting[0].since < wait_s
        ):
            self._decide(self._waiting.popleft())

    def _decide(self, waiting: _Waiting) -> None:
        try:
            self._judge(waiting.claim, waiting.place)
        except ControlRefused as error:
            self._refuse(error, waiting.place)
            self._refused_late.append(error)
            if isinstance(error, RecordUnrecorded):
                self._unrecorded.append(waiting)

    def _awaits_line(self, claim: Claim) -> bool:
        return self._history.agrees(claim) is None and claim.revision > self._history.revision

    def _hear(self, raw: RawMessage) -> None:
        check_readable(raw)
        # Nothing of what a record says is looked at before it is known who says it.
        self._keyring.check(raw.topic, raw.key or b"", raw.value or b"", raw.headers)
        claim = claim_desired(raw.value)
        if claim.model != self._model:
            raise RecordMisplaced(f"the record's key is {self._model!r}, and it is about {claim.model!r}")
        self._history.hear_of(claim.revision)
        self._settle(RECORDED_WITHIN_S)
        if self._waiting or self._awaits_line(claim):
            self._waiting.append(_Waiting(claim, self._clock(), self._came))
        else:
            self._judge(claim, self._came)

    def _refuse(self, error: ControlRefused, place: int) -> None:
        """Keep the refusal of the record that stands last in the topic: one that waited may be judged after it."""
        if self._refused is None or place >= self._refused_place:
            self._refused, self._refused_place = error, place

    def _judge(self, claim: Claim, place: int) -> None:
        """Hold a control record against the audit log, which has been read as far as it goes."""
        agrees, newest = self._history.agrees(claim), self._history.revision
        if agrees is False:
            raise RecordConflict(
                f"the record is another state of revision {claim.revision} (by {claim.actor}) than the audit log "
                f"has, which counts. It was given up, or nobody's; {_ANEW}"
            )
        if agrees is None and claim.revision > newest:
            raise RecordUnrecorded(
                f"the record has revision {claim.revision} (by {claim.actor}), and the audit log ends with {newest}: "
                f"it was never committed there, and changes nothing. {_ANEW}"
            )
        if claim.revision <= self._announced or agrees is None:
            raise RecordStale(
                f"the record has revision {claim.revision}, and {newest} counts already; write one above "
                "it (`flumen models` does). If the topic was made anew, start the workers again"
            )
        self._announced = claim.revision
        if place >= self._refused_place:
            self._refused = None
        if claim.revision == newest:
            check_schema(claim.schema)


def check_readable(raw: RawMessage) -> None:
    """Refuse a record whose headers Kafka's client cannot return.

    Raises:
        RecordMalformed: it is one.
    """
    if raw.headers is UNREADABLE_HEADERS:
        raise RecordMalformed("the name of one of the record's headers is not UTF-8 text")
