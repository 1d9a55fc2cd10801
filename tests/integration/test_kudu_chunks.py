"""Values larger than a cell in a real Kudu: no piece is left behind, and no image is put together of two."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import StoreUnavailable
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink
from flumen.stores.kudu.driver import Write, open_driver
from flumen.stores.kudu.schema import CHUNK_BYTES

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("sha256", Kind.STRING, ""),
    Column("image_as_pgm", Kind.BINARY, ""),
)


@pytest.fixture
def options(flumen_stack: Any, flumen_names: Any) -> KuduOptions:
    return KuduOptions(
        masters=flumen_stack.kudu_masters,
        table_prefix=flumen_names.kudu_prefix,
        partitions=2,
    )


@pytest.fixture
def sink(options: KuduOptions) -> Iterator[KuduSink]:
    sink = KuduSink(options, COLUMNS)
    sink.connect()
    yield sink
    sink.close()


@pytest.fixture
def reader(options: KuduOptions) -> Iterator[KuduReader]:
    reader = KuduReader(options)
    yield reader
    reader.close()


def large(seed: int, chunks: int) -> bytes:
    return np.random.default_rng(seed).bytes(chunks * CHUNK_BYTES)


def one(image_id: str, content: bytes, view: bytes) -> Batch:
    columns = {"id": [image_id], "sha256": [sha256(content).hexdigest()], "image_as_pgm": [view]}
    return Batch([ImageMessage(image_id, content, 0)], columns)


def keys(reader: KuduReader, table: str) -> list[tuple[str, int]]:
    found = [row for rows in reader.scan(table, ["id", "seq"]) for row in rows.to_pylist()]
    return sorted((row["id"], row["seq"]) for row in found)


def test_an_image_and_its_view_lie_in_pieces_of_their_own(sink: KuduSink, reader: KuduReader) -> None:
    content, view = large(1, 3), large(2, 2)
    assert not sink.write(one("a", content, view))
    assert keys(reader, "image_chunks") == [("a", 0), ("a", 1), ("a", 2)]
    assert keys(reader, "view_chunks") == [("a", 0), ("a", 1)]
    (row,) = next(reader.scan("images", ["image", "chunks", "image_as_pgm", "view_chunks"])).to_pylist()
    assert row == {"image": None, "chunks": 3, "image_as_pgm": None, "view_chunks": 2}
    assert (reader.read_image("a"), reader.read_view("a")) == (content, view)
    whole = reader.get("a")
    assert whole is not None
    assert (whole["image"], whole["image_as_pgm"]) == (content, view)


def test_small_values_stay_in_their_row(sink: KuduSink, reader: KuduReader) -> None:
    assert not sink.write(one("a", b"small", b"P5 view"))
    assert (reader.read_image("a"), reader.read_view("a")) == (b"small", b"P5 view")
    assert keys(reader, "image_chunks") == keys(reader, "view_chunks") == []


def test_removal_leaves_no_piece_behind_of_any_image_that_ever_had_the_id(
    sink: KuduSink, reader: KuduReader
) -> None:
    sink.write(one("stays", large(1, 2), b"P5"))
    sink.write(one("goes", large(2, 4), large(3, 3)))
    sink.write(one("goes", large(4, 2), b"P5"))
    assert keys(reader, "image_chunks").count(("goes", 3)) == 1, "what an image leaves that becomes smaller"
    sink.remove(one("goes", b"its last message need not be large", b"P5"))
    assert keys(reader, "image_chunks") == [("stays", 0), ("stays", 1)]
    assert keys(reader, "view_chunks") == []
    assert [reader.get(image_id) is None for image_id in ("stays", "goes")] == [False, True]


def test_an_image_is_never_put_together_of_two(
    sink: KuduSink, reader: KuduReader, options: KuduOptions
) -> None:
    """A worker that dies between the chunks and the row leaves the next image's chunks under the old row."""
    sink.write(one("a", large(1, 2), b"P5"))
    other = KuduSink(options, COLUMNS)
    other.connect()
    driver = open_driver(options)
    try:
        for part in other._chunk_parts(one("a", large(2, 2), b"P5"), ()):
            assert driver.apply([Write(part.write.table, part.write.rows)]) == [{}]
    finally:
        driver.close()
        other.close()
    with pytest.raises(StoreUnavailable, match="being replaced by another one of that id") as caught:
        reader.read_image("a")
    assert caught.value.retriable
    assert not sink.write(one("a", large(2, 2), b"P5"))  # delivered again, as nothing was acknowledged
    assert reader.read_image("a") == large(2, 2)
