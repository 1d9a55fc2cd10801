"""The audit log: who changed what the workers shall run, when and why, and where and when it took effect."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from flumen.models.slot import NO_REVISION
from flumen.streams.control.keys import Keyring
from flumen.streams.control.records import (
    Command,
    DesiredState,
    Effective,
    ModelRef,
    parse_audit,
)
from flumen.streams.control.revision_history import RevisionHistory, check_readable
from flumen.streams.errors import ControlRefused, NothingBefore, RecordForged, RecordTooNew
from flumen.streams.kafka.message import RawMessage
from flumen.streams.kafka.received import is_readable
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.settings import Settings

IDEMPOTENCY_KEY_HEADER = "flumen.write"
"""Tells one attempt to write a state from all others, whatever they say. It is not signed, and means nothing else."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a model's desired state, and the workers whose champion it changed, in the order they did.

    `refused`: why it does not count, as the class of the error; None for one that does. Workers hold no keys: what
    they say of a change is never signed, and left out where it contradicts the audit log.
    """

    command: Command
    state: DesiredState
    former: DesiredState | None
    effects: tuple[Effective, ...]
    refused: str | None = None

    @property
    def counts(self) -> bool:
        """Whether workers follow it."""
        return self.refused is None

    @property
    def is_signed(self) -> bool:
        """Whether it is signed by a key that the settings know; true where they know none."""
        return self.refused != RecordForged.__name__


@dataclass(frozen=True, slots=True)
class Unread:
    """An entry of the audit log that cannot be read here, after so many changes that can be.

    `error` is the class of the error and `message` its words. `counts`: workers of a later version follow it, and it
    has this revision; else that is 0.
    """

    after: int
    error: str
    message: str
    revision: int = NO_REVISION

    @property
    def counts(self) -> bool:
        """Whether it is a change that others follow."""
        return self.revision != NO_REVISION

    @property
    def is_too_new(self) -> bool:
        """Whether a later version of flumen can read it."""
        return self.error == RecordTooNew.__name__


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Every change of a model, the oldest first, and what could not be read between them."""

    changes: list[Change]
    unread: list[Unread]


def read_audit_log(settings: Settings, model: str) -> AuditLog:
    """Return every change of a model.

    Raises:
        KafkaUnavailable: no broker answers.
        TopicMissing: there is no audit topic.
    """
    return join_audit_log(_read(settings), model, Keyring(settings.control_public_keys))


def written_by(idempotency_key: str, settings: Settings, model: str) -> DesiredState | None:
    """Return the state that was written with this value of `IDEMPOTENCY_KEY_HEADER` and counts, None if none was.

    Raises as `read_audit_log`.
    """
    history = RevisionHistory(model, Keyring(settings.control_public_keys))
    for raw in _read(settings):
        try:
            change = history.take(raw)
        except ControlRefused:
            continue
        if change is not None and (IDEMPOTENCY_KEY_HEADER, idempotency_key.encode()) in raw.headers:
            return change.state
    return None


def join_audit_log(raws: Iterable[RawMessage], model: str, keyring: Keyring) -> AuditLog:
    """Put what took effect beside the change that asked for it. Records of other models are left out.

    What a worker says counts for nothing but this: that its champion is the one of the change, which stood before it.
    """
    history = RevisionHistory(model, keyring)
    changes: list[Change] = []
    unread: list[Unread] = []
    counting: dict[int, int] = {}
    effects: dict[int, list[Effective]] = {}
    for raw in raws:
        has_names = is_readable(raw)  # else its place is logged
        if raw.key != model.encode():
            continue
        before, refused = history.revision, _refusal(history, raw)
        try:
            if not has_names:
                check_readable(raw)
            entry = parse_audit(raw.value)
        except ControlRefused as error:
            revision = history.revision if history.revision != before else NO_REVISION
            unread.append(Unread(len(changes), type(error).__name__, str(error), revision))
            continue
        if isinstance(entry, Effective):
            effects.setdefault(counting.get(entry.revision, -1), []).append(entry)
        elif entry.state.model == model:
            if refused is None:
                counting[entry.state.revision] = len(changes)
            changes.append(Change(entry.command, entry.state, entry.former, (), refused))
    joined = [
        replace(change, effects=tuple(_plausible(effects.get(number, ()), change.state)))
        for number, change in enumerate(changes)
    ]
    return AuditLog(joined, unread)


def champion_before(audit_log: AuditLog, model: str, current: ModelRef) -> ModelRef:
    """Return the champion that the current one took the place of.

    A rollback is no step forward: after 1, 2, 3 and back to 2, the champion before it is 1, and not 3 again. Changes
    that do not count are not followed.

    Raises:
        NothingBefore: there is none.
        RecordTooNew: a change that cannot be read here stands between, and may have had another champion.
    """
    unread = {entry.after for entry in audit_log.unread if entry.counts}
    way: list[ModelRef | None] = []
    for number, change in enumerate(audit_log.changes):
        if number in unread:
            way.append(None)
        if change.counts:
            _step(way, change.state.champion, goes_back=change.command is Command.ROLLBACK)
    _step(way, current, goes_back=False)
    if len(way) == 1:
        raise NothingBefore(
            f"the audit log knows no champion of {model} before {current.version}; choose one with "
            "`flumen models activate NAME@VERSION`, see `flumen models list`"
        )
    if way[-2] is None:
        raise RecordTooNew(
            f"the audit log has a change of {model} before the present champion that this version of flumen cannot "
            "read. Upgrade flumen here, or choose with `flumen models activate NAME@VERSION`"
        )
    return way[-2]


def describe_change(state: DesiredState, former: DesiredState | None) -> str:
    """Say what a state changed, in a few words: `champion 1 → 2`."""
    changes = []
    was, be = (former.champion if former else None), state.champion
    if was != be:
        changes.append(f"champion {version(was)} → {version(be)}" if was else f"champion {version(be)}")
    was_scored, scored = (former.challenger if former else None), state.challenger
    if was_scored != scored:
        changes.append(f"challenger {version(was_scored)} → {version(scored)}")
    was_prepared, prepared = (former.prepare if former else None), state.prepare
    if prepared is not None and prepared != was_prepared:
        changes.append(f"prepare {version(prepared)}")
    elif prepared is not None:
        changes.append(f"prepare {version(prepared)} again")
    elif was_prepared is not None and prepared is None and was_prepared != be:
        changes.append(f"prepare {version(was_prepared)} taken back")
    return ", ".join(changes) or "nothing"


def version(ref: ModelRef | None) -> str:
    """Return a version as people read it."""
    return "none" if ref is None else str(ref.version)


def _step(way: list[ModelRef | None], champion: ModelRef, goes_back: bool) -> None:
    if way and champion == way[-1]:
        return
    if goes_back and len(way) > 1 and champion == way[-2]:
        way.pop()
    else:
        way.append(champion)


def _read(settings: Settings) -> Iterator[RawMessage]:
    with closing(TopicReader(settings)) as reader:
        yield from reader.follow((settings.audit_topic,))


def _refusal(history: RevisionHistory, raw: RawMessage) -> str | None:
    try:
        history.take(raw)
    except ControlRefused as error:
        return type(error).__name__
    return None


def _plausible(effects: Iterable[Effective], state: DesiredState) -> Iterator[Effective]:
    return (effect for effect in effects if (effect.model, effect.champion) == (state.model, state.champion))
