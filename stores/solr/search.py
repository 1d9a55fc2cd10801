"""A question to the index as people ask it: words of Solr's language, facets, a place; by the columns' own names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from flumen.stores.errors import StoreRefused
from flumen.stores.solr.spans import Box, Span

EVERYTHING = "*:*"
DISTANCE = "distance_km"
"""The column that rows have where a place was asked for."""

_DECIMAL = r"(?:\d+\.?\d*|\.\d+)"
_DEGREES = rf"[-+]?{_DECIMAL}"
_NEAR = re.compile(
    rf"\s*(?P<latitude>{_DEGREES})\s*,\s*(?P<longitude>{_DEGREES})\s*,\s*(?P<distance>{_DECIMAL})\s*(?P<unit>km|m|mi)\s*",
    re.ASCII,
)
_KM = {"km": 1.0, "m": 0.001, "mi": 1.609344}
_MAX_LATITUDE, _MAX_LONGITUDE = 90.0, 180.0
# A text in quotes, or a name in front of a colon. What is in quotes stays as it is.
_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![\w.])(?P<name>[A-Za-z_]\w*)(?=:)')
# The field that a query parser of Solr's is told to look in: {!terms f=label}.
_TOLD = re.compile(r"(?P<head>\{![^}]*?\b(?:f|field|sfield)=)(?P<name>[A-Za-z_]\w*)")
_SORTED = re.compile(r"[A-Za-z_]\w*(?=\s+(?:asc|desc)\b)")


@dataclass(frozen=True, slots=True)
class Near:
    """A circle on the map: its middle in decimal degrees, its radius in kilometres."""

    latitude: float
    longitude: float
    km: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What is asked: `query` in Solr's language, at most `rows` of what is found, the values of `facets` counted.

    `filters` are pairs of a column and a value that it must have, written in no language: whatever the value is, it is
    only looked for. `spans` and `box` are more conditions. The first `start` of what is found are left out. `fields` is
    the index's field of each column, for those that are called otherwise there. Without `sort`, what is nearest comes
    first where a place is given, else the newest.
    """

    query: str = EVERYTHING
    filters: Sequence[tuple[str, str]] = ()
    spans: Sequence[Span] = ()
    box: Box | None = None
    near: Near | None = None
    facets: Sequence[str] = ()
    facet_limit: int = 20
    rows: int = 10
    start: int = 0
    sort: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        """Return Solr's parameters for it."""
        facets = {
            name: {"type": "terms", "field": self._field(name), "limit": self.facet_limit, "mincount": 1}
            for name in self.facets
        }
        # The values stand in parameters of their own: nothing in them is read as a query.
        wanted = {f"f{number}": value for number, (_, value) in enumerate(self.filters)}
        conditions = [
            f"{{!field f={self._field(column)} v=$f{number}}}"
            for number, (column, _) in enumerate(self.filters)
        ]
        conditions += [span.condition(self._field(span.column.name)) for span in self.spans]
        conditions += [self.box.condition()] if self.box is not None else []
        place: dict[str, Any] = {}
        newest = "classified_at desc, id asc"
        if self.near is not None:
            point = f"{self.near.latitude},{self.near.longitude}"
            conditions.append(f"{{!geofilt sfield=location pt={point} d={self.near.km}}}")
            place = {
                "fl": f"*,{DISTANCE}:geodist(location,{point})",
            }
            newest = f"geodist(location,{point}) asc, id asc"
        return {
            "q": to_index(self.query, self.fields),
            "fq": conditions,
            "rows": self.rows,
            "start": self.start,
            "sort": _SORTED.sub(lambda part: self._field(part[0]), self.sort) if self.sort else newest,
            "json.facet": orjson.dumps(facets).decode(),
            # Else ${q} in a value would be taken for the parameter of that name.
            "expandMacros": "false",
            **wanted,
            **place,
        }

    def _field(self, name: str) -> str:
        return self.fields.get(name, name)


@dataclass(frozen=True, slots=True)
class Found:
    """How many images were found, the first of them as rows by column, and each facet's values with their counts."""

    total: int
    rows: Sequence[Mapping[str, Any]]
    facets: Mapping[str, Sequence[tuple[Any, int]]]


def to_index(query: str, fields: Mapping[str, str]) -> str:
    """Return a query with the columns in it called as the index calls them."""

    def called(part: re.Match[str]) -> str:
        return fields.get(part["name"], part[0]) if part["name"] else part[0]

    query = _PARTS.sub(called, query)
    return _TOLD.sub(lambda part: part["head"] + fields.get(part["name"], part["name"]), query)


def parse_near(text: str) -> Near:
    """Read a circle such as `52.5,13.4,10km`: latitude, longitude, radius in km, m or mi.

    Raises:
        StoreRefused: it is none.
    """
    try:
        return _circle(text)
    except ValueError as error:
        raise StoreRefused(f"{text!r} is no place: {error}. Write, for example, 52.5,13.4,10km") from error


def _circle(text: str) -> Near:
    parts = _NEAR.fullmatch(text)
    if parts is None:
        raise ValueError("it is not LATITUDE,LONGITUDE,RADIUS in degrees, and km, m or mi")
    latitude, longitude = float(parts["latitude"]), float(parts["longitude"])
    if not (abs(latitude) <= _MAX_LATITUDE and abs(longitude) <= _MAX_LONGITUDE):  # so written, NaN fails too
        raise ValueError("a latitude is from -90 to 90, a longitude from -180 to 180 degrees")
    return Near(latitude, longitude, float(parts["distance"]) * _KM[parts["unit"]])


def read_facets(answer: Mapping[str, Any], names: Sequence[str]) -> dict[str, list[tuple[Any, int]]]:
    """Return each facet's values and counts out of Solr's answer; nothing found has none."""
    facets = answer.get("facets", {})
    return {
        name: [(bucket["val"], bucket["count"]) for bucket in facets.get(name, {}).get("buckets", ())]
        for name in names
    }
