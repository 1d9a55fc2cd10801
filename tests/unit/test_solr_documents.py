"""From columns to documents."""

from typing import Any

import numpy as np
import pytest

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.solr.documents import build_documents, int32_overflows
from flumen.stores.solr.schema import index_fields

FIELDS = index_fields(
    [
        Column("id", Kind.STRING, "", nullable=False),
        Column("knownlabel", Kind.INT32, ""),
        Column("prediction", Kind.INT32, ""),
        Column("ingested_at", Kind.TIMESTAMP, ""),
        Column("image_as_pgm", Kind.BINARY, ""),
    ]
)
ISO = ["1970-01-01T00:00:00.000Z", "2026-09-21T14:13:20.123Z", "1969-12-31T23:59:59.999Z"]


def batch_of_three(**columns: Any) -> Batch:
    ids = ["a", "b", "c"]
    defaults: dict[str, Any] = {
        "id": ids,
        "knownlabel": [7, None, 3],
        "prediction": np.array([7, 7, -1], dtype=np.int32),
        "ingested_at": [999, 1_790_000_000_123_456, -1],
        "image_as_pgm": [b"1", b"2", b"3"],
    }
    return Batch([ImageMessage(image_id, b"", 0) for image_id in ids]).with_columns(**(defaults | columns))


def test_a_row_is_a_document_by_field_name() -> None:
    first, second, third = build_documents(batch_of_three(), FIELDS)
    assert first == {"id": "a", "known_label": 7, "prediction": 7, "ingested_at": ISO[0], "correct": True}
    assert second == {"id": "b", "prediction": 7, "ingested_at": ISO[1]}
    assert third == {"id": "c", "known_label": 3, "prediction": -1, "ingested_at": ISO[2], "correct": False}


def test_times_may_be_an_array_and_may_be_null() -> None:
    times = [999, 1_790_000_000_123_456, -1]
    from_array = build_documents(batch_of_three(ingested_at=np.array(times)), FIELDS)
    assert [document["ingested_at"] for document in from_array] == ISO
    with_null = build_documents(batch_of_three(ingested_at=[None, *times[1:]]), FIELDS)
    assert [document.get("ingested_at", "absent") for document in with_null] == ["absent", *ISO[1:]]


def test_what_an_image_does_not_say_is_not_in_its_document() -> None:
    columns = [
        Column("id", Kind.STRING, ""),
        Column("iso", Kind.INT32, ""),
        Column("lens", Kind.STRING, ""),
        Column("keywords", Kind.STRINGS, ""),
        Column("latitude", Kind.DOUBLE, ""),
        Column("longitude", Kind.DOUBLE, ""),
        Column("not_in_the_batch", Kind.STRING, ""),
    ]
    values: dict[str, Any] = {
        "iso": [100, None, None],
        "lens": [None, None, None],
        "keywords": [["a", "b"], None, []],
        "latitude": [1.5, 2.0, None],
        "longitude": [-0.25, None, 3.0],
    }
    first, second, third = build_documents(batch_of_three(**values), index_fields(columns))
    place = {"latitude": 1.5, "longitude": -0.25, "location": "1.5,-0.25"}
    assert first == {"id": "a", "iso": 100, "keywords": ["a", "b"], **place}
    assert second == {"id": "b", "latitude": 2.0}
    assert third == {"id": "c", "keywords": [], "longitude": 3.0}


@pytest.mark.parametrize("as_array", [True, False])
def test_an_int_that_needs_more_than_32_bits_is_found(as_array: bool) -> None:
    values = [2**31 - 1, -(2**31) - 1, 2**31]
    batch = batch_of_three(knownlabel=np.array(values) if as_array else values)
    overflows = int32_overflows(batch, FIELDS)
    assert overflows.keys() == {1, 2}
    assert overflows[2] == f"knownlabel is {2**31}, outside int32"


def test_no_rows_are_no_documents() -> None:
    columns: dict[str, Any] = {name: [] for name in batch_of_three().columns}
    assert build_documents(Batch([]).with_columns(**columns), FIELDS) == []
