"""The audit trail: who changed what the workers shall run, when and why, and where and when it took effect."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streams.control.follower import Follower
from streams.control.keys import Keyring
from streams.control.records import (
    NO_REVISION,
    Command,
    Desired,
    DesiredState,
    Effective,
    ModelRef,
    parse_audit,
)
from streams.errors import ControlRefused, NothingBefore
from streams.received import is_readable
from streams.settings import Settings
from streams.wire import RawMessage

MARK_HEADER = "flumen.write"
"""Tells one attempt to write a state from all others, whatever they say. It is not signed, and means nothing else."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a model's desired state, and the workers whose champion it changed, in the order they did.

    `is_signed`: by a key that the settings know, and no copy of an older record; true where they know no key.
    """

    command: Command
    state: DesiredState
    former: DesiredState | None
    effects: tuple[Effective, ...]
    is_signed: bool


def read_trail(settings: Settings, model: str) -> list[Change]:
    """Return every change of a model, the oldest first.

    Raises:
        KafkaUnavailable: no broker answers.
        TopicMissing: there is no audit topic.
    """
    raws = (raw for raw in _read(settings) if raw.key == model.encode())
    return join_trail(raws, Keyring(settings.control_public_keys))


def signed_states(settings: Settings) -> dict[str, DesiredState]:
    """Return the newest state of each model that somebody has signed; nothing where the settings know no keys.

    Whoever may write to the control topic can take a state away there: compaction keeps the newest record of a key,
    a forged one as well as any. Nothing takes it off the audit trail. Read it before the control topic: then what
    it knows above that topic is missing there, and not just on its way.

    Raises:
        KafkaUnavailable: no broker answers.
        TopicMissing: there is no audit topic.
    """
    keyring = Keyring(settings.control_public_keys)
    if not keyring:
        return {}
    newest: dict[str, DesiredState] = {}
    for change in join_trail(_read(settings), keyring):
        if change.is_signed:
            newest[change.state.model] = change.state
    return newest


def written_by(mark: str, settings: Settings) -> DesiredState | None:
    """Return the state that was written with this value of `MARK_HEADER`, None if none was. Raises as `read_trail`."""
    for raw in _read(settings):
        if (MARK_HEADER, mark.encode()) in raw.headers:
            entry = parse_audit(raw.value)
            return entry.state if isinstance(entry, Desired) else None
    return None


def join_trail(raws: Iterable[RawMessage], keyring: Keyring) -> list[Change]:
    """Put what took effect beside the change that asked for it. Records that are none of ours are left out.

    A signed record that is copied keeps its signature, but not its place: revisions rise, so a copy comes too late.
    """
    changes: list[tuple[Desired, bool]] = []
    effects: dict[int, list[Effective]] = {}
    highest: dict[str, int] = {}
    for raw in filter(is_readable, raws):
        try:
            entry = parse_audit(raw.value)
        except ControlRefused:
            continue
        if isinstance(entry, Effective):
            effects.setdefault(entry.revision, []).append(entry)
            continue
        state = entry.state
        is_signed = _is_signed(raw, keyring)
        if is_signed and keyring:
            is_signed = state.revision > highest.get(state.model, NO_REVISION)
            highest[state.model] = max(state.revision, highest.get(state.model, NO_REVISION))
        changes.append((entry, is_signed))
    return [
        Change(
            entry.command, entry.state, entry.former, tuple(effects.get(entry.state.revision, ())), is_signed
        )
        for entry, is_signed in changes
    ]


def champion_before(changes: Iterable[Change], model: str, current: ModelRef) -> ModelRef:
    """Return the champion that the current one took the place of.

    A rollback is no step forward: after 1, 2, 3 and back to 2, the champion before it is 1, and not 3 again. Changes
    that nobody signed are not followed where the settings know keys.

    Raises:
        NothingBefore: there is none.
    """
    way: list[ModelRef] = []
    for change in changes:
        if change.is_signed:
            _step(way, change.state.champion, goes_back=change.command is Command.ROLLBACK)
    _step(way, current, goes_back=False)
    if len(way) == 1:
        raise NothingBefore(
            f"the audit trail knows no champion of {model} before {current.version}; choose one with "
            "`flumen models activate NAME@VERSION`, see `flumen models list`"
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
    elif was_prepared is not None and prepared is None and was_prepared != be:
        changes.append(f"prepare {version(was_prepared)} taken back")
    return ", ".join(changes) or "nothing"


def version(ref: ModelRef | None) -> str:
    """Return a version as people read it."""
    return "none" if ref is None else str(ref.version)


def _step(way: list[ModelRef], champion: ModelRef, goes_back: bool) -> None:
    if way and champion == way[-1]:
        return
    if goes_back and len(way) > 1 and champion == way[-2]:
        way.pop()
    else:
        way.append(champion)


def _read(settings: Settings) -> Iterator[RawMessage]:
    follower = Follower(settings, (settings.audit_topic,))
    try:
        yield from follower.read_to_end()
    finally:
        follower.close()


def _is_signed(raw: RawMessage, keyring: Keyring) -> bool:
    try:
        keyring.check(raw.topic, raw.key or b"", raw.value or b"", raw.headers)
    except ControlRefused:
        return False
    return True
