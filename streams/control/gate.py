"""What may change the workers of a model: what `flumen.streams.control.revision_history` says counts.

The control topic is held against it. The two are read apart, and a gate comes to the same however they are read.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from flumen.models.slot import NO_REVISION
from flumen.streams.control.claims import Claim, claim_desired
from flumen.streams.control.documents import check_schema
from flumen.streams.control.keys import Keyring
from flumen.streams.control.records import DesiredState
from flumen.streams.control.revision_history import ANEW, RevisionHistory, check_readable
from flumen.streams.errors import (
    ControlRefused,
    RecordConflict,
    RecordMisplaced,
    RecordStale,
    RecordTooNew,
    RecordUnrecorded,
)
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings

RECORDED_WITHIN_S = 5.0
"""How long the line of a control record in the audit log may take: committed together, they are read apart."""

SETTLED_WITHIN_S = 2.0
"""How long one who has read both topics to their ends goes on reading for such a line."""

_MAX_WAITING = 100


@dataclass(frozen=True, slots=True)
class _Came:
    """A control record that has come, when, and its place among all that came."""

    claim: Claim
    at: float
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
        self._judged_place = 0
        self._waiting: deque[_Came] = deque(maxlen=_MAX_WAITING)
        self._unrecorded: deque[_Came] = deque(maxlen=_MAX_WAITING)
        self._counting: deque[_Came] = deque(maxlen=_MAX_WAITING)
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
            return f"the control topic lacks revision {self._history.revision} of the audit log. {ANEW}"
        return None

    def admit(self, raw: RawMessage) -> DesiredState | None:
        """Return the state that counts from this record on; None where the record leaves that as it is.

        Raises:
            ControlRefused: the subclass is the reason; the record changes nothing.
        """
        if raw.topic == self._settings.audit_topic:
            try:
                change = self._history.take(raw)
            finally:  # a line that cannot be read here counts as well
                self._decide_unrecorded()
            return change.state if change else None
        if raw.key != self._model.encode():
            return None
        self._came += 1
        try:
            self._hear(raw)
        except ControlRefused as error:
            self._conclude(error, self._came)
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
            self._awaits_line(self._waiting[0].claim) and self._clock() - self._waiting[0].at < wait_s
        ):
            self._decide(self._waiting.popleft())

    def _decide_unrecorded(self) -> None:
        """Judge those whose line has come after all."""
        for late in [one for one in self._unrecorded if self._history.agrees(one.claim) is not None]:
            self._unrecorded.remove(late)
            self._decide(late)

    def _decide(self, waiting: _Came) -> None:
        try:
            self._judge(waiting)
        except ControlRefused as error:
            self._conclude(error, waiting.place)
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
            self._waiting.append(_Came(claim, self._clock(), self._came))
        else:
            self._judge(_Came(claim, self._clock(), self._came))

    def _conclude(self, refused: ControlRefused | None, place: int) -> None:
        """Keep what became of the record that stands last in the topic: one that waited may be judged after it."""
        if place >= self._judged_place:
            self._refused, self._judged_place = refused, place

    def _judge(self, waiting: _Came) -> None:
        """Hold a control record against the audit log, which has been read as far as it goes."""
        claim = waiting.claim
        agrees, newest = self._history.agrees(claim), self._history.revision
        if agrees is False:
            raise RecordConflict(
                f"the record is another state of revision {claim.revision} (by {claim.actor}) than the audit log "
                f"has, which counts. It was given up, or nobody's; {ANEW}"
            )
        if agrees is None and claim.revision > newest:
            raise RecordUnrecorded(
                f"the record has revision {claim.revision} (by {claim.actor}), and the audit log ends with {newest}: "
                f"it was never committed there, and changes nothing. {ANEW}"
            )
        if claim.revision <= self._announced or agrees is None:
            raise _stale(claim, newest)
        self._announced = claim.revision
        self._conclude(None, waiting.place)
        # What stands behind it, and was judged before its line came, was already stale when it was written.
        for overtaken in [one for one in self._counting if one.place > waiting.place]:
            self._counting.remove(overtaken)
            stale = _stale(overtaken.claim, newest)
            self._conclude(stale, overtaken.place)
            self._refused_late.append(stale)
        self._counting.append(waiting)
        if claim.revision == newest:
            check_schema(claim.schema)


def _stale(claim: Claim, newest: int) -> RecordStale:
    return RecordStale(
        f"the record has revision {claim.revision}, and {newest} counts already; write one above "
        "it (`flumen models` does). If the topic was made anew, start the workers again"
    )
