"""Finding images that look like one: those whose perceptual hash differs in few bits, the nearest first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pysolr
from numpy.typing import NDArray

from flumen.interceptor.statistics.hashes import distances
from flumen.stores.errors import SchemaMismatch, StoreRefused
from flumen.stores.solr.bands import MOST_BITS, terms_within
from flumen.stores.solr.schema import HASH_BANDS, find_field
from flumen.stores.solr.search import EVERYTHING

HASH = "perceptual_hash"
DISTANCE = "distance"
"""What each row has beside its columns: in how many bits its hash differs."""

_HASHES_AT_ONCE = 500
"""Solr takes 1,024 values of a field that is not indexed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alike:
    """What is looked for: images like `image_id`, whose hash differs from `hash_` in `within` bits or fewer.

    Of those that match `query`, at most `rows`; the image itself is not among them.

    Raises:
        StoreRefused: `within` is no number from 0 to 15.
    """

    image_id: str
    hash_: int
    within: int
    query: str = EVERYTHING
    rows: int = 10

    def __post_init__(self) -> None:
        """Hold `within` to its bounds."""
        if not 0 <= self.within <= MOST_BITS:
            raise StoreRefused(
                f"within {self.within} bits nothing is looked for; give 0 to {MOST_BITS}. Pictures that differ in more "
                "have nothing to do with one another"
            )

    def candidates(self) -> dict[str, Any]:
        """Return Solr's parameters for all that have a band nearly in common with it."""
        terms = ",".join(terms_within(self.hash_, self.within))
        return {
            "q": self.query,
            "fq": [
                f"{{!terms f={HASH_BANDS.name} cache=false}}{terms}",
                "{!cache=false}*:* -{!term f=id v=$asked}",
            ],
            "asked": self.image_id,
        }


@dataclass(frozen=True, slots=True)
class FoundAlike:
    """What looks like an image of this hash: how many at each distance, in bits, and the nearest with their distance.

    `rows` are documents where Solr is asked, and rows by column where `SolrReader` is.
    """

    hash_: int
    counts: Mapping[int, int]
    rows: Sequence[Mapping[str, Any]]


def find_alike(index: pysolr.Solr, asked: Alike) -> FoundAlike:
    """Look for images like one; exact: what is within that many bits is found, and nothing else.

    Solr counts the hashes that have a band nearly in common, and how near they are is worked out here: a hash that a
    million images have is one of them.
    """
    common = asked.candidates()
    facet = {"hashes": {"type": "terms", "field": HASH, "limit": -1, "mincount": 1}}
    counted = index.search(rows=0, **{"json.facet": orjson.dumps(facet).decode()}, **common)
    buckets = counted.raw_response["facets"].get("hashes", {}).get("buckets", ())
    hashes = np.array([bucket["val"] for bucket in buckets], dtype=np.int64)
    counts = np.array([bucket["count"] for bucket in buckets], dtype=np.int64)
    far = distances(hashes, asked.hash_)
    by_distance = {bits: far == bits for bits in range(asked.within + 1)}
    found = {bits: int(counts[at].sum()) for bits, at in by_distance.items() if at.any()}
    nearest: list[Mapping[str, Any]] = []
    for bits in found:
        at_distance = _documents(index, common, hashes[by_distance[bits]], asked.rows - len(nearest))
        nearest += [{**document, DISTANCE: bits} for document in at_distance]
    return FoundAlike(asked.hash_, found, nearest)


def _documents(
    index: pysolr.Solr, common: Mapping[str, Any], hashes: NDArray[np.int64], most: int
) -> Iterator[Mapping[str, Any]]:
    """Yield the documents that have one of these hashes, at most so many."""
    values_of = np.sort(hashes).tolist()
    for start in range(0, len(values_of), _HASHES_AT_ONCE):
        if most <= 0:
            return
        values = (
            f"{{!terms f={HASH} cache=false}}{','.join(map(str, values_of[start : start + _HASHES_AT_ONCE]))}"
        )
        answer = index.search(rows=most, sort="id asc", **{**common, "fq": [*common["fq"], values]})
        yield from answer.docs
        most -= len(answer.docs)


def check_hashes(schema: Mapping[str, Any], index_url: str) -> None:
    """Look whether an index has hashes at all; `schema` is as Solr's Schema API describes it.

    Raises:
        SchemaMismatch: it has none.
    """
    if any(find_field(schema, name) is None for name in (HASH, HASH_BANDS.name)):
        raise SchemaMismatch(
            f"the Solr index {index_url} has no perceptual hashes yet. Run `flumen tables migrate` and start the "
            "workers again: images that come from then on have one; `flumen tables backfill` gives the others theirs"
        )
