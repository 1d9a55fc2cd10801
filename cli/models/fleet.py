"""`flumen models status` and `history`: what the fleet runs, and how it came to that."""

from collections import deque
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live

from flumen.cli.invocation import as_called
from flumen.cli.models.fleet_table import fleet_table
from flumen.cli.output import AsJson, console, errors, print_json, print_rows, print_whole, printable
from flumen.streams.control.operator.audit_log import (
    AuditLog,
    Change,
    Unread,
    describe_change,
    read_audit_log,
)
from flumen.streams.control.operator.fleet import Fleet
from flumen.streams.control.operator.fleet_rows import worker_row
from flumen.streams.control.records import DesiredState, Effective
from flumen.streams.settings import load_settings

_SHOWN_WORKERS = 3
_SHOWN_UNREAD = 5
_UNSIGNED = (
    "Where a change took effect is what workers say of themselves, and not signed: they hold no keys. "
    "What every image was classified by stands with it: `flumen sql`, docs/kudu.md."
)

Name = Annotated[str | None, typer.Argument(metavar="[NAME]")]


def status(
    name: Name = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what every worker runs and what it shall run; of all models, if none is named."""
    if watch and as_json:
        raise typer.BadParameter("--watch is for people, --json for programs; give one of the two")
    with Fleet(load_settings()) as fleet:
        fleet.settle()
        if as_json:
            print_json([_fleet(fleet, model) for model in _models(fleet, name)])
        elif not watch:
            print_whole(_tables(fleet, name))
        else:
            with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
                while True:
                    live.update(_tables(fleet, name), refresh=True)
                    fleet.listen(1.0)


def history(
    name: Name = None,
    *,
    limit: Annotated[int | None, typer.Option(min=1, help="The newest so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show who changed a model, when and why, and on which workers that took effect; the newest first."""
    settings = load_settings()
    audit_log = read_audit_log(settings, name or settings.model_name)
    changes = audit_log.changes[::-1][:limit]
    if as_json:
        print_json(_entries(audit_log)[::-1][:limit])
        _tell_unread(audit_log)
        return
    rows = [_row(change) for change in changes]
    columns = ("revision", "at", "actor", "command", "change", "reason", "took effect on")
    print_rows(rows, as_json, title=f"Changes of {name or settings.model_name}", columns=columns)
    if settings.control_public_keys and any(change.effects for change in changes):
        errors.print(as_called(_UNSIGNED), highlight=False, soft_wrap=True)
    _tell_unread(audit_log)


def _tell_unread(audit_log: AuditLog) -> None:
    """Say how many entries are not shown, and what to do."""
    too_new = [entry for entry in audit_log.unread if entry.is_too_new]
    others = len(audit_log.unread) - len(too_new)
    if too_new:
        counting = ", ".join(str(entry.revision) for entry in too_new[-_SHOWN_UNREAD:] if entry.counts)
        named = f" (of the changes that count, revision {counting})" if counting else ""
        _say_unread(len(too_new), f"{named}, being of a later version of flumen: {too_new[-1].message}")
    if others:
        _say_unread(
            others,
            ", being no record of flumen's, and changes nothing"
            if others == 1
            else ", being no records of flumen's, and change nothing",
        )


def _say_unread(count: int, why: str) -> None:
    entries = "1 entry" if count == 1 else f"{count} entries"
    text = as_called(printable(f"{entries} could not be read{why}."))
    errors.print(text, markup=False, highlight=False, soft_wrap=True)


def _entries(audit_log: AuditLog) -> list[dict[str, Any]]:
    """Return every entry, the oldest first: one that could not be read has the same keys, with null in most."""
    rows: list[dict[str, Any]] = []
    unread = deque(audit_log.unread)
    for number, change in enumerate([*audit_log.changes, None]):
        while unread and unread[0].after == number:
            rows.append(_unread(unread.popleft()))
        if change is not None:
            rows.append(_change(change))
    return rows


def _unread(entry: Unread) -> dict[str, Any]:
    names = (*(field.name for field in fields(DesiredState)), "command", "change", "signed")
    return dict.fromkeys(names) | {
        "revision": entry.revision or None,
        "counts": entry.counts,
        "refused": entry.error,
        "unread": entry.message,
        "took_effect": [],
    }


def _models(fleet: Fleet, name: str | None) -> list[str]:
    return [name] if name else fleet.models()


def _tables(fleet: Fleet, name: str | None) -> Group | str:
    models = _models(fleet, name)
    if not models:
        return as_called("No worker runs, and no state is written. `flumen worker` starts one.")
    return Group(*(fleet_table(fleet.view(model)) for model in models))


def _fleet(fleet: Fleet, model: str) -> dict[str, Any]:
    view = fleet.view(model)
    return {
        "model": model,
        "desired": asdict(view.desired) if view.desired else None,
        "conflict": view.conflict,
        "workers": [worker_row(seen) for seen in view.workers],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        **asdict(change.state),
        "command": str(change.command),
        "change": describe_change(change.state, change.former),
        "signed": change.is_signed,
        "counts": change.counts,
        "refused": change.refused,
        "unread": None,
        "took_effect": [
            {
                "worker": one.worker,
                "at": one.at,
                "version": one.champion.version,
                "first_offsets": one.offsets,
                "signed": False,
            }
            for one in change.effects
        ],
    }


def _row(change: Change) -> dict[str, Any]:
    state = change.state
    return {
        "revision": str(state.revision),
        "at": f"{state.at[:19]}Z",
        "actor": state.actor + _doubt(change),
        "command": str(change.command),
        "change": describe_change(state, change.former),
        "reason": state.reason,
        "took effect on": _places(change.effects),
    }


def _doubt(change: Change) -> str:
    if change.counts:
        return ""
    return f" (does not count: {change.refused})" if change.is_signed else " (not signed)"


def _places(effects: tuple[Effective, ...]) -> str:
    workers = list(dict.fromkeys(one.worker for one in effects))
    more = len(workers) - _SHOWN_WORKERS
    return ", ".join(workers[:_SHOWN_WORKERS]) + (f" and {more} more" if more > 0 else "")
