"""`flumen dead`: what could not be classified or stored."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from flumen.cli.actor import actor
from flumen.cli.output import (
    AsJson,
    console,
    how_many,
    print_facts,
    print_json,
    print_rows,
    printable,
    save_bytes,
)
from flumen.streams.dead_letters.dead_letter import DeadLetterFilters, parse_moment, to_text
from flumen.streams.dead_letters.queue import DeadLetterQueue, Entry, ReplayRules, ResolutionResult
from flumen.streams.dead_letters.queue import park as park_dead_letters
from flumen.streams.dead_letters.queue import replay as replay_dead_letters
from flumen.streams.errors import NotSaved
from flumen.streams.settings import load_settings

app = typer.Typer(
    help="See, replay or set aside what could not be classified or stored.", no_args_is_help=True
)

_SHOWN_REASON = 300


def _moment(text: str) -> datetime:
    try:
        return parse_moment(text, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Places = Annotated[
    list[str] | None, typer.Argument(metavar="PLACE", help="As `flumen dead list` names them: 0/17.")
]
Matching = Annotated[
    bool,
    typer.Option("--matching", help="All dead letters that the filters let through, instead of named ones."),
]
Reason = Annotated[str | None, typer.Option(help="Part of the reason; capitals do not matter.")]
Stage = Annotated[str | None, typer.Option(help="Where it died: envelope, decode, classify, kudu, ...")]
Since = Annotated[
    datetime | None, typer.Option(metavar="TIME", parser=_moment, help="ISO 8601, or a duration such as 2h.")
]
Until = Annotated[datetime | None, typer.Option(metavar="TIME", parser=_moment, help="Likewise; exclusive.")]
Model = Annotated[
    str | None, typer.Option(metavar="NAME[@VERSION]", help="The model that was current when it died.")
]
Topic = Annotated[str | None, typer.Option(help="The topic the image came from.")]
Settled = Annotated[bool, typer.Option("--all", help="Also those that were replayed or parked.")]


@app.command("list")
def list_dead_letters(
    *,
    reason: Reason = None,
    stage: Stage = None,
    since: Since = None,
    until: Until = None,
    model: Model = None,
    topic: Topic = None,
    settled: Settled = False,
    limit: Annotated[int | None, typer.Option(min=1, help="The newest so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first."""
    filters = DeadLetterFilters(
        reason=reason, stage=stage, since=since, until=until, model=model, topic=topic, settled=settled
    )
    settings = load_settings()
    with DeadLetterQueue(settings) as queue:
        rows = [_row(entry) for entry in queue.find(filters)]
    rows.sort(key=lambda row: str(row["time"]), reverse=True)
    shown = rows[:limit]
    if as_json:
        print_json(shown)
        return
    if not rows:
        console.print(f"No such dead letters in {settings.dead_topic}.", markup=False, highlight=False)
        return
    _print_dead_letters(shown)
    if len(shown) < len(rows):
        console.print(f"and {len(rows) - len(shown):,} older ones; --limit shows more", highlight=False)


@app.command("show")
def show_dead_letter(
    place: Annotated[str, typer.Argument(help="As `flumen dead list` names it: 0/17.")],
    *,
    save: Annotated[Path | None, typer.Option(help="Write the original bytes to this file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --save replace a file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one dead letter, and every header; with --save, keep its bytes."""
    with DeadLetterQueue(load_settings()) as queue:
        entry = queue.get(place)
    if save is not None:
        _save(entry, save, force)
    facts = _row(entry) | {
        "error": entry.dead_letter.error_class,
        "sha256": entry.dead_letter.sha256,
        "resolved_at": entry.resolution.at or None,
        "resolved_by": entry.resolution.actor or None,
        "saved_as": str(save) if save else None,
    }
    if as_json:
        print_json(facts | {"headers": [_exact(name, value) for name, value in entry.raw.headers]})
        return
    lines = {name.replace("_", " "): str(fact) for name, fact in facts.items() if fact is not None}
    print_facts(lines.items(), "Dead letter")
    headers = [(name, "null" if value is None else to_text(value)) for name, value in entry.raw.headers]
    print_facts(headers, "Headers")


@app.command("replay")
def replay(
    places: Places = None,
    *,
    matching: Matching = False,
    reason: Reason = None,
    stage: Stage = None,
    since: Since = None,
    until: Until = None,
    model: Model = None,
    topic: Topic = None,
    settled: Settled = False,
    max_attempts: Annotated[int, typer.Option(min=1, help="What has died so often is not replayed.")] = 3,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed or parked.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send images back to the topics they came from, once the cause is removed."""
    filters = DeadLetterFilters(
        reason=reason, stage=stage, since=since, until=until, model=model, topic=topic, settled=settled
    )
    _check_selection(places, matching, filters)
    settings = load_settings()
    rules = ReplayRules(max_attempts=max_attempts, again=again, dry_run=dry_run)
    with DeadLetterQueue(settings) as queue:
        entries = _select(queue, places, filters)
        results = list(replay_dead_letters(entries, settings, rules, actor()))
    _report(results, "would be replayed" if dry_run else "replayed", as_json)


@app.command("park")
def park(
    places: Places = None,
    *,
    matching: Matching = False,
    reason: Reason = None,
    stage: Stage = None,
    since: Since = None,
    until: Until = None,
    model: Model = None,
    topic: Topic = None,
    settled: Settled = False,
    as_json: AsJson = False,
) -> None:
    """Set dead letters aside that shall not be replayed: they are copied to a topic where nothing expires."""
    filters = DeadLetterFilters(
        reason=reason, stage=stage, since=since, until=until, model=model, topic=topic, settled=settled
    )
    _check_selection(places, matching, filters)
    settings = load_settings()
    with DeadLetterQueue(settings) as queue:
        results = list(park_dead_letters(_select(queue, places, filters), settings, actor()))
    _report(results, "parked", as_json)


def _check_selection(places: list[str] | None, matching: bool, filters: DeadLetterFilters) -> None:
    if bool(places) == matching:
        raise typer.BadParameter("name dead letters, or give --matching and filters; one of the two")
    if places and filters != DeadLetterFilters():
        raise typer.BadParameter("filters choose among all dead letters; leave them out, or give --matching")


def _select(queue: DeadLetterQueue, places: list[str] | None, filters: DeadLetterFilters) -> Iterable[Entry]:
    if not places:
        return queue.find(filters)
    return [queue.get(place) for place in dict.fromkeys(places)]


def _report(results: list[ResolutionResult], done: str, as_json: bool) -> None:
    """Print what was done with each dead letter; exit code 1 if not all was."""
    rows = [
        {
            "place": result.dead_letter.place,
            "key": result.dead_letter.key,
            "origin": result.dead_letter.origin,
            "attempt": result.dead_letter.attempt,
            "outcome": f"not {done}" if result.refused else done,
            "why": result.refused,
        }
        for result in results
    ]
    refused = sum(bool(result.refused) for result in results)
    if as_json:
        print_json(rows)
    else:
        if rows:
            print_rows(rows, as_json)
        console.print(f"{len(rows) - refused:,} of {len(rows):,} dead letters {done}", highlight=False)
    if refused:
        raise typer.Exit(1)


def _row(entry: Entry) -> dict[str, Any]:
    dead_letter = entry.dead_letter
    return {
        "place": dead_letter.place,
        "time": dead_letter.failed_at.isoformat(timespec="milliseconds"),
        "key": dead_letter.key,
        "reason": dead_letter.reason,
        "stage": dead_letter.stage,
        "model": dead_letter.model,
        "origin": dead_letter.origin,
        "attempt": dead_letter.attempt,
        "state": str(entry.resolution.state),
        "size_bytes": dead_letter.size_bytes,
    }


def _print_dead_letters(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table that can be read at 80 columns: key, reason and circumstances below one another.

    Where the output is no terminal, each has a column of its own, and nothing is cut.
    """
    if not console.is_terminal:
        print_rows(rows, as_json=False, title="Dead letters")
        return
    table = Table(title="Dead letters", title_justify="left", show_lines=True)
    table.add_column("place", no_wrap=True)
    table.add_column("time (UTC)", no_wrap=True)
    table.add_column("what died of what", overflow="fold")
    for row in rows:
        reason = str(row["reason"])
        short = reason if len(reason) <= _SHOWN_REASON else reason[: _SHOWN_REASON - 1] + "…"
        where = f"{row['stage']}, {row['model']}, from {row['origin']}, {how_many(row['size_bytes'], 'byte')}"
        fate = f"attempt {row['attempt']}, {row['state']}"
        what = Text.assemble(
            (printable(str(row["key"])), "bold"),
            f"\n{printable(short)}\n",
            (printable(f"{where}, {fate}"), "dim"),
        )
        table.add_row(row["place"], str(row["time"])[:19].replace("T", " "), what)
    console.print(table)


def _exact(name: str, value: bytes | None) -> dict[str, str | None]:
    """Return a header for programs: text if it is UTF-8, else its bytes in hexadecimal."""
    if value is None:
        return {"name": name, "text": None, "hex": None}
    try:
        return {"name": name, "text": value.decode(), "hex": None}
    except UnicodeDecodeError:
        return {"name": name, "text": None, "hex": value.hex()}


def _save(entry: Entry, path: Path, force: bool) -> None:
    if entry.raw.value is None:
        why = (
            "they were too many for a dead letter"
            if entry.dead_letter.left_out_bytes
            else "its message was a tombstone"
        )
        raise NotSaved(f"the dead letter {entry.dead_letter.place} has no bytes: {why}")
    save_bytes(entry.raw.value, path, force)
