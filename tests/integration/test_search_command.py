"""`flumen search` against a real index, through the command itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import StoreRefused
from flumen.stores.solr import SolrReader, SolrSink
from flumen.stores.solr.search import Near, Search
from flumen.streams.settings import Settings

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("label", Kind.STRING, ""),
    Column("prediction", Kind.INT32, ""),
    Column("knownlabel", Kind.INT32, ""),
    Column("confidence", Kind.FLOAT, ""),
    Column("classified_at", Kind.TIMESTAMP, ""),
    Column("location", Kind.STRING, ""),
    Column("ink", Kind.FLOAT, ""),
)
MINUTE = 60_000_000
PLACES = {"berlin": "52.52,13.405", "potsdam": "52.39,13.06", "milan": "45.46,9.19", "nowhere": None}


@pytest.fixture
def index(settings: Settings) -> None:
    """Four images, the last of them the newest; one has no place."""
    count = len(PLACES)
    columns: dict[str, Any] = {
        "id": list(PLACES),
        "label": ["7", "7", "1", "7"],
        "prediction": [7, 7, 1, 7],
        "knownlabel": [7, 1, 1, None],
        "confidence": [0.5, 0.75, 0.25, 1.0],
        "classified_at": [1_790_000_000_000_000 + row * MINUTE for row in range(count)],
        "location": list(PLACES.values()),
        "ink": [0.5, 0.25, 0.125, 0.0],
    }
    sink = SolrSink(settings.solr_options(), COLUMNS)
    sink.connect()
    assert not sink.write(Batch([ImageMessage(name, b"", 0) for name in PLACES], columns))
    sink.close()
    reader = SolrReader(settings.solr_options())
    reader.commit()
    reader.close()


@pytest.fixture
def search(index: None, run_flumen: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def run(*arguments: str) -> dict[str, Any]:
        done = run_flumen("search", *arguments, "--json")
        assert done.returncode == 0, done.stderr.decode()
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run


def ids(answer: dict[str, Any]) -> list[str]:
    return [image["id"] for image in answer["images"]]


def test_words_facets_and_a_place_at_once(search: Callable[..., dict[str, Any]]) -> None:
    answer = search(
        "label:7 AND confidence:[0 TO 0.8]",
        "--facet",
        "label",
        "--facet",
        "knownlabel",
        "--near",
        "52.5,13.4,50km",
    )
    assert (answer["found"], ids(answer)) == (2, ["berlin", "potsdam"])
    assert answer["facets"] == {
        "label": [{"value": "7", "count": 2}],
        "knownlabel": [{"value": 1, "count": 1}, {"value": 7, "count": 1}],
    }
    near, far = (image["distance_km"] for image in answer["images"])
    assert near == pytest.approx(2.2, abs=0.2)
    assert far == pytest.approx(26.1, abs=0.5)
    assert answer["images"][0]["classified_at"] == "2026-09-21T14:13:20.000+00:00"


def test_the_newest_come_first_or_what_sort_says(search: Callable[..., dict[str, Any]]) -> None:
    assert ids(search()) == ["nowhere", "milan", "potsdam", "berlin"]
    assert ids(search("--sort", "knownlabel desc, id asc", "--limit", "2")) == ["berlin", "milan"]
    assert search("correct:false")["found"] == 1
    assert ids(search("--near", "45.4,9.1,20mi")) == ["milan"]


def test_columns_that_the_index_calls_otherwise(
    search: Callable[..., dict[str, Any]], settings: Settings
) -> None:
    assert ids(search("knownlabel:7")) == ["berlin"]
    reader = SolrReader(settings.solr_options())
    fields = {"ink": "ink_f"}
    found = reader.find(Search(query="ink:[0.2 TO *]", facets=("ink",), fields=fields, sort="ink asc"))
    assert [row["id"] for row in found.rows] == ["potsdam", "berlin"]
    assert found.facets["ink"] == [(0.25, 1), (0.5, 1)]
    assert reader.find(Search(near=Near(0, 0, 1), facets=("ink",), fields=fields)).total == 0
    with pytest.raises(StoreRefused, match="nosuch"):
        reader.find(Search(facets=("nosuch",)))
    for query, said in (
        ("label:[7 TO", r"cannot be read behind 'label:\[7 TO', at its sign 12. Write, for example"),
        (r'knownlabel:7 AND "', r"behind 'known_label:7 AND \"', at its sign 20"),
        ("label:7 AND\n(label:[0 TO", r"\(label:\[0 TO', at its sign 25"),
        (" ", r"the query is empty; '\*:\*' finds every image"),
        ("{!nosuch}x", "Solr does not take the query: invalid query parser 'nosuch'"),
        ('_query_:"{!xmlparser}<a/>"', r"the query: No QueryObjectBuilder defined for node a\. Write"),
        ("lable:7", "the index has no field 'lable'. Nearest: label"),
        ("{!frange l=0 u=1}lable", "the index has no field 'lable'"),
        ("taken_at:2024", "'2024' is no time. Write times as"),
        ("width:wide", "'wide' is no number, and the field width holds numbers"),
        (" OR ".join(f"label:{n}" for n in range(2000)), "more terms than Solr takes"),
    ):
        with pytest.raises(StoreRefused, match=said):
            reader.find(
                Search(query=query, fields={"label": "label", "lens": "lens", "knownlabel": "known_label"})
            )
    with pytest.raises(StoreRefused, match=r"'id' is no order to sort by. Write, for example, --sort"):
        reader.find(Search(sort="id"))
    for wrong in (
        Search(sort="lable desc", fields={"label": "label"}),
        Search(facets=("lable",), fields={"label": "label"}),
    ):
        with pytest.raises(StoreRefused, match=r"no field 'lable'. Nearest: label. There are: label"):
            reader.find(wrong)
    reader.close()


def test_a_table_for_people(index: None, run_flumen: Callable[..., Any]) -> None:
    done = run_flumen("search", "label:7", "--facet", "knownlabel", "--near", "52.5,13.4,10km")
    text = " ".join(done.stdout.decode().split())
    assert done.returncode == 0
    assert "berlin" in text
    assert "potsdam" not in text
    assert "1 image found, 1 shown" in text
    refused = run_flumen("search", "label:[7 TO")
    assert refused.returncode == 1
    assert b"the query cannot be read behind 'label:[7 TO'" in b" ".join(refused.stderr.split())
    assert run_flumen("search", "--near", "Berlin").returncode == 1
