"""What becomes of what Solr answers."""

import pysolr
import pytest

from flumen.stores.errors import StoreError, StoreRefused, StoreUnavailable
from flumen.stores.solr import SolrOptions
from flumen.stores.solr.server import ErrorResponse, SolrServer, read_error, shorten

OPTIONS = SolrOptions(url="http://host:8983/solr/", core="a core/1")


@pytest.mark.parametrize(
    ("status", "reason", "kind", "part"),
    [
        (None, "connection refused", StoreUnavailable, "`flumen up`"),
        (500, "out of disk", StoreUnavailable, "out of disk"),
        (502, "Bad Gateway", StoreUnavailable, "HTTP 502"),
        (503, "loading", StoreUnavailable, "loading"),
        (429, "slow down", StoreUnavailable, "slow down"),
        (408, "too late", StoreUnavailable, "too late"),
        (500, "SolrCore 'a' is not available due to init failure: x", StoreRefused, "its log says why"),
        (500, "the id says init failure", StoreUnavailable, "HTTP 500"),
        (401, "require authentication", StoreRefused, "FLUMEN_SOLR_USERNAME"),
        (403, "forbidden", StoreRefused, "FLUMEN_SOLR_PASSWORD"),
        (404, "Not Found", StoreRefused, "FLUMEN_SOLR_CORE"),
        (409, "conflict", StoreRefused, "conflict"),
        (200, "OK; the answer is not Solr's", StoreRefused, "not Solr's"),
    ],
)
def test_the_status_decides_whether_to_wait(
    status: int | None, reason: str, kind: type[StoreError], part: str
) -> None:
    error = SolrServer(OPTIONS).store_error(ErrorResponse(status, reason))
    assert type(error) is kind
    assert part in str(error)
    assert "http://host:8983/solr" in str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Solr responded with an error (HTTP 400): [Reason: bad [doc=1]]", ErrorResponse(400, "bad [doc=1]")),
        ("Solr responded with an error (HTTP 400): [Reason: two\nlines]", ErrorResponse(400, "two\nlines")),
        ("Solr responded with an error (HTTP 404): [Reason: None]\n<html>", ErrorResponse(404, "Not Found")),
        ("Solr responded with an error (HTTP 599): [Reason: None]\n", ErrorResponse(599, "no reason given")),
        (
            "Connection to server 'http://host' timed out",
            ErrorResponse(None, "Connection to server 'http://host' timed out"),
        ),
    ],
)
def test_status_and_reason_come_out_of_the_text(text: str, expected: ErrorResponse) -> None:
    assert read_error(pysolr.SolrError(text)) == expected


def test_a_long_reason_keeps_its_end() -> None:
    short = shorten(f"Exception writing document id {'x' * 40_000}: bytes can be at most 32766 in length")
    assert len(short) < 600
    assert short.endswith("bytes can be at most 32766 in length")
    assert shorten("short") == "short"


def test_the_core_is_quoted_in_the_address() -> None:
    assert SolrServer(OPTIONS).index_url == "http://host:8983/solr/a%20core%2F1"
