"""From columns to documents in CBOR."""

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_documents import COLUMNS, plain_documents, read_cbor

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.stores.solr.encoding import EncodedBatch, encode, request_body, requests_of
from flumen.stores.solr.schema import index_fields

FIELDS = index_fields(COLUMNS)
ISO = ["1970-01-01T00:00:00.000Z", "2026-09-21T14:13:20.123Z", "1969-12-31T23:59:59.999Z"]
YEAR_0, YEAR_9999 = -62_167_219_200_000_000, 253_402_300_799_999_999
"""Microseconds since the epoch, the ends of the years that have four digits."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ALIKE = st.text("0123456789abcdef", min_size=64, max_size=64)
FEW = st.sampled_from(["dark", "dim", "", "ünï"])
FLOATS = st.floats(width=32)
TIMES = st.integers(YEAR_0, YEAR_9999)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": TEXTS,
    "label": FEW,
    "sha256": ALIKE,
    "keywords": st.lists(TEXTS, max_size=3),
    "prediction": st.integers(-(2**31), 2**31 - 1),
    "knownlabel": st.integers(-2, 2),
    "shots": st.integers(-(2**63), 2**63 - 1),
    "confidence": FLOATS,
    "latitude": st.floats(),
    "longitude": st.floats(-180, 180),
    "flash_fired": st.booleans(),
    "ingested_at": TIMES,
    "sold_at": st.integers(-(2**62), 2**62),
}
DTYPES = {"prediction": np.int32, "shots": np.int64, "confidence": np.float32, "ingested_at": np.int64}


def batch_of(columns: dict[str, Any]) -> Batch:
    count = len(columns["id"])
    return Batch([ImageMessage(str(row), b"", 0) for row in range(count)]).with_columns(**columns)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Draw a batch with each column full, sparse, empty or not there, as a list or as an array."""
    count = draw(st.integers(1, 20))
    columns: dict[str, Any] = {}
    for name, values in VALUES.items():
        form = draw(st.sampled_from(["full", "array", "sparse", "empty", "absent"]))
        if form == "absent" and name not in {"id", "prediction", "knownlabel", "latitude", "longitude"}:
            continue
        some = st.none() if form == "empty" else values | st.none() if form == "sparse" else values
        cells = draw(st.lists(some, min_size=count, max_size=count))
        columns[name] = np.array(cells, DTYPES[name]) if form == "array" and name in DTYPES else cells
    return batch_of(columns)


def documents(encoded: EncodedBatch) -> list[Any]:
    assert not encoded.refused
    return [read_cbor(document) for document in encoded.documents]


@settings(max_examples=50)
@given(batches())
def test_documents_are_those_of_the_plain_way(batch: Batch) -> None:
    encoded = pickle.loads(pickle.dumps(encode(batch, FIELDS)))
    assert documents(encoded) == plain_documents(batch, FIELDS)
    assert read_cbor(request_body(encoded.documents[1:])) == documents(encoded)[1:]


def batch_of_three(**columns: Any) -> Batch:
    defaults: dict[str, Any] = {
        "id": ["a", "b", "c"],
        "knownlabel": [7, None, 3],
        "prediction": np.array([7, 7, -1], dtype=np.int32),
        "ingested_at": [999, 1_790_000_000_123_456, -1],
        "image_as_pgm": [b"1", b"2", b"3"],
    }
    return batch_of(defaults | columns)


def test_a_row_is_a_document_by_field_name() -> None:
    first, second, third = documents(encode(batch_of_three(), FIELDS))
    assert first == {"id": "a", "known_label": 7, "prediction": 7, "ingested_at": ISO[0], "correct": True}
    assert second == {"id": "b", "prediction": 7, "ingested_at": ISO[1]}
    assert third == {"id": "c", "known_label": 3, "prediction": -1, "ingested_at": ISO[2], "correct": False}


def test_times_may_be_an_array_and_may_be_null() -> None:
    times = [999, 1_790_000_000_123_456, -1]
    from_array = documents(encode(batch_of_three(ingested_at=np.array(times)), FIELDS))
    assert [document["ingested_at"] for document in from_array] == ISO
    with_null = documents(encode(batch_of_three(ingested_at=[None, *times[1:]]), FIELDS))
    assert [document.get("ingested_at", "absent") for document in with_null] == ["absent", *ISO[1:]]


def test_what_an_image_does_not_say_is_not_in_its_document() -> None:
    values: dict[str, Any] = {
        "shots": [100, None, None],
        "label": [None, None, None],
        "confidence": [np.nan, None, -np.inf],
        "keywords": [["a", "b"], None, []],
        "latitude": [1.5, 2.0, None],
        "longitude": [-0.25, None, 3.0],
    }
    columns = [column for column in COLUMNS if column.name in values]
    first, second, third = documents(encode(batch_of_three(**values), index_fields(columns)))
    assert first == {
        "shots_l": 100,
        "keywords": ["a", "b"],
        "latitude": 1.5,
        "longitude": -0.25,
        "location": "1.5,-0.25",
    }
    assert second == {"latitude": 2.0}
    assert third == {"keywords": [], "longitude": 3.0}


@pytest.mark.parametrize("as_array", [True, False])
def test_numbers_and_points_that_solr_would_refuse_are_null(as_array: bool) -> None:
    places = [(90, -180), (90.1, 0), (0, 180.1), (np.nan, 0), (0, np.inf), (-91, 0), (1.5, -200)]
    values: dict[str, Any] = {
        "latitude": [float(latitude) for latitude, _ in places],
        "longitude": [float(longitude) for _, longitude in places],
        "confidence": [0.5, 1e39, -1e300, np.nan, np.inf, -np.inf, 3e38],
    }
    columns = [column for column in COLUMNS if column.name in values]
    if as_array:
        values = {name: np.array(column) for name, column in values.items()}
    batch = Batch([ImageMessage(str(row), b"", 0) for row in range(len(places))], values)
    found = documents(encode(batch, index_fields(columns)))
    assert [document.get("location") for document in found] == ["90.0,-180.0", *[None] * 6]
    assert [row for row, document in enumerate(found) if "confidence" in document] == [0, 6]
    assert [row for row, document in enumerate(found) if "latitude" not in document] == [3]


@pytest.mark.parametrize("as_array", [True, False])
def test_an_int_that_needs_more_than_32_bits_refuses_its_row(as_array: bool) -> None:
    values = [2**31 - 1, -(2**31) - 1, 2**31]
    batch = batch_of_three(knownlabel=np.array(values) if as_array else values)
    encoded = encode(batch, FIELDS)
    assert encoded.refused.keys() == {1, 2}
    assert encoded.refused[2] == f"knownlabel is {2**31}, outside int32"
    assert read_cbor(encoded.documents[0])["known_label"] == 2**31 - 1


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("shots", 2**63, f"shots is {2**63}, outside int64"),
        ("shots", 2**70, f"shots is {2**70}, outside int64"),
        ("shots", "many", "shots is no int64: "),
        ("label", "\ud800", "label is no string: 'utf-8' codec can't encode"),
        ("label", 7, "label is no string: "),
        ("id", "\udfff", "id is no string: "),
        ("label", "x" * 2_000_000, "label is no string: it has 2,000,000 bytes, and Solr takes 32,766"),
        ("keywords", ["a", "\ud800"], "keywords is no strings: "),
        ("keywords", [["a"]], "keywords is no strings: "),
        ("confidence", "low", "confidence is no float: "),
        ("ingested_at", 2**70, f"ingested_at is {2**70}, outside timestamp"),
    ],
)
def test_what_cannot_be_stored_refuses_its_row_alone(name: str, value: Any, reason: str) -> None:
    good: Any = {"keywords": ["a"], "label": "x", "id": "y"}.get(name, 1)
    for values in ([good, value, good], [None, value, good]):
        encoded = encode(batch_of_three(**{name: values}), FIELDS)
        assert encoded.refused.keys() == {1}
        assert encoded.refused[1].startswith(reason)
        assert read_cbor(encoded.documents[2])


def test_arrays_are_strings_like_any_other_list() -> None:
    keywords = [np.array(["a", "b"]), None, ["c"]]
    columns = [column for column in COLUMNS if column.name == "keywords"]
    encoded = encode(batch_of_three(keywords=keywords), index_fields(columns))
    assert [read_cbor(document) for document in encoded.documents] == [
        {"keywords": ["a", "b"]},
        {},
        {"keywords": ["c"]},
    ]
    assert not encoded.refused


def test_a_request_has_some_mib_of_documents_or_one() -> None:
    mib = 1024 * 1024
    documents = [bytes(size * mib) for size in (3, 5, 1, 9, 1, 1)]
    assert [*requests_of([0, 1, 2, 3, 4, 5], documents)] == [[0, 1], [2], [3], [4, 5]]
    assert [*requests_of([1, 4, 5], documents)] == [[1, 4, 5]]
    assert [*requests_of([], documents)] == []


def test_no_rows_are_no_documents() -> None:
    columns: dict[str, Any] = {name: [] for name in batch_of_three().columns}
    assert encode(batch_of(columns), FIELDS) == EncodedBatch([], {})
