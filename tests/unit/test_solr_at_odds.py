"""An index at odds with its schema is told by Solr's own words, never by those of an image."""

import pytest

from flumen.stores.solr.sink import _AT_ODDS_WITH_SCHEMA

POINTS = (
    'cannot change field "width" from points dimensionCount=1, indexDimensionCount=1, numBytes=4 to inconsistent '
    "dimensionCount=0, indexDimensionCount=0, numBytes=0"
)
STRUCTURE = (
    "Inconsistency of field data structures across documents for field [width] of doc [3]. point dimension: "
    "expected '1', but it has '0'."
)
TOO_LONG = (
    'Document contains at least one immense term in field="label" (whose UTF8 encoding is longer than the max length '
    "32766), original message: bytes can be at most 32766 in length; got 40000. Perhaps the document has an indexed "
    "string field (solr.StrField) which is too large"
)


def said(image_id: str, error: str) -> str:
    return f"Exception writing document id {image_id} to the index; possible analysis error: {error}"


@pytest.mark.parametrize("error", [POINTS, STRUCTURE])
def test_an_index_at_odds_with_its_schema_is_told(error: str) -> None:
    assert _AT_ODDS_WITH_SCHEMA.search(said("a", error))
    assert _AT_ODDS_WITH_SCHEMA.search(said("a\nb", error))


@pytest.mark.parametrize("error", [POINTS, STRUCTURE])
def test_an_id_that_says_so_stops_no_worker(error: str) -> None:
    for image_id in (error, said("a", error), said("a", error) + "\n"):
        assert not _AT_ODDS_WITH_SCHEMA.search(said(image_id, TOO_LONG))
