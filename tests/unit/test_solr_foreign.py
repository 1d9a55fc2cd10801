"""What answers in Solr's place is told from Solr: nothing is taken as stored on its word."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from recorder import Recorder, serving

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.stores.errors import StoreError, StoreRefused, StoreUnavailable
from flumen.stores.solr import SolrMigration, SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.answers import SolrAnswers
from flumen.stores.solr.search import Search

CONNECTED = b"""{"responseHeader": {}, "mode": "std", "schema": {
    "fields": [], "dynamicFields": [], "copyFields": [], "uniqueKey": "id", "fieldTypes": []}}"""
IMAGES = Batch([ImageMessage("a", b"", 0)]).with_columns(id=["a"], disagreement=[True])

ANSWERS = {
    "a page": (200, b"<html>sign in</html>"),
    "nothing": (200, b""),
    "bytes": (200, bytes(range(256))),
    "an empty object": (200, b"{}"),
    "a list": (200, b"[]"),
    "a number": (200, b"1"),
    "another form": (200, b'{"response": 1}'),
    "an error that is a text": (400, b'{"error": "no"}'),
    "an error that is null": (500, b'{"error": null}'),
    "not found, by something else": (404, b'{"error": "no such page"}'),
    "an error of bytes": (503, bytes(range(256))),
}


@pytest.fixture
def server() -> Iterator[Recorder]:
    with serving() as recorder:
        recorder.status, recorder.body = 200, CONNECTED
        yield recorder


def questions(options: SolrOptions) -> Iterator[Callable[[], Any]]:
    """Yield every way of asking Solr; what has to connect first does so before it is yielded."""
    sink, answers = SolrSink(options, []), SolrAnswers(options)
    sink.connect()
    assert not sink.write(IMAGES)
    answers.connect()
    yield lambda: sink.write(IMAGES)
    yield lambda: sink.remove(IMAGES)
    yield lambda: answers.write(IMAGES)
    yield sink.connect
    reader = SolrReader(options)
    yield reader.count
    yield reader.commit
    yield lambda: reader.get("a")
    yield reader.search
    yield lambda: reader.find(Search(facets=("label",)))
    yield lambda: reader.facet_counts("label")
    yield SolrMigration(options, []).plan


@pytest.mark.parametrize(("status", "body"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_not_solrs_is_told(server: Recorder, status: int, body: bytes) -> None:
    options = SolrOptions(url=f"http://127.0.0.1:{server.server_port}/solr", timeout_s=10)
    for ask in list(questions(options)):
        server.status, server.body = status, body
        with pytest.raises(StoreError) as caught:
            ask()
        assert type(caught.value) is (StoreUnavailable if status >= 500 else StoreRefused)
        assert "not Solr's" in str(caught.value)
        assert status >= 400 or "Check FLUMEN_SOLR_URL" in str(caught.value)


def test_a_migration_does_not_take_any_server_without_the_index_for_a_new_solr(server: Recorder) -> None:
    server.status, server.body = 404, b"<html>Not Found</html>"
    with pytest.raises(StoreRefused, match="Or check FLUMEN_SOLR_URL"):
        SolrMigration(SolrOptions(url=f"http://127.0.0.1:{server.server_port}"), []).plan()
