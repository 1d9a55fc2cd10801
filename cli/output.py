"""How commands speak: tables for people, JSON for programs, progress bars on a terminal only."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from streams.errors import NotSaved

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

console = Console()
errors = Console(stderr=True)


def print_rows(
    rows: Sequence[dict[str, Any]], as_json: bool, title: str = "", columns: Sequence[str] = ()
) -> None:
    """Print rows of equal keys as a table, or as one JSON array. `columns` is the heading where there are no rows."""
    if as_json:
        print_json(list(rows))
        return
    table = Table(title=title or None, title_justify="left")
    for name in rows[0] if rows else columns:
        numeric = all(isinstance(row[name], (int, float)) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numeric and rows else "left")
    for row in rows:
        table.add_row(
            *(Text(_cell(value)) for value in row.values())
        )  # as text: what was stored may hold markup
    console.print(table)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output, in full whatever the terminal's width."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def print_error(error: Exception) -> None:
    """Print an error of ours on standard error: its class, and its message.

    A message quotes what came from outside: a worker's status, an operator's reason, a file's name.
    """
    errors.print(f"[bold red]flumen:[/] {type(error).__name__}: ", end="", highlight=False)
    for line in str(error).splitlines():
        errors.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    """Return a text that came from outside with its control characters escaped: a terminal would obey them."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def save_bytes(content: bytes, path: Path, force: bool) -> None:
    """Write bytes to a file; with `force` it may be there already.

    Raises:
        NotSaved: it is there, or cannot be written.
    """
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise NotSaved(f"{str(path)!r} exists already; name another file, or add --force") from error
    except OSError as error:
        raise NotSaved(f"{str(path)!r} cannot be written: {error.strerror}. Name another file") from error


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(str(value))


def progress_bar() -> Progress:
    """Return a progress bar that writes to standard error, and only where that is a terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=errors,
        disable=not errors.is_terminal,
    )
