"""What every store promises about labels that are changed behind the back of what writes images."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from contract_samples import COLUMNS, sample_batch

from flumen.interceptor.columns import Column, Kind
from flumen.stores import LabelSink, Reader, Sink, Store, StoreClosed, find_store
from flumen.stores.kudu import KuduOptions
from flumen.stores.memory import STORE as MEMORY
from flumen.stores.memory import MemoryStore
from flumen.stores.solr import SolrOptions

Opened = tuple[Sink, LabelSink, Reader, Callable[[], None]]


def opened(store: Store[Any], options: Any) -> Opened:
    assert store.make_labels is not None
    columns = COLUMNS
    if not any(column.name == "knownlabel" for column in columns):
        columns = (*columns, Column("knownlabel", Kind.INT32, "the known class"))
    reader = store.make_reader(options)
    return (
        store.make_sink(options, columns),
        store.make_labels(options),
        reader,
        getattr(reader, "commit", int),
    )


@pytest.fixture(params=["memory", "solr", "kudu"])
def of_store(request: pytest.FixtureRequest) -> Opened:
    if request.param == "memory":
        return opened(MEMORY, MemoryStore())
    stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
    if request.param == "solr":
        return opened(find_store("solr"), SolrOptions(url=stack.solr_url, core=names.solr_core))
    options = KuduOptions(masters=stack.kudu_masters, table_prefix=names.kudu_prefix, partitions=2)
    return opened(find_store("kudu"), options)


def test_labels_change_on_what_is_there_and_on_nothing_else(of_store: Opened) -> None:
    sink, labels, reader, commit = of_store
    with pytest.raises(StoreClosed):
        labels.set_labels({"a": 1})
    sink.connect()
    ids = ["a", "b", "c, d", "nul\x00inside"]
    prediction = np.array([7, 7, 7, 7], np.int32)
    assert not sink.write(sample_batch(ids, knownlabel=[1, 1, None, 1], prediction=prediction))
    labels.connect()
    commit()
    before: Mapping[str, Any] = reader.get("a") or {}
    labels.set_labels({"a": 7, "b": None, "c, d": 3, "nobody": 5})
    labels.set_labels({ids[3]: 7})
    labels.set_labels({})
    commit()
    rows = {image_id: reader.get(image_id) or {} for image_id in ids}
    assert [rows[image_id]["knownlabel"] for image_id in ids] == [7, None, 3, 7]
    assert reader.get("nobody") is None
    changed = {"knownlabel": 7} | ({"correct": True} if "correct" in before else {})
    assert rows["a"] == {**before, **changed}
    if "correct" in before:
        assert [rows[image_id]["correct"] for image_id in ids] == [True, None, False, True]
    for each in (sink, labels, reader):
        each.close()
