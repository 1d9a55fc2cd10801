"""The Solr store on one server: what the contract suite does not ask of every store."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import loopback
import pytest

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import StoreClosed, StoreRefused, StoreUnavailable
from flumen.stores.solr import SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.server import SolrServer

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("name", Kind.STRING, ""),
    Column("knownlabel", Kind.INT32, ""),
    Column("prediction", Kind.INT32, ""),
    Column("label", Kind.STRING, ""),
    Column("classified_at", Kind.TIMESTAMP, ""),
    # Columns of interceptors that have no field of their own, one of each kind.
    Column("place", Kind.STRING, ""),
    Column("stars", Kind.INT32, ""),
    Column("shutter_count", Kind.INT64, ""),
    Column("blur", Kind.FLOAT, ""),
    Column("depth", Kind.DOUBLE, ""),
    Column("tripod", Kind.BOOL, ""),
    Column("sold_at", Kind.TIMESTAMP, ""),
    Column("tags", Kind.STRINGS, ""),
    Column("location", Kind.STRING, ""),
)
LONGEST_STRING = 32_766
"""Bytes, Solr's limit for a value that is not cut into words."""
VISIBLE_WITHIN_S = 60.0


@pytest.fixture
def options(flumen_stack: Any, flumen_names: Any) -> SolrOptions:
    return SolrOptions(url=flumen_stack.solr_url, core=flumen_names.solr_core)


@pytest.fixture
def sink(options: SolrOptions) -> Iterator[SolrSink]:
    sink = SolrSink(options, COLUMNS)
    sink.connect()
    yield sink
    sink.close()


@pytest.fixture
def reader(options: SolrOptions) -> Iterator[SolrReader]:
    reader = SolrReader(options)
    yield reader
    reader.close()


def batch_of(ids: list[str], **columns: Any) -> Batch:
    count = len(ids)
    defaults: dict[str, Any] = {column.name: [None] * count for column in COLUMNS}
    defaults |= {"id": ids, "prediction": [row % 10 for row in range(count)], "label": ["some"] * count}
    return Batch([ImageMessage(image_id, b"", 0) for image_id in ids]).with_columns(**(defaults | columns))


def test_a_document_is_found_soon_without_a_commit(sink: SolrSink, reader: SolrReader) -> None:
    sink.write(batch_of(["a"]))
    deadline = time.monotonic() + VISIBLE_WITHIN_S
    while reader.count() == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_facets_count_every_value(sink: SolrSink, reader: SolrReader) -> None:
    known: list[int | None] = [0, 1, 2, 0, None, None]
    sink.write(batch_of(list("abcdef"), knownlabel=known, prediction=[0, 1, 2, 3, 4, 0]))
    reader.commit()
    assert reader.facet_counts("prediction") == {"0": 2, "1": 1, "2": 1, "3": 1, "4": 1}
    assert reader.facet_counts("knownlabel") == {"0": 2, "1": 1, "2": 1}
    assert reader.facet_counts("correct") == {"true": 3, "false": 1}
    assert reader.facet_counts("prediction", query="correct:false") == {"3": 1}
    assert list(reader.facet_counts("prediction", limit=1)) == ["0"]


def test_documents_are_searched_by_name_and_value(sink: SolrSink, reader: SolrReader) -> None:
    names = ["2024-Beach_01.jpg", "beachBall.png", "mountain.tif"]
    sink.write(batch_of(["a", "b", "c"], name=names))
    reader.commit()
    assert [row["id"] for row in reader.search("name_text:beach")] == ["a", "b"]
    assert [row["id"] for row in reader.search('name:"mountain.tif"')] == ["c"]
    assert [row["id"] for row in reader.search("*:*", rows=2, sort="prediction desc")] == ["c", "b"]
    assert [row["id"] for row in reader.search(rows=2, start=2)] == ["c"]
    assert reader.count("prediction:[1 TO *]") == 2


def test_columns_without_a_field_go_to_one_of_their_kind(sink: SolrSink, reader: SolrReader) -> None:
    values = {
        "place": "a beach",
        "stars": 4,
        "shutter_count": 2**40,
        "blur": 1.5,
        "depth": 0.1,
        "tripod": True,
        "sold_at": 1_700_000_000_123_000,
        "tags": ["night", "sky"],
        "location": "45.1,9.2",
    }
    sink.write(batch_of(["a"], **{name: [value] for name, value in values.items()}))
    uncommitted = reader.get("a")
    reader.commit()
    committed = reader.get("a")
    for row in (uncommitted, committed):
        assert row is not None
        assert {name: row[name] for name in values} == values
    assert reader.facet_counts("tripod_b") == {"true": 1}
    assert reader.count("{!geofilt sfield=location pt=45.1,9.3 d=20}") == 1
    assert reader.count("{!geofilt sfield=location pt=46.1,9.3 d=20}") == 0


def test_the_bad_documents_of_a_batch_are_found(sink: SolrSink, reader: SolrReader) -> None:
    labels = ["fits"] * 500
    labels[3] = "x" * LONGEST_STRING
    for row in (4, 250, 499):
        labels[row] = "x" * (LONGEST_STRING + 1)
    failures = sink.write(batch_of([f"image {row}" for row in range(500)], label=labels))
    assert [failure.row for failure in failures] == [4, 250, 499]
    assert all("32766" in failure.reason and "label" in failure.reason for failure in failures)
    assert all(len(failure.reason) < 600 for failure in failures)
    reader.commit()
    assert reader.count() == 497


def test_the_largest_requests_are_taken(
    sink: SolrSink, reader: SolrReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full ones of 8 MiB, and one document that is larger than that."""
    asked: list[int] = []
    ask = SolrServer.ask

    def noted(self: SolrServer, url: str, *given: Any, **named: Any) -> Any:
        asked.extend(len(each) for each in (*given, *named.values()) if isinstance(each, bytes))
        return ask(self, url, *given, **named)

    monkeypatch.setattr(SolrServer, "ask", noted)
    tags: list[list[str]] = [[f"{row} {'x' * 30_000}"] for row in range(500)]
    tags.append([f"{number} {'x' * 30_000}" for number in range(300)])
    assert sink.write(batch_of([f"image {row}" for row in range(501)], tags=tags)) == []
    assert len(asked) == 3
    assert all(size > 0.9 * 8 * 1024 * 1024 for size in (asked[0], asked[2]))
    reader.commit()
    assert reader.count() == 501
    found = reader.get("image 500")
    assert found is not None
    assert sorted(found["tags"]) == sorted(tags[-1])


@pytest.mark.parametrize(
    "image_id", ["unknown field 'x'", "] unknown field 'x'", "due to init failure", "already"]
)
def test_an_id_that_reads_like_an_error_is_an_id(sink: SolrSink, image_id: str) -> None:
    batch = batch_of([image_id, "good"], label=["x" * (LONGEST_STRING + 1), "fits"])
    assert [failure.row for failure in sink.write(batch)] == [0]


def test_nothing_is_logged_of_a_bad_document(sink: SolrSink, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert sink.write(batch_of(["a"], label=["x" * (LONGEST_STRING + 1)]))
    assert not [record for record in caplog.records if record.name == "pysolr"]


def test_an_index_that_is_gone_is_refused(options: SolrOptions, sink: SolrSink) -> None:
    unload = {"action": "UNLOAD", "core": options.core, "deleteInstanceDir": "true"}
    loopback.get(f"{options.url}/admin/cores", params=unload, timeout=60).raise_for_status()
    with pytest.raises(StoreRefused, match="FLUMEN_SOLR_CORE"):
        sink.write(batch_of(["a"]))


def test_a_config_set_that_is_not_there_is_named(options: SolrOptions) -> None:
    with pytest.raises(StoreRefused, match="configsets/absent"):
        SolrSink(replace(options, config_set="absent"), COLUMNS).connect()


def test_an_address_that_is_no_solr_is_refused(options: SolrOptions) -> None:
    elsewhere = replace(options, url=options.url.removesuffix("/solr") + "/elsewhere")
    with pytest.raises(StoreRefused, match="FLUMEN_SOLR_URL"):
        SolrSink(elsewhere, COLUMNS).connect()


def test_a_query_that_is_none_is_refused_with_its_reason(sink: SolrSink, reader: SolrReader) -> None:
    ask: list[Callable[[], object]] = [
        lambda: reader.search("(label:"),
        lambda: reader.facet_counts("no_such_field"),
    ]
    for query in ask:
        with pytest.raises(StoreRefused, match="HTTP 400"):
            query()


def test_a_reader_names_what_does_not_answer(options: SolrOptions) -> None:
    with socket.socket() as taken:  # taken, and nobody listens
        taken.bind(("127.0.0.1", 0))
        dead = replace(options, url=f"http://127.0.0.1:{taken.getsockname()[1]}/solr")
        reader = SolrReader(dead)
        with pytest.raises(StoreUnavailable, match=f"{dead.url} does not answer: .*Connection refused"):
            reader.count()
    reader.close()
    with pytest.raises(StoreClosed):
        reader.count()
