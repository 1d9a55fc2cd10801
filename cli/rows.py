"""Rows as a table that never cuts a value: folded where it is wide, row by row where it is far too wide."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_MOST_UNBROKEN = 24
"""Signs of a word that stay together; ids, paths and hashes are longer, and may be folded."""

FRAME = 3
"""Signs that a column takes beside its cells: a line, and a blank on either side."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of text under the names of their columns, for rich to print.

    `numeric`: columns that are set to the right. `styles`: one for each row, or none. Columns without any value are
    left out, unless there is no row. Where the output is no terminal, the table is as wide as its values.
    """

    columns: Sequence[str]
    cells: Sequence[Sequence[str]]
    title: Text | str | None = None
    numeric: frozenset[str] = frozenset()
    styles: Sequence[str] = field(default_factory=tuple)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield a table, or a block for each row where a table would have to break words."""
        kept = [at for at in range(len(self.columns)) if not self.cells or any(row[at] for row in self.cells)]
        most = [max([cell_len(self.columns[at]), *self._lengths(at)]) for at in kept]
        least = [max([_longest_word(self.columns[at]), *self._least(at)]) for at in kept]
        if not console.is_terminal:
            whole = self._table(kept, most)
            whole.width = sum(most) + FRAME * len(kept) + 1
            yield whole
            return
        room = options.max_width - FRAME * len(kept) - 1
        if sum(least) <= room:
            yield self._table(kept, _shared_out(room, least, most))
        else:
            yield from self._blocks(options.max_width)

    def _lengths(self, at: int) -> list[int]:
        return [cell_len(line) for row in self.cells for line in row[at].splitlines()]

    def _least(self, at: int) -> list[int]:
        return [min(_MOST_UNBROKEN, _longest_word(row[at])) for row in self.cells]

    def _table(self, kept: Sequence[int], widths: Sequence[int]) -> Table:
        table = Table(title=self.title or None, title_justify="left")
        for at, width in zip(kept, widths, strict=True):
            name = self.columns[at]
            table.add_column(
                Text(name), justify="right" if name in self.numeric else "left", overflow="fold", width=width
            )
        for number, row in enumerate(self.cells):
            style = self.styles[number] if self.styles else ""
            table.add_row(*(Text(row[at]) for at in kept), style=style)
        return table

    def _blocks(self, width: int) -> Iterator[Table | Text]:
        """Yield each row with a line a column, as psql does with its expanded display."""
        if self.title:
            yield Text(str(self.title), style="table.title")
        names = max(cell_len(name) for name in self.columns)
        for number, row in enumerate(self.cells, 1):
            block = Table(
                title=f"row {number:,}", title_justify="left", show_header=False, box=box.SIMPLE_HEAD
            )
            block.add_column(no_wrap=True, width=names)
            block.add_column(overflow="fold", width=max(8, width - names - 2 * FRAME))
            for name, value in zip(self.columns, row, strict=True):
                if value:
                    block.add_row(Text(name), Text(value))
            yield block


def _longest_word(text: str) -> int:
    return max((cell_len(word) for word in text.split()), default=0)


def _shared_out(room: int, least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Give each column what its words need, and what is left to those that want more, evenly."""
    widths = list(least)
    left = room - sum(widths)
    while left > 0 and (wanting := [at for at, width in enumerate(widths) if width < most[at]]):
        share = max(1, left // len(wanting))
        for at in wanting:
            more = min(share, most[at] - widths[at], left)
            widths[at] += more
            left -= more
    return widths
