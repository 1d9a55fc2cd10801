"""Bands of perceptual hashes: what is near is found by one of them, and they are written as a field of many values."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_documents import read_cbor

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import StoreRefused
from flumen.stores.solr.alike import Alike
from flumen.stores.solr.bands import MOST_BITS, hash_bands, terms_within
from flumen.stores.solr.encoding import encode
from flumen.stores.solr.schema import index_fields

HASHES = st.integers(0, 2**63 - 1)
FIELDS = index_fields([Column("id", Kind.STRING, ""), Column("perceptual_hash", Kind.INT64, "")])


@given(HASHES, st.sets(st.integers(0, 62), max_size=MOST_BITS), st.integers(0, MOST_BITS))
def test_what_is_near_shares_a_band(hash_: int, places: set[int], bits: int) -> None:
    other = hash_
    for place in places:
        other ^= 1 << place
    (bands,) = hash_bands(np.array([other]))
    terms = set(terms_within(hash_, bits))
    if len(places) <= bits:
        assert terms & {band.decode() for band in bands}


def test_a_hash_in_bands() -> None:
    assert hash_bands(np.array([0x0123_4567_89AB_CDEF])).tolist() == [
        [b"0:0123", b"1:4567", b"2:89ab", b"3:cdef"]
    ]
    assert [len(terms_within(5, bits)) for bits in (0, 3, 4, 7, 8, 11, 15)] == [4, 4, 68, 68, 548, 548, 2788]


def documents(hashes: Any) -> list[Any]:
    images = [ImageMessage(str(row), b"", 0) for row in range(len(hashes))]
    encoded = encode(Batch(images, {"id": ["a"] * len(hashes), "perceptual_hash": hashes}), FIELDS)
    return [encoded.refused.get(row) or read_cbor(document) for row, document in enumerate(encoded.documents)]


@given(st.lists(st.one_of(HASHES, st.none()), min_size=1, max_size=20))
def test_documents_have_the_bands_of_their_hash(hashes: list[int | None]) -> None:
    found = documents(hashes)
    for hash_, document in zip(hashes, found, strict=True):
        bands = (
            [] if hash_ is None else [f"{band}:{hash_ >> 48 - 16 * band & 0xFFFF:04x}" for band in range(4)]
        )
        assert document.get("hash_bands", []) == bands
        assert document.get("perceptual_hash") == hash_
    if None not in hashes:
        assert documents(np.array(hashes, dtype=np.int64)) == found


def test_what_is_no_hash_has_no_bands_and_keeps_nobody_else_out() -> None:
    good, negative, large, text = documents([7, -1, 2**70, "what"])
    assert good["hash_bands"][3] == "3:0007"
    assert negative == {"id": "a", "perceptual_hash": -1}
    assert "outside int64" in large
    assert "is no int64" in text


@pytest.mark.parametrize("within", [-1, 16])
def test_bits_out_of_bounds_are_refused(within: int) -> None:
    with pytest.raises(StoreRefused, match="give 0 to 15"):
        Alike(image_id="a", hash_=1, within=within)
