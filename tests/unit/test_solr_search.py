"""Questions to the index, as they are written on a command line."""

import orjson
import pytest

from flumen.interceptor import Column, Kind
from flumen.stores.errors import StoreRefused
from flumen.stores.solr.search import Near, Search, parse_near, read_facets, to_index
from flumen.stores.solr.spans import Box, Span

FIELDS = {"label": "label", "knownlabel": "known_label", "ink": "ink_f"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("label:7 AND aperture:[0 TO 2.8]", "label:7 AND aperture:[0 TO 2.8]"),
        ("knownlabel:7", "known_label:7"),
        ("(knownlabel:7 OR -ink:[0.5 TO *])", "(known_label:7 OR -ink_f:[0.5 TO *])"),
        ("+ink:1", "+ink_f:1"),
        ('name:"ink: 7" AND ink:1', 'name:"ink: 7" AND ink_f:1'),
        (r'name:"a \" ink:1"', r'name:"a \" ink:1"'),
        ("taken_at:[2024-05-01T10:00:00Z TO NOW]", "taken_at:[2024-05-01T10:00:00Z TO NOW]"),
        ("{!terms f=knownlabel}7,8", "{!terms f=known_label}7,8"),
        ("{!prefix cache=false f=ink}f=ink", "{!prefix cache=false f=ink_f}f=ink"),
        ("ink", "ink"),
        ("", ""),
    ],
)
def test_columns_are_called_as_the_index_calls_them(query: str, expected: str) -> None:
    assert to_index(query, FIELDS) == expected


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("52.5,13.4,10km", Near(52.5, 13.4, 10)),
        ("-33.9, 18.4, 500 m", Near(-33.9, 18.4, 0.5)),
        ("0,-180,1mi", Near(0, -180, 1.609344)),
        ("+.5, 13., .5km", Near(0.5, 13, 0.5)),
    ],
)
def test_places(text: str, near: Near) -> None:
    assert parse_near(text) == near


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Berlin",
        "52.5,13.4",
        "52.5,13.4,10",
        "91,0,1km",
        "0,181,1km",
        "nan,0,1km",
        "0,0,-1km",
        "1}x,0,1km",
        "0,0,1.1.1km",
        "0,0,...km",
        "1_0,0,1km",
        "1e1,0,1km",
    ],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(StoreRefused, match=r"is no place: .* Write, for example, 52\.5,13\.4,10km") as caught:
        parse_near(text)
    assert "float" not in str(caught.value)


def test_parameters() -> None:
    plain = Search(query="knownlabel:7", fields=FIELDS).parameters()
    assert (plain["q"], plain["rows"], plain["sort"]) == ("known_label:7", 10, "classified_at desc, id asc")
    assert (plain["fq"], plain["start"]) == ([], 0)
    near = Search(near=Near(52.5, 13.4, 10), facets=("ink",), sort="ink desc", fields=FIELDS).parameters()
    assert near["fq"] == ["{!geofilt sfield=location pt=52.5,13.4 d=10}"]
    assert orjson.loads(near["json.facet"])["ink"]["field"] == "ink_f"
    assert near["sort"] == "ink_f desc"
    hostile = "7} OR *:*"
    chosen = Search(filters=[("knownlabel", hostile), ("ink", "1")], start=20, fields=FIELDS).parameters()
    assert chosen["fq"] == ["{!field f=known_label v=$f0}", "{!field f=ink_f v=$f1}"]
    assert (chosen["f0"], chosen["f1"], chosen["start"]) == (hostile, "1", 20)
    assert chosen["expandMacros"] == "false"
    iso, taken = Column("iso", Kind.INT32, ""), Column("taken_at", Kind.TIMESTAMP, "")
    spans = [Span(iso, 100, None), Span(taken, 0, 1_500_000)]
    bounded = Search(spans=spans, box=Box(-1.5, 50, 2, 51), fields={"iso": "iso_i"}).parameters()
    assert bounded["fq"] == [
        "{!tag=iso}iso_i:[100 TO *]",
        "{!tag=taken_at}taken_at:[1970-01-01T00:00:00.000Z TO 1970-01-01T00:00:01.500Z]",
        "location:[50,-1.5 TO 51,2]",
    ]
    both = Search(sort="knownlabel asc, div(1,ink_f) desc", fields=FIELDS).parameters()
    assert both["sort"] == "known_label asc, div(1,ink_f) desc"


def test_facets_of_nothing_found() -> None:
    assert read_facets({"facets": {"count": 0}}, ["label"]) == {"label": []}
