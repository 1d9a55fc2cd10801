"""`flumen models status` and `history`: what the fleet runs, and how it came to that."""

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live

from flumen.cli.fleet_table import fleet_table, worker_row
from flumen.cli.invocation import as_called
from flumen.cli.output import AsJson, console, errors, print_json, print_rows, print_whole
from flumen.streams.control.operator.audit_log import Change, describe_change, read_audit_log
from flumen.streams.control.operator.fleet import Fleet
from flumen.streams.control.records import Effective
from flumen.streams.settings import load_settings

_SHOWN_WORKERS = 3
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
    changes = read_audit_log(settings, name or settings.model_name)[::-1][:limit]
    if as_json:
        print_json([_change(change) for change in changes])
        return
    rows = [_row(change) for change in changes]
    columns = ("revision", "at", "actor", "command", "change", "reason", "took effect on")
    print_rows(rows, as_json, title=f"Changes of {name or settings.model_name}", columns=columns)
    if settings.control_public_keys and any(change.effects for change in changes):
        errors.print(as_called(_UNSIGNED), highlight=False, soft_wrap=True)


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
