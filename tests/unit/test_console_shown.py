"""What the console shows of what came from outside, and views that stand whole in an address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from flumen.console.errors import BadQuestion
from flumen.console.images.asked import FACETS, LAST_START, SORTS, View, read_view
from flumen.console.images.bounds import RANGES, Bounds, read_bounds
from flumen.console.models.trail import AuditReader
from flumen.console.pages import long, number, outside, short, time, value
from flumen.console.plots import histogram, range_of
from flumen.console.sign_in import address, own_page
from flumen.interceptor import Column, Kind
from flumen.stores.solr.spans import Box, Spread, bins, read_bins
from flumen.streams.control.operator.audit_log import AuditLog, Change
from flumen.streams.control.records import Command, DesiredState, ModelRef

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202eevil\u2066",
    "x" * 10_000,
    "a\x00b\x07\x7f\x9b",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("show", [outside, short, long])
def test_hostile_text_becomes_no_element_and_turns_nothing_around(show: object, text: str) -> None:
    assert callable(show)
    shown = str(show(text))
    assert "<script" not in shown
    assert "<img" not in shown
    assert not set(shown) & set("\x00\x07\x7f\x9b\u202e\u2066")


def test_long_text_is_there_whole_and_shown_in_part() -> None:
    assert str(long("x" * 10_000)).count("x") == 10_300
    assert str(short("x" * 10_000)).count("x") == 80
    assert "<details" not in str(long("short"))


@given(st.text())
def test_what_is_shown_is_one_element_for_every_text(text: str) -> None:
    shown = str(outside(text))
    assert shown.startswith("<bdi>")
    assert shown.endswith("</bdi>")
    assert shown.count("<") == 2


def test_values_are_shown_by_their_kind() -> None:
    def shown(found: object, kind: Kind, name: str = "any") -> str:
        return str(value(found, Column(name, kind, "")))

    assert shown(1_700_000_000_123_000, Kind.TIMESTAMP).count("2023-11-14 22:13:20.123 UTC") == 2
    assert "2400" not in shown(10**30, Kind.TIMESTAMP)  # no time there is, and no failure
    assert shown(True, Kind.BOOL) == "yes"
    assert "12,345" in shown(12_345, Kind.INT64)
    assert shown(12_345, Kind.INT64, "kafka_offset") == "12345"
    assert shown(["a", "<b>"], Kind.STRINGS) == "<bdi>a</bdi>, <bdi>&lt;b&gt;</bdi>"
    assert shown([0.5, 0.25, 0.25], Kind.JSON, "luminance_histogram").count("<rect") == 3
    assert "&#34;" in shown([{"name": "black", "color": '"x', "share": 1}], Kind.JSON, "palette")
    assert "nan" in str(number(float("nan"))).lower()
    assert "UTC" in str(time(0))


whole = st.none() | st.integers(-(10**6), 10**6)
seconds = st.none() | st.integers(-(10**9), 10**11).map(lambda each: each * 1_000_000)
views = st.builds(
    View,
    query=st.text(st.characters(codec="utf-8"), max_size=50),
    filters=st.lists(
        st.tuples(st.sampled_from(sorted(FACETS)), st.text(st.characters(codec="utf-8"))),
        max_size=5,
        unique=True,
    ).map(tuple),
    bounds=st.lists(
        st.one_of(
            st.builds(Bounds, st.just("confidence"), whole, whole),
            st.builds(Bounds, st.just("width"), whole, whole),
            st.builds(Bounds, st.just("taken_at"), seconds, seconds),
        ).filter(bool),
        unique_by=lambda each: each.name,
        max_size=3,
    ).map(lambda found: tuple(sorted(found, key=lambda each: list(RANGES).index(each.name)))),
    box=st.none() | st.just(Box(-10.5, 0.0, 20.25, 89.0)),
    sort=st.sampled_from(sorted(SORTS)),
    start=st.integers(0, LAST_START),
)


@given(views)
def test_a_view_stands_whole_in_its_address(view: View) -> None:
    assert read_view(QueryParams(view.address.removeprefix("?"))) == view


@given(views, st.sampled_from(sorted(FACETS)), st.text(st.characters(codec="utf-8")))
def test_choosing_a_value_twice_takes_it_back(view: View, facet: str, value: str) -> None:
    once = view.toggled(facet, value)
    assert once.chosen(facet, value) is not view.chosen(facet, value)
    assert set(once.toggled(facet, value).filters) == set(view.filters)


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("start=-1", "start is a whole number"),
        ("start=9601", "start is a whole number"),
        ("start=²", "start is a whole number"),
        ("sort=id desc", "there is no order"),
        ("min.width=1e999", "min.width is a number"),
        ("max.confidence=NaN", "max.confidence is a number"),
        ("min.taken_at=9999-12-31T23:59:59-14:00", "min.taken_at is a time such as"),
        ("max.taken_at=9999-99-31", "max.taken_at is a time such as"),
        ("box=1,2,3", "is no part of the map"),
        ("box=10,0,-10,1", "is no part of the map"),
        ("box=nan,0,0,0", "is no part of the map"),
        (r"q=_query_:\"{!join from\\\u0049ndex=x}a\"", "and no other one of its Solr"),
        (r"f=label:{!join from\Index=x}a", "and no other one of its Solr"),
        ("f=image:7", "is no filter"),
        ("f=label", "is no filter"),
        ("q=" + "x" * 2001, "2,000 characters"),
        ("&".join(f"f=label:{number}" for number in range(21)), "20 filters"),
    ],
)
def test_a_view_that_is_none_is_refused_in_words(query: str, wrong: str) -> None:
    with pytest.raises(BadQuestion, match=wrong):
        read_view(QueryParams(query))


@pytest.mark.parametrize(
    "back",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/a\tb",
        "",
        "/sign-in?token=theirs",
        "/sign-out",
        "/images?q=" + "x" * 4_000,
    ],
)
def test_signing_in_leads_to_a_page_of_ours_and_to_no_other(back: str) -> None:
    assert own_page(back) == "/images"
    assert own_page("/image?id=%2F%2Fevil") == "/image?id=%2F%2Fevil"
    assert address("/images?q=a b&sort=") == "/sign-in?back=%2Fimages%3Fq%3Da+b%26sort%3D"


def test_a_day_is_meant_whole_and_bounds_of_whole_numbers_are_whole() -> None:
    day = read_bounds({"min.taken_at": "2024-06-01", "max.taken_at": "2024-06-01"}, "taken_at")
    assert (day.high or 0) - (day.low or 0) == 86_400 * 1_000_000 - 1
    assert read_bounds({"min.width": "9.5", "max.width": "9.5"}, "width") == Bounds("width", 10, 9)
    same = read_bounds({"max.taken_at": "2024-06-01T02:00:00+02:00"}, "taken_at")
    assert same == read_bounds({"max.taken_at": "2024-06-01T00:00:00Z"}, "taken_at")


def test_a_histogram_counts_what_there_is_and_leads_to_a_view_of_each_bar() -> None:
    width = Column("width", Kind.INT32, "")
    facet, step = bins("width", Spread(width, 10, 100, (), ())) or ({}, 0)
    assert (facet["start"], facet["gap"], step) == ("10", 4, 4)
    found = {"buckets": [{"count": 1}] + [{"count": 0}] * 21 + [{"count": 2}], "after": {"count": 3}}
    spread = read_bins(Spread(width, 10, 100, (), ()), step, found)
    assert (sum(spread.counts), spread.edges[:2], spread.edges[-1]) == (6, [10, 14], 102)
    shown = range_of(spread, View(bounds=[Bounds("width", None, 20)]))
    assert [bar.chosen for bar in shown.bars].count(True) == 3
    assert shown.bars[0].view.address == "?min.width=10&max.width=14"
    assert str(histogram(shown)).count('class="out"') == 20


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        (Kind.FLOAT, 1.0, 1.0),
        (Kind.FLOAT, 1.0, 1.0000001),
        (Kind.INT32, 5, 5),
    ],
)
def test_what_is_all_one_has_no_histogram(kind: Kind, low: float, high: float) -> None:
    assert bins("any", Spread(Column("any", kind, ""), low, high, (), ())) is None


def test_times_go_in_days_where_seconds_would_be_too_many_for_solr() -> None:
    found = bins("t", Spread(Column("t", Kind.TIMESTAMP, ""), -(10**16), 10**17, (), ()))
    assert found is not None
    assert found[0]["gap"] == "+53048DAYS"


@pytest.mark.parametrize(
    ("at", "at_us"), [("2026-11-28T00:00:01Z", 1_795_824_001_000_000), ("2026-13-45T99:99:99Z", 0)]
)
def test_a_forged_time_of_a_change_hides_no_trail(at: str, at_us: int) -> None:
    """The records' pattern lets through a month that there is not."""
    state = DesiredState(
        model="mnist",
        champion=ModelRef(1, "0" * 64),
        challenger=None,
        prepare=None,
        revision=1,
        actor="eva",
        reason="",
        at=at,
    )
    log = AuditLog([Change(Command.ACTIVATE, state, None, ())], [])
    assert [entry.at_us for entry in AuditReader(lambda _: log).trail("mnist", 20).entries] == [at_us]
