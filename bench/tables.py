"""How tables look: a title, a line that says what is in it, the rows."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

_WIDTH = 150
"""Columns where the output is no terminal."""


def make_console(stderr: bool = False) -> Console:
    """Return where tables go; a file gets them in a width that holds them."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=_WIDTH)


def show_table(
    console: Console, title: str, says: str, columns: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Print a table; its first column is text, the others are figures."""
    table = Table()
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(f"[bold]{title}[/]")
    console.print(says, style="dim", markup=False)
    console.print(table)
    console.print()
