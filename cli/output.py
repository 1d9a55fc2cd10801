"""How commands speak: tables for people, JSON for programs, progress bars on a terminal only."""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.cells import cell_len
from rich.console import Console, RenderableType
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

from flumen.cli.invocation import as_called
from flumen.cli.rows import FRAME, Rows
from flumen.streams.errors import NotSaved

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

_EPOCH = datetime(1970, 1, 1)

console = Console(emoji=False)  # `a:b:c` is an address, and no picture
errors = Console(stderr=True, emoji=False)


def print_rows(
    rows: Sequence[dict[str, Any]], as_json: bool, title: str = "", columns: Sequence[str] = ()
) -> None:
    """Print rows of equal keys as a table, or as one JSON array. `columns` is the heading where there are no rows."""
    if as_json:
        print_json(list(rows))
        return
    names = tuple(rows[0] if rows else columns)
    heads = {name: printable(name.replace("_", " ")) for name in names}
    numbers = (name for name in names if rows and all(_is_number(row[name]) for row in rows))
    shown = Rows(
        list(heads.values()),
        [[_cell(row[name]) for name in names] for row in rows],
        title=title,
        numeric=frozenset(heads[name] for name in numbers),
    )
    print_whole(shown)


def print_facts(facts: Iterable[tuple[str, object]], title: str = "") -> None:
    """Print names and values below one another; a terminal sees long values folded, a pipe sees them whole."""
    rows = [(printable(name), printable(str(value))) for name, value in facts]
    table = Table(title=Text(title) if title else None, title_justify="left", show_header=False)
    names = max((cell_len(name) for name, _ in rows), default=0)
    table.add_column(no_wrap=True, min_width=names)
    # What came from outside is put into a Text: there, square brackets are not taken for markup.
    longest = max((cell_len(line) for _, value in rows for line in value.splitlines()), default=0)
    table.add_column(overflow="fold", width=None if console.is_terminal else longest)
    table.width = None if console.is_terminal else names + longest + 2 * FRAME + 1
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    print_whole(table)


def print_whole(renderable: RenderableType) -> None:
    """Print what is laid out already; a line that is wider than the output is not cut."""
    console.print(renderable, crop=False)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output, in UTF-8 and in full, whatever the terminal is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(to_json(value) + b"\n")
    sys.stdout.buffer.flush()


def to_json(value: Any) -> bytes:
    """Return a value as JSON in UTF-8. What JSON has no form for is given as its text."""
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str)
    except TypeError:  # whole numbers over 64 bits, and names that are not UTF-8
        text = json.dumps(_finite(value), indent=2, default=str, ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    """Return a value without what JSON has no form for and Python's writer would give one of its own."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value


def print_error(error: Exception, more: str = "") -> None:
    """Print an error of ours on standard error: its class, its message, and what there is to add to it.

    A message quotes what came from outside: a worker's status, an operator's reason, a file's name.
    """
    errors.print(f"[bold red]flumen:[/] {type(error).__name__}: ", end="", highlight=False)
    for line in [*(as_called(str(error)).splitlines() or [""]), *as_called(more).splitlines()]:
        errors.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def how_many(count: int, one: str, many: str = "") -> str:
    """Return how many there are of what `one` is the name of: `1 image`, `2,000 images`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def pace(done: int, seconds: float, total: int | None = None, unit: str = "/s") -> str:
    """Return how fast something goes, and, where it is known how much there is, how long the rest of it takes."""
    rate = max(done, 1) / max(seconds, 1e-3)
    left = "" if total is None else f", {max(total - done, 0) / rate:,.0f} s left"
    return f"{rate:,.0f}{unit}{left}"


def iso_time(microseconds: int) -> str:
    """Return a time since the epoch in ISO 8601, to the millisecond; the number where no calendar has it.

    No zone is added: it is UTC, but for `taken_at` of a camera that did not say which zone its clock was in.
    """
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="milliseconds")
    except OverflowError:
        return str(microseconds)


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


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
