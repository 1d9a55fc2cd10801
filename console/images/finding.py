"""Images found: a page of them, with what their facets hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flumen.console.images.asked import FACETS, PAGE_ROWS, View
from flumen.console.stores import ReadIndex, Stores
from flumen.interceptor import Kind
from flumen.stores.solr.schema import index_fields
from flumen.stores.solr.search import Found, Search

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
    """A page of a view: how many images there are, those of the page as rows by column, and the facets."""

    view: View
    total: int
    rows: Sequence[Mapping[str, Any]]
    facets: Sequence[Facet]

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
        StoreError: the index does not answer, or does not understand the query.
    """
    fields = _fields(stores)
    facets = [name for name in FACETS if name in fields]
    found = await _find(stores, view.search(facets, fields))
    return Page(view, found.total, found.rows, [*_facets(found, view)])


async def find_all(stores: Stores, view: View) -> Found:
    """Ask the index for a view's first images, without facets: what is exported.

    Raises:
        StoreError: the index does not answer, or does not understand the query.
    """
    return await _find(stores, view.search((), _fields(stores), EXPORT_ROWS))


async def _find(stores: Stores, search: Search) -> Found:
    def ask(index: ReadIndex) -> Found:
        return index.find(search)

    return await stores.index.ask(ask)


def _fields(stores: Stores) -> dict[str, str]:
    return {field.column.name: field.name for field in index_fields(stores.columns)}


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
]
