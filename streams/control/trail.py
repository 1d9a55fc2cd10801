"""The audit trail: who changed what the workers shall run, when and why, and where and when it took effect."""

from collections.abc import Iterable
from dataclasses import dataclass

from streams.control.follower import Follower
from streams.control.keys import Keyring
from streams.control.records import Command, Desired, DesiredState, Effective, ModelRef, parse_audit
from streams.errors import ControlRefused, NothingBefore
from streams.settings import Settings
from streams.wire import RawMessage


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a model's desired state, and the workers whose champion it changed, in the order they did.

    `is_signed`: by a key that the settings know; true where they know none.
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
    follower = Follower(settings, (settings.audit_topic,))
    try:
        raws = [raw for raw in follower.read_to_end() if raw.key == model.encode()]
    finally:
        follower.close()
    return join_trail(raws, Keyring(settings.control_public_keys))


def join_trail(raws: Iterable[RawMessage], keyring: Keyring) -> list[Change]:
    """Put what took effect beside the change that asked for it. Records that are none of ours are left out."""
    changes: list[tuple[Desired, bool]] = []
    effects: dict[int, list[Effective]] = {}
    for raw in raws:
        try:
            entry = parse_audit(raw.value)
        except ControlRefused:
            continue
        if isinstance(entry, Effective):
            effects.setdefault(entry.revision, []).append(entry)
        else:
            changes.append((entry, _is_signed(raw, keyring)))
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


def _is_signed(raw: RawMessage, keyring: Keyring) -> bool:
    try:
        keyring.check(raw.topic, raw.key or b"", raw.value or b"", raw.headers)
    except ControlRefused:
        return False
    return True
