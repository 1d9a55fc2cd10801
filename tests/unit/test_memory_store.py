"""What the memory store has beyond the contract suite: a switch, and rows that sinks share."""

import pytest

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import StoreClosed, StoreUnavailable
from flumen.stores.memory import MemoryReader, MemorySink, MemoryStore

COLUMNS = (Column("id", Kind.STRING, "", nullable=False), Column("model", Kind.STRING, "", nullable=False))


def batch_of(image_id: str, model: str | None = "mnist") -> Batch:
    return Batch([ImageMessage(image_id, b"image", 0)]).with_columns(id=[image_id], model=[model])


def connected(store: MemoryStore) -> MemorySink:
    sink = MemorySink(store, COLUMNS)
    sink.connect()
    return sink


def test_a_store_that_goes_down_keeps_its_rows() -> None:
    store = MemoryStore()
    sink, reader = connected(store), MemoryReader(store)
    sink.write(batch_of("a"))
    store.available = False
    with pytest.raises(StoreUnavailable):
        sink.write(batch_of("b"))
    with pytest.raises(StoreUnavailable):
        reader.count()
    store.available = True
    assert not sink.write(batch_of("b"))
    assert reader.count() == 2


def test_an_empty_batch_asks_nothing_of_a_store_that_is_down() -> None:
    store = MemoryStore()
    sink = connected(store)
    store.available = False
    assert not sink.write(Batch([]))


def test_a_null_where_none_may_be_is_a_failure() -> None:
    (failure,) = connected(MemoryStore()).write(batch_of("a", model=None))
    assert (failure.row, failure.reason) == (0, "model has no value")


@pytest.mark.parametrize(("size", "refused"), [(16_384, False), (16_385, True)])
def test_an_id_is_as_long_as_a_key_of_kudu_may_be(size: int, refused: bool) -> None:
    assert bool(connected(MemoryStore()).write(batch_of("x" * size))) == refused


def test_a_row_that_was_read_is_a_copy() -> None:
    store = MemoryStore()
    connected(store).write(batch_of("a"))
    row = MemoryReader(store).get("a")
    assert row == {"id": "a", "model": "mnist", "image": b"image"}
    assert row is not store.rows["a"]


def test_a_reader_that_was_closed_says_so() -> None:
    reader = MemoryReader(MemoryStore())
    reader.close()
    reader.close()
    with pytest.raises(StoreClosed):
        reader.count()
