"""What a view of the images asks for, as it stands in its address, so that the address can be sent to a colleague."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from flumen.console.errors import BadQuestion
from flumen.console.images.bounds import RANGES, Bounds, bound_fields, read_bounds, read_box, write_box
from flumen.interceptor import Column
from flumen.stores.solr.search import EVERYTHING, Search
from flumen.stores.solr.spans import Box, Span

PAGE_ROWS = 48
LAST_START = 9_600
"""So far one can turn pages. Solr sorts all that comes before: beyond, it is better to ask more narrowly."""

LONGEST_QUERY = 2000
MOST_FILTERS = 20
SORTS = {
    "": "The newest first",
    "classified_at asc": "The oldest first",
    "confidence asc": "The least sure first",
    "confidence desc": "The surest first",
    "mistakes": "Mistakes first, the surest before",
    "disagreements": "The challenger's disagreements first",
    "sharpness asc": "The most blurred first",
    "sharpness desc": "The sharpest first",
    "size_bytes desc": "The largest first",
}
_ORDERS = {
    # Of most images no class is known: they come behind those of which the answer was right.
    "mistakes": "if(exists(correct),if(correct,1,2),0) desc, confidence desc",
    "disagreements": "if(exists(disagreement),if(disagreement,2,1),0) desc, confidence asc",
}
"""Of the orders above, those that are no column's."""

FACETS = {
    "label": "Predicted",
    "knownlabel": "Known class",
    "correct": "Prediction is right",
    "disagreement": "Challenger disagrees",
    "model_version": "Model version",
    "source": "Source",
    "format": "Format",
    "color_mode": "Pixels",
    "brightness": "Brightness",
    "dominant_color": "Colour",
    "camera_model": "Camera",
    "lens": "Lens",
    "software": "Software",
    "creator": "Creator",
    "keywords": "Keyword",
}
"""The columns whose values can be chosen by a click, and what they are called."""

FACET_VALUES = 12


@dataclass(frozen=True, slots=True)
class View:
    """A view of the images: `filters` are pairs of a facet and the value that was chosen of it.

    `bounds` are those of the columns that have any, `box` is the part of the map that was chosen.
    """

    query: str = ""
    filters: Sequence[tuple[str, str]] = ()
    bounds: Sequence[Bounds] = ()
    box: Box | None = None
    sort: str = ""
    start: int = 0

    def search(
        self,
        columns: Mapping[str, Column],
        fields: Mapping[str, str],
        facets: Sequence[str] = (),
        rows: int = PAGE_ROWS,
    ) -> Search:
        """Return the question to the index, of these columns and fields of it by the columns' names.

        Raises:
            BadQuestion: there is a bound of a column that no interceptor writes here.
        """
        lacking = [each.name for each in self.bounds if each.name not in columns]
        if lacking:
            raise BadQuestion(f"no image here has {lacking[0]}: no interceptor of the settings writes it")
        return Search(
            query=self.query.strip() or EVERYTHING,
            filters=self.filters,
            spans=[Span(columns[each.name], each.low, each.high) for each in self.bounds],
            box=self.box,
            facets=facets,
            facet_limit=FACET_VALUES,
            rows=rows,
            start=self.start,
            sort=f"{_ORDERS.get(self.sort, self.sort)}, id asc" if self.sort else None,
            fields=fields,
        )

    def chosen(self, facet: str, value: str) -> bool:
        """Say whether this value was chosen."""
        return (facet, value) in self.filters

    def toggled(self, facet: str, value: str) -> "View":
        """Return the view with this value chosen, or no more, from its first page."""
        pair = (facet, value)
        others = tuple(each for each in self.filters if each != pair)
        return replace(self, filters=others if pair in self.filters else (*others, pair), start=0)

    def between(self, bounds: Bounds) -> "View":
        """Return the view with these bounds of a column in place of any others, from its first page."""
        others = tuple(each for each in self.bounds if each.name != bounds.name)
        return replace(self, bounds=(*others, bounds) if bounds else others, start=0)

    def of(self, name: str) -> Bounds:
        """Return the bounds of a column."""
        return next((each for each in self.bounds if each.name == name), Bounds(name))

    def within(self, box: Box | None) -> "View":
        """Return the view of a part of the map, from its first page."""
        return replace(self, box=box, start=0)

    def at(self, start: int) -> "View":
        """Return another page of it."""
        return replace(self, start=start)

    @property
    def address(self) -> str:
        """The query string of it; empty for all images."""
        asked = [("q", self.query)] if self.query else []
        asked += [("f", f"{facet}:{value}") for facet, value in self.filters]
        asked += [pair for bounds in self.bounds for pair in bound_fields(bounds)]
        asked += [("box", self.map_part)] if self.box else []
        asked += [("sort", self.sort)] if self.sort else []
        asked += [("start", str(self.start))] if self.start else []
        return f"?{urlencode(asked, errors='replace')}" if asked else ""

    @property
    def map_part(self) -> str:
        """The part of the map, as addresses have it."""
        return write_box(self.box) if self.box else ""


def read_view(given: QueryParams) -> View:
    """Read a view from an address.

    Raises:
        BadQuestion: it asks for what there is not.
    """
    query, sort = given.get("q", ""), given.get("sort", "")
    if len(query) > LONGEST_QUERY:
        raise BadQuestion(f"a query has {LONGEST_QUERY:,} characters at the most, and not {len(query):,}")
    if sort not in SORTS:
        raise BadQuestion(f"there is no order {sort[:80]!r}; there are: {', '.join(filter(None, SORTS))}")
    filters = []
    for each in given.getlist("f"):
        facet, colon, value = each.partition(":")
        if facet not in FACETS or not colon or len(value) > LONGEST_QUERY:
            raise BadQuestion(f"{each[:80]!r} is no filter: it is f=FACET:VALUE, of {', '.join(FACETS)}")
        filters.append((facet, value))
    if len(filters) > MOST_FILTERS:
        raise BadQuestion(f"{MOST_FILTERS} filters at the most, and not {len(filters)}")
    if any(map(_asks_elsewhere, (query, *(value for _, value in filters)))):
        raise BadQuestion("a query asks this index, and no other one of its Solr: leave fromIndex out")
    return View(
        query,
        tuple(dict.fromkeys(filters)),
        tuple(filter(None, (read_bounds(given, name) for name in RANGES))),
        read_box(given.get("box", "")),
        sort,
        read_number(given, "start", 0, LAST_START),
    )


def read_number(given: QueryParams, name: str, default: int, most: int) -> int:
    """Read a whole number from 0 to `most`.

    Raises:
        BadQuestion: it is none.
    """
    text = given.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and int(text) <= most):
        raise BadQuestion(f"{name} is a whole number from 0 to {most:,}, and not {text[:80]!r}")
    return int(text)


def read_id(given: Mapping[str, str]) -> str:
    """Read which image is meant.

    Raises:
        BadQuestion: none is.
    """
    image_id = given.get("id", "")
    if not image_id:
        raise BadQuestion("say which image: ?id=ID")
    return image_id


def _asks_elsewhere(text: str) -> bool:
    """Say whether a query could join another index: who may see images may not see all that a Solr has."""
    former = ""
    while former != text:
        # Solr takes escapes off in each of the queries that stand in one another.
        former, text = text, _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return "fromindex" in text.replace("\\", "").lower()


_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
