"""What every store promises about a challenger's answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from contract_samples import COLUMNS, sample_batch

from flumen.interceptor.batch import Batch
from flumen.stores.errors import StoreClosed
from flumen.stores.kudu import KuduAnswers, KuduOptions, KuduReader, KuduSink
from flumen.stores.memory import MemoryAnswers, MemorySink, MemoryStore
from flumen.stores.sink import AnswerSink
from flumen.stores.solr import SolrAnswers, SolrOptions, SolrReader, SolrSink


def answers(*ids: str, differs: bool = True) -> Batch:
    count = len(ids)
    return sample_batch(
        ids,
        model_version=np.full(count, 9, dtype=np.int32),
        prediction=np.full(count, 5, dtype=np.int32),
        disagreement=[differs] * count,
    )


@pytest.fixture
def solr_options(flumen_stack: Any, flumen_names: Any) -> SolrOptions:
    return SolrOptions(url=flumen_stack.solr_url, core=flumen_names.solr_core)


@pytest.fixture
def kudu_options(flumen_stack: Any, flumen_names: Any) -> KuduOptions:
    return KuduOptions(
        masters=flumen_stack.kudu_masters,
        table_prefix=flumen_names.kudu_prefix,
        driver="jvm",
        partitions=2,
    )


@pytest.fixture(params=["memory", "solr", "kudu"])
def make(request: pytest.FixtureRequest) -> Callable[[], AnswerSink]:
    match request.param:
        case "memory":
            return lambda: MemoryAnswers(MemoryStore())
        case "solr":
            return lambda: SolrAnswers(request.getfixturevalue("solr_options"))
        case _:
            return lambda: KuduAnswers(request.getfixturevalue("kudu_options"))


def test_answers_need_a_connection(make: Callable[[], AnswerSink]) -> None:
    sink = make()
    with pytest.raises(StoreClosed):
        sink.write(answers("a"))
    sink.close()


def test_solr_updates_documents_that_are_there_and_makes_none(solr_options: SolrOptions) -> None:
    """All else of a document stays as it was, the fields that Solr derives as well."""
    sink, solr_answers, reader = (
        SolrSink(solr_options, COLUMNS),
        SolrAnswers(solr_options),
        SolrReader(solr_options),
    )
    sink.connect()
    solr_answers.connect()
    solr_answers.connect()
    ids = ["a", "b", "nul\x00inside", "caf\u00e9 +a -b"]
    assert not sink.write(sample_batch(ids))
    before = {image_id: reader.get(image_id) for image_id in ids}
    sink.remove(sample_batch(["b"]))
    solr_answers.write(answers("gone", "a", "never", *ids[2:]))
    solr_answers.write(answers("a", differs=False))
    solr_answers.write(answers())
    reader.commit()
    assert reader.count() == 3
    assert reader.get("gone") is None
    assert reader.get("b") is None
    for image_id, differs in (("a", False), (ids[2], True), (ids[3], True)):
        assert reader.get(image_id) == {**(before[image_id] or {}), "disagreement": differs}
    assert reader.count("disagreement:true") == 2
    assert reader.count("name_text:png") == 3, "words of the name are still found"
    assert not sink.write(sample_batch(["a"]))
    assert (reader.get("a") or {})["disagreement"] is None, "stored again, it waits to be asked about"
    for closing in (sink, solr_answers, reader, solr_answers):
        closing.close()


def test_kudu_keeps_every_models_answer(kudu_options: KuduOptions) -> None:
    sink, more, reader = KuduSink(kudu_options, COLUMNS), KuduAnswers(kudu_options), KuduReader(kudu_options)
    sink.connect()
    more.connect()
    more.connect()
    assert not sink.write(sample_batch(["a", "b"]))
    more.write(answers("a", "x" * 40_000))  # the second one is more than Kudu takes, and left out
    more.write(answers("a"))
    more.write(answers("y" * 40_000))
    more.write(answers())
    rows = [
        row
        for rows in reader.scan("predictions", ["id", "model_version", "prediction"])
        for row in rows.to_pylist()
    ]
    assert [(row["id"], row["model_version"], row["prediction"]) for row in rows] == [("a", 9, 5)]
    champions = [(row["model_version"], row["prediction"]) for row in map(reader.get, "ab") if row]
    assert champions == [(1, 0), (1, 1)]
    assert reader.count() == 2
    for closing in (more, more, sink, reader):
        closing.close()


def test_memory_does_as_they_do() -> None:
    store = MemoryStore()
    sink, more = MemorySink(store, COLUMNS), MemoryAnswers(store)
    sink.connect()
    more.connect()
    assert not sink.write(sample_batch(["a"]))
    more.write(answers("a", "gone"))
    assert store.rows.keys() == {"a"}
    assert store.rows["a"]["disagreement"]
    assert store.answers.keys() == {("a", "mnist", 9), ("gone", "mnist", 9)}
    assert not sink.write(sample_batch(["a"]))
    assert not sink.write(sample_batch(["a"], model_version=[2], prediction=[7]))
    assert store.rows["a"]["prediction"] == 7
    assert store.answers["a", "mnist", 1]["prediction"] == 0
    sink.remove(sample_batch(["a"]))
    assert store.answers.keys() == {("gone", "mnist", 9)}
