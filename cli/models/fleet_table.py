"""How the fleet is shown: a table that changes on a terminal, else a line for each change."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from flumen.cli.output import console, printable
from flumen.cli.rows import Rows
from flumen.streams.control.operator.fleet import FleetView, Seen
from flumen.streams.control.operator.fleet_rows import worker_row

COLUMNS = (
    "worker",
    "state",
    "model",
    "prepared",
    "challenger",
    "revision",
    "images/s",
    "age s",
    "drift",
    "problem",
)
_MOST_CHANGED = 3
NUMBERS = ("revision", "images/s", "age s")


def fleet_table(view: FleetView) -> Rows:
    """Return the workers of one model as a table, under what they shall run."""
    return Rows(
        COLUMNS,
        [_cells(seen) for seen in view.workers],
        title=Text(headline(view)),
        numeric=frozenset(NUMBERS),
        styles=["" if seen.is_live and not seen.status.refused else "red" for seen in view.workers],
    )


def headline(view: FleetView) -> str:
    """Say in a line what the workers of a model shall run; in a second one, where the control topic says otherwise."""
    desired = view.desired
    conflict = f"\nConflict: {printable(view.conflict)}" if view.conflict else ""
    if desired is None:
        return f"{view.model}: no state is written; workers take the alias champion{conflict}"
    parts = [f"{view.model}: revision {desired.revision}", f"champion {desired.champion.version}"]
    if desired.challenger is not None:
        parts.append(f"challenger {desired.challenger.version}")
    if desired.prepare is not None:
        parts.append(f"to prepare {desired.prepare.version}")
    return ", ".join(parts) + f" (by {printable(desired.actor)} at {desired.at[:19]}Z){conflict}"


@contextmanager
def fleet_display(quiet: bool) -> Iterator[Callable[[FleetView, str], None]]:
    """Yield what shows a fleet and what is waited for; nothing if `quiet`."""
    if quiet:
        yield lambda _view, _words: None
    elif console.is_terminal:
        with Live(console=console, refresh_per_second=8) as live:
            yield lambda view, words: live.update(Group(fleet_table(view), Text(f"Waiting {words} ...")))
    else:
        yield _Lines().show


class _Lines:
    """Prints a line where something is not as it was in the line before: for logs and pipes."""

    def __init__(self) -> None:
        self._words = ""
        self._shown: dict[str, str] = {}

    def show(self, view: FleetView, words: str) -> None:
        if words != self._words:
            self._words = words
            console.print(f"Waiting {words}", markup=False, highlight=False, soft_wrap=True)
        for seen in view.workers:
            line = _line(seen)
            if self._shown.get(seen.status.worker) != line:
                self._shown[seen.status.worker] = line
                console.print(line, markup=False, highlight=False, soft_wrap=True)


def _line(seen: Seen) -> str:
    row = worker_row(seen)
    parts = [f"{row['worker']}: {row['state']}, {row['model'] or 'no model'}, revision {row['revision']}"]
    parts += [f"{name} {row[name]}" for name in ("prepared", "challenger") if row[name]]
    return ", ".join(parts) + (f", refused: {_problem(row)}" if row["refused"] else "")


def _cells(seen: Seen) -> list[str]:
    row = worker_row(seen)
    return [
        row["worker"],
        row["state"],
        *(row[name] or "" for name in ("model", "prepared", "challenger")),
        f"{row['revision']:,}",
        f"{row['images_per_s']:,.0f}",
        f"{row['age_s']:.1f}",
        _drift(row),
        _problem(row),
    ]


def _drift(row: dict[str, Any]) -> str:
    """Return what changed of what arrives: the first of it, since there may be a name for each class."""
    drift = row["drift"]
    if drift is None:
        return ""
    first, more = drift["statistics"][:_MOST_CHANGED], len(drift["statistics"]) - _MOST_CHANGED
    return printable(", ".join(first) + (f" and {more} more" if more > 0 else ""))


def _problem(row: dict[str, Any]) -> str:
    refused = row["refused"]
    return "" if refused is None else printable(f"{refused['reason']}: {refused['message']}")
