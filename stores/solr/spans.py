"""Spans of numbers and times, and boxes on the map: as conditions of a search, and how its images spread over them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flumen.interceptor.columns import Column, Kind

BINS = 24
"""Equal parts of a spread, at the most one more where numbers are whole."""

MAP_FIELD = "location_map"
_SECOND = 1_000_000
_DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FINEST = 1e-5
"""Of the value, in each bin: finer steps are lost in 32 bits, and Solr refuses them."""

_MAP_CELLS = 64
_FINEST_LEVEL = 18
"""Of the map's field: each level halves the cells, from the whole world on; see `configset/conf/schema.xml`."""


@dataclass(frozen=True, slots=True)
class Span:
    """Values of a column from `low` to `high`, both among them, None for no bound; times in microseconds since 1970."""

    column: Column
    low: float | None
    high: float | None

    def condition(self, field: str) -> str:
        """Return it in Solr's language, with a tag by which a spread leaves it out."""
        low, high = (
            "*" if bound is None else _written(self.column, bound) for bound in (self.low, self.high)
        )
        return f"{{!tag={self.column.name}}}{field}:[{low} TO {high}]"


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the map, in decimal degrees; `west` is not above `east`, nor `south` above `north`."""

    west: float
    south: float
    east: float
    north: float

    def condition(self) -> str:
        """Return it in Solr's language."""
        return f"location:[{self.south},{self.west} TO {self.north},{self.east}]"


WORLD = Box(-180.0, -90.0, 180.0, 90.0)


@dataclass(frozen=True, slots=True)
class Spread:
    """How the values of a column spread: the least and the greatest, and counts between edges, one more than counts.

    No counts where all values are one, or so near to one another that they cannot be told apart.
    """

    column: Column
    low: float
    high: float
    edges: Sequence[float]
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Heat:
    """How many images were taken where: the cells that have any, of a grid over `box`."""

    box: Box
    cells: Sequence[tuple[Box, int]]


def extents(columns: Mapping[str, Column], spans: Sequence[Span] = ()) -> dict[str, Any]:
    """Return facets for the least and the greatest value of each column, by its field, beside its own of the spans."""
    return {
        column.name: {
            "type": "query",
            "q": "*:*",
            **_beside(column, spans),
            "facet": {"low": f"min({field})", "high": f"max({field})"},
        }
        for field, column in columns.items()
    }


def read_extents(facets: Mapping[str, Any], columns: Mapping[str, Column]) -> list[tuple[str, Spread]]:
    """Return the fields that have values, with their columns' extents and no counts yet."""
    found = []
    for field, column in columns.items():
        extent = facets.get(column.name, {})
        if extent.get("low") is None or extent.get("high") is None:
            continue
        try:
            low, high = _read(column, extent["low"]), _read(column, extent["high"])
        except ValueError:  # a year behind 9999, which somebody made up
            continue
        found.append((field, Spread(column, low, high, (), ())))
    return found


def bins(field: str, spread: Spread, spans: Sequence[Span] = ()) -> tuple[dict[str, Any], float] | None:
    """Return the facet that counts between a spread's least and greatest value, and its step; None for one value."""
    column, low, high = spread.column, spread.low, spread.high
    step: float = (high - low) / BINS
    if high <= low or (step <= _FINEST * max(abs(low), abs(high)) and column.kind in _FRACTIONS):
        return None
    gap: float | str
    if column.kind is Kind.TIMESTAMP:
        seconds = math.ceil(step / _SECOND)
        days = math.ceil(seconds / _DAY_S)
        gap, step = (
            (f"+{days}DAYS", days * _DAY_S * _SECOND)
            if days > 1
            else (f"+{seconds}SECONDS", seconds * _SECOND)
        )
    else:
        gap = step = step if column.kind in _FRACTIONS else math.ceil(step)
    bounds = {"start": _written(column, low), "end": _written(column, high), "gap": gap}
    return {
        "type": "range",
        "field": field,
        **bounds,
        "include": ["lower", "edge"],
        "other": "after",
        **_beside(column, spans),
    }, step


def read_bins(spread: Spread, step: float, found: Mapping[str, Any]) -> Spread:
    """Return a spread with its counts out of the answer."""
    counts = [int(bucket["count"]) for bucket in found["buckets"]]
    # What rounding has pushed behind the last bin is its greatest value.
    counts[-1] += int(found.get("after", {}).get("count", 0))
    start = _read(spread.column, _written(spread.column, spread.low))
    edges = [start + at * step for at in range(len(counts))] + [max(spread.high, start + len(counts) * step)]
    return Spread(spread.column, spread.low, spread.high, edges, counts)


def heat_facet(box: Box) -> dict[str, Any]:
    """Return the facet that counts in cells of a box, some 64 in its longer direction."""
    part = max((box.east - box.west) / 360, (box.north - box.south) / 180, 1e-9)
    level = min(_FINEST_LEVEL, max(1, math.floor(math.log2(_MAP_CELLS / part))))
    area = f'["{box.west} {box.south}" TO "{box.east} {box.north}"]'
    return {"type": "heatmap", "field": MAP_FIELD, "geom": area, "gridLevel": level}


def read_heat(found: Mapping[str, Any]) -> Heat:
    """Return the cells that have images, the northern ones first."""
    whole = Box(found["minX"], found["minY"], found["maxX"], found["maxY"])
    width = (whole.east - whole.west) / found["columns"]
    height = (whole.north - whole.south) / found["rows"]
    cells = []
    for row, counts in enumerate(found["counts_ints2D"] or ()):
        for column, count in enumerate(counts or ()):
            if count:
                west, north = whole.west + column * width, whole.north - row * height
                cells.append((Box(west, north - height, west + width, north), int(count)))
    return Heat(whole, cells)


_FRACTIONS = frozenset({Kind.FLOAT, Kind.DOUBLE})


def _beside(column: Column, spans: Sequence[Span]) -> dict[str, Any]:
    # Only where there is one: Solr finds all anew for it.
    has_span = any(span.column.name == column.name for span in spans)
    return {"domain": {"excludeTags": column.name}} if has_span else {}


def _written(column: Column, value: float) -> str:
    if column.kind is Kind.TIMESTAMP:
        moment = _EPOCH + timedelta(microseconds=value)
        return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
    return repr(value) if column.kind in _FRACTIONS else str(math.trunc(value))


def _read(column: Column, value: Any) -> float:
    if column.kind is Kind.TIMESTAMP:
        return (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
    return float(value) if column.kind in _FRACTIONS else int(value)
