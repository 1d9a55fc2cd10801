"""Images found: a page of them, with what their facets hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flumen.console.images.asked import FACETS, PAGE_ROWS, View
from flumen.console.images.bounds import RANGES
from flumen.console.stores import ReadIndex, Stores
from flumen.interceptor import Kind
from flumen.stores.solr.schema import index_fields
from flumen.stores.solr.search import Found
from flumen.stores.solr.spans import WORLD, Heat, Spread

_PLACE = {"latitude", "longitude"}
EXPORT_ROWS = 10_000
"""So many images are written to a file at the most."""


@dataclass(frozen=True, slots=True)
class Facet:
    """A facet, as addresses and people call it, and its values, as they are asked for, with their counts."""

    name: str
    title: str
    values: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a view: how many images there are, those of the page as rows by column, and the facets.

    `spreads` are those of the columns that can be bounded and have values; `heat` is None where no image has a place.
    """

    view: View
    total: int
    rows: Sequence[Mapping[str, Any]]
    facets: Sequence[Facet]
    spreads: Sequence[Spread]
    heat: Heat | None

    @property
    def last(self) -> int:
        """The number of the page's last image."""
        return self.view.start + len(self.rows)

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""
        return self.last < self.total


async def find_page(stores: Stores, view: View) -> Page:
    """Ask the index for a page of a view.

    Raises:
        BadQuestion: the view has a bound of what there is not.
        StoreError: the index does not answer, or does not understand the query.
    """
    columns = {column.name: column for column in stores.columns}
    fields = index_columns(stores)
    facets = [name for name in FACETS if name in fields]
    search = view.search(columns, fields, facets)
    bounded = [columns[name] for name in RANGES if name in columns]

    def ask(index: ReadIndex) -> Page:
        found = index.find(search)
        spreads = index.find_spreads(search, bounded)
        heat = index.find_heat(search, view.box or WORLD) if columns.keys() >= _PLACE else None
        has_places = heat is not None and (heat.cells or view.box)
        return Page(
            view, found.total, found.rows, [*_facets(found, view)], spreads, heat if has_places else None
        )

    return await stores.index.ask(ask)


async def find_all(stores: Stores, view: View) -> Found:
    """Ask the index for a view's first images, without facets: what is exported.

    Raises:
        StoreError: the index does not answer, or does not understand the query.
    """
    columns = {column.name: column for column in stores.columns}
    search = view.search(columns, index_columns(stores), rows=EXPORT_ROWS)
    return await stores.index.ask(lambda index: index.find(search))


def index_columns(stores: Stores) -> dict[str, str]:
    """Return the index's field of each column."""
    # What a challenger said of an image stands beside its columns.
    return {field.column.name: field.name for field in index_fields(stores.columns)} | {
        "disagreement": "disagreement"
    }


def _facets(found: Found, view: View) -> Iterator[Facet]:
    for name, values in found.facets.items():
        shown = [(as_text(value), count) for value, count in values]
        # What was chosen stays in sight, to be taken back.
        shown += [(value, 0) for facet, value in view.filters if facet == name and value not in dict(shown)]
        if shown:
            yield Facet(name, FACETS[name], shown)


def as_text(value: object) -> str:
    """Return a facet's value as the index takes it back."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def exported_columns(stores: Stores) -> list[str]:
    """Return the columns of an export: those that are indexed."""
    kept = {Kind.BINARY, Kind.JSON}
    return [column.name for column in stores.columns if column.kind not in kept]


__all__ = [
    "EXPORT_ROWS",
    "PAGE_ROWS",
    "Facet",
    "Page",
    "as_text",
    "exported_columns",
    "find_all",
    "find_page",
    "index_columns",
]
