"""The audit trail of a model: who changed what, when and why, and what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flumen.console.times import microseconds
from flumen.streams.control.operator.audit_log import AuditLog, Change, describe_change


@dataclass(frozen=True, slots=True)
class Entry:
    """A change as pages show it. `at_us`: microseconds since the epoch. `doubt`: why it does not count, if so."""

    revision: int
    at_us: int
    by: str
    command: str
    change: str
    reason: str
    doubt: str
    workers: Sequence[str]


@dataclass(frozen=True, slots=True)
class Trail:
    """The changes of a model, the newest first, how many there are, and how many entries could not be read."""

    entries: Sequence[Entry]
    total: int
    unread: int


class AuditReader:
    """Reads audit logs. `read` is `read_audit_log` with settings; raises StreamError."""

    def __init__(self, read: Callable[[str], AuditLog]) -> None:
        self._read = read

    def close(self) -> None:
        """Do nothing: each reading has a connection of its own."""

    def trail(self, model: str, most: int) -> Trail:
        """Return the newest changes of a model, `most` of them."""
        log = self._read(model)
        return Trail([_entry(each) for each in log.changes[::-1][:most]], len(log.changes), len(log.unread))


def _entry(change: Change) -> Entry:
    state = change.state
    return Entry(
        state.revision,
        microseconds(state.at),
        state.actor,
        str(change.command),
        describe_change(state, change.former),
        state.reason,
        _doubt(change),
        list(dict.fromkeys(one.worker for one in change.effects)),
    )


def _doubt(change: Change) -> str:
    if change.counts:
        return ""
    return f"does not count: {change.refused}" if change.is_signed else "is not signed"
