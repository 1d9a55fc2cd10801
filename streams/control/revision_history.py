"""The states of a model that count: the changes that the audit log has committed, in one line.

A record alone proves nothing: one that was signed for a transaction that was given up lies in the log, for whoever may
read that to send it again. The audit log is never compacted, and has one order. So all who read it come to the same
line: each state is one revision above the one before, and the first that claims a revision has it.
"""

from flumen.models.slot import NO_REVISION
from flumen.streams.control.claims import Claim, claim_change
from flumen.streams.control.documents import check_schema
from flumen.streams.control.keys import Keyring
from flumen.streams.control.records import (
    MAX_FIRST_REVISION,
    Desired,
    DesiredState,
    parse_audit,
)
from flumen.streams.errors import (
    RecordConflict,
    RecordMalformed,
    RecordMisplaced,
    RecordOutOfLine,
    RecordStale,
    RecordTooNew,
)
from flumen.streams.kafka.message import UNREADABLE_HEADERS, RawMessage

ANEW = "`flumen models activate` writes the state anew"


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
                f"and the first one counts. {ANEW}"
            )
        if agrees or (newest and claim.revision < newest):
            raise RecordStale(
                f"the entry has revision {claim.revision}, and {newest} counts already. If the topic was made anew, "
                "start the workers again"
            )
        if newest and claim.revision != newest + 1:
            raise RecordOutOfLine(
                f"the entry has revision {claim.revision}, and {newest + 1} is the next. {ANEW}"
            )
        if claim.revision > MAX_FIRST_REVISION:
            raise RecordOutOfLine(
                f"the entry has revision {claim.revision}, and an audit log begins with {MAX_FIRST_REVISION:,} "
                f"at most. {ANEW}"
            )
        self.revision, self.too_new, self.unknown = claim.revision, None, claim.unknown
        self.newest = claim.state or self.newest
        self._digests[claim.revision] = claim.digest


def check_readable(raw: RawMessage) -> None:
    """Refuse a record whose headers Kafka's client cannot return.

    Raises:
        RecordMalformed: it is one.
    """
    if raw.headers is UNREADABLE_HEADERS:
        raise RecordMalformed("the name of one of the record's headers is not UTF-8 text")
