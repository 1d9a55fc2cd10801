"""A plot as a report has it: its picture, and the numbers behind it as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from flumen.models.reports.markup import Markup, element, joined, outside, shortened

_DIGITS = 4
_LONG = 24
"""A text of more characters has a wide column, so that it does not become a high one."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number that a table sorts by its value, and shows as `text`."""

    text: str
    value: float


Cell = Markup | str | int | float | Number | None
"""What stands in a table: markup, a text that came from outside, or a number; None is shown as nothing."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; numbers stand to the right, fractions with four digits."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    sortable: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """`name`: of its file as PNG, `title`: for people, `svg`: the picture, `note`: how to read it."""

    name: str
    title: str
    svg: Markup
    table: Table
    note: str = ""

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        from flumen.models.reports.png import png

        return png(self)


def table(of: Table, class_: str = "") -> Markup:
    """Return a table; one that can be sorted has a button in each head, which the page's script serves."""
    heads = [
        element(
            "th",
            element("button", shortened(column), type="button") if of.sortable else shortened(column),
            scope="col",
            class_="number" if _is_numeric(of, position) else None,
        )
        for position, column in enumerate(of.columns)
    ]
    rows = [element("tr", *(_cell(cell) for cell in row)) for row in of.rows]
    whole = element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
        class_="sortable" if of.sortable else None,
    )
    # Focusable, so that a table that is wider than the window is scrolled by keys as well.
    return element(
        "div", whole, class_=f"wide {class_}".strip(), tabindex=0, role="group", aria_label="Table"
    )


def filtered(place: str, name: str, of: Table) -> Markup:
    """Return a table that can be sorted, with a field to filter its rows by words; `place` is its id."""
    words = element("input", type="search", data_filters=place, autocomplete="off")
    label = element("label", f"{name} ", words, " ", element("output", id=f"{place}-count"), class_="filter")
    return joined(label, element("div", table(of), id=place))


def figure(plot: Plot, class_: str = "") -> Markup:
    """Return a plot with its title, how it is read, and the table behind it."""
    note = (element("p", plot.note, class_="note"),) if plot.note else ()
    behind = element("details", element("summary", "The numbers"), table(plot.table))
    caption = element("figcaption", element("h3", plot.title), *note)
    return element("figure", joined(caption, plot.svg, behind), class_=class_ or None)


def _is_numeric(of: Table, position: int) -> bool:
    cells = [row[position] for row in of.rows if row[position] is not None]
    return bool(cells) and all(isinstance(cell, int | float | Number) for cell in cells)


def _cell(cell: Cell) -> Markup:
    if cell is None:
        return element("td", "")
    if isinstance(cell, Markup):
        return element("td", cell)
    if isinstance(cell, str):
        return element("td", outside(cell), class_="long" if len(cell) > _LONG else None)
    if not isinstance(cell, Number):
        cell = Number(f"{cell:,}" if isinstance(cell, int) else f"{cell:,.{_DIGITS}f}", cell)
    return element("td", cell.text, class_="number", data_value=repr(cell.value))
