"""What stores promise about the answers that stand for images, where a reclassification changes them."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from contract_samples import ARRIVED_AT, COLUMNS, sample_batch

from flumen.stores import StoreClosed, StoreRefused
from flumen.stores.kudu import KuduLabels, KuduOptions, KuduReader, KuduResults, KuduSink
from flumen.stores.results import ANSWER, DELIVERY, Result
from flumen.stores.solr import SolrAnswers, SolrOptions, SolrReader, SolrResults, SolrSink

IDS = ["a", "b", "c, d", "nul\x00inside"]
VIEW_BYTES = 150_000


@pytest.fixture
def options(flumen_stack: Any, flumen_names: Any) -> KuduOptions:
    return KuduOptions(masters=flumen_stack.kudu_masters, table_prefix=flumen_names.kudu_prefix, partitions=2)


@pytest.fixture
def solr_options(flumen_stack: Any, flumen_names: Any) -> SolrOptions:
    return SolrOptions(url=flumen_stack.solr_url, core=flumen_names.solr_core)


@pytest.fixture
def solr(solr_options: SolrOptions) -> Iterator[tuple[SolrSink, SolrResults, SolrReader]]:
    sink, index = SolrSink(solr_options, COLUMNS), SolrResults(solr_options, COLUMNS)
    with pytest.raises(StoreClosed):
        index.read(IDS)
    sink.connect()
    index.connect()
    reader = SolrReader(solr_options)
    yield sink, index, reader
    for each in (sink, index, reader):
        each.close()


def changed(**columns: Any) -> dict[str, Result]:
    """What rows of the samples say, with other answers."""
    batch = sample_batch(IDS, **{name: [value] * len(IDS) for name, value in columns.items()})
    names = ("id", *DELIVERY, *ANSWER)
    return {
        each: {name: np.asarray(batch.columns[name]).tolist()[row] for name in names}
        for row, each in enumerate(IDS)
    }


def test_kudu_changes_the_answers_of_rows_that_are_there(options: KuduOptions) -> None:
    with pytest.raises(StoreRefused, match="no Kudu table"):
        KuduResults(options)
    with closing(KuduSink(options, COLUMNS)) as sink, closing(KuduReader(options)) as reader:
        sink.connect()
        sink.write(sample_batch(IDS))
        before = {each: dict(reader.get(each) or {}) for each in IDS}
        with closing(KuduResults(options)) as results:
            assert results.read(IDS)["a"] == {name: before["a"][name] for name in ("id", *DELIVERY, *ANSWER)}
            view = bytes(range(250)) * (VIEW_BYTES // 250)
            results.write_views({"a": view, "gone": b"small"})
            row = {
                "prediction": 7,
                "label": "sieben",
                "view_chunks": 3,
                "image_as_pgm": None,
                "classified_at": 5,
                "embedding": b"none any more",
            }
            rows = pa.RecordBatch.from_pylist(
                [{"id": each, **row} for each in ("a", "c, d", "gone")],
                pa.schema(
                    [("id", pa.string()), *((name, pa.scalar(each).type) for name, each in row.items())]
                ),
            )
            results.update(rows)
            assert reader.get("a") == before["a"] | row | {"image_as_pgm": view}
            assert reader.get("b") == before["b"]
            assert reader.get("gone") is None
            results.remove_views(["a"])
            with pytest.raises(StoreRefused, match="0 of its 3 view chunks"):
                reader.get("a")
        with closing(KuduLabels(options)) as labels:  # what others change stays
            labels.connect()
            labels.set_labels({"b": 1})
        assert (reader.get("b") or {})["knownlabel"] == 1


def test_solr_changes_documents_that_are_still_as_they_were(solr: Any, solr_options: SolrOptions) -> None:
    sink, index, reader = solr
    prediction = np.array([7] * 4, np.int32)
    assert not sink.write(sample_batch(IDS, prediction=prediction, knownlabel=[7, 1, None, 3]))
    before = {each: dict(reader.get(each) or {}) for each in IDS}
    answers = changed(
        prediction=3, label="drei", confidence=0.1, model_version=9, classified_at=ARRIVED_AT + 7_000_000
    )
    documents = index.read([*IDS, "never"])
    assert set(documents) == set(IDS)
    assert index.put(documents, answers) == (IDS, [])
    after = index.read(IDS)
    assert index.differing(after, answers) == []
    assert index.differing({}, answers) == IDS
    assert index.put(after, answers) == ([], [])
    told = {"prediction": 3, "label": "drei", "confidence": float(np.float32(0.1)), "model_version": 9}
    told |= {"classified_at": ARRIVED_AT + 7_000_000}
    right = {"a": False, "b": False, "c, d": None, "nul\x00inside": True}
    for each in IDS:
        row = dict(reader.get(each) or {})
        assert row["confidence"] == pytest.approx(0.1)
        told["confidence"] = row["confidence"]
        assert row == before[each] | told | {"correct": right[each]}
    # What was replaced or deleted meanwhile stays so; one of another delivery is left alone.
    later = changed(prediction=5, label="fünf")
    assert not sink.write(sample_batch(["a"], prediction=prediction[:1]))
    sink.remove(sample_batch(["b"]))
    sent, others = index.put(after, later)
    assert (sent, others) == (IDS, [])
    assert (reader.get("a") or {})["prediction"] == 7
    assert reader.get("b") is None
    assert (reader.get("c, d") or {})["label"] == "fünf"
    assert index.differing(index.read(IDS), later) == ["a", "b"]
    elsewhen = {each: row | {"kafka_offset": -1} for each, row in later.items() if each == "c, d"}
    assert index.put(index.read(["c, d"]), elsewhen) == ([], ["c, d"])
    reader.commit()
    assert reader.count("label:fünf") == 2
    what_was_said_of_the_former_answer_goes(sink, index, reader, solr_options)


def what_was_said_of_the_former_answer_goes(
    sink: SolrSink, index: SolrResults, reader: SolrReader, solr_options: SolrOptions
) -> None:
    """What a challenger has said of it, and its vectors: those of the new embedding take their place."""
    assert not sink.write(sample_batch(IDS))
    with closing(SolrAnswers(solr_options)) as challenger:
        challenger.connect()
        challenger.write(sample_batch(["a", "b"], disagreement=[True, True]))
    answers = changed(model_version=9)
    index.put(index.read(["a"]), {"a": answers["a"]})
    assert {each: (reader.get(each) or {})["disagreement"] for each in "ab"} == {"a": None, "b": True}
    assert (reader.get("a") or {})["model_version"] == 9
    assert vectors(index) == {"a": {"embedding_16"}, "b": set(), "c, d": set(), "nul\x00inside": set()}
    for embedding, fields in ((np.arange(1, 21, dtype="<f4").tobytes(), {"embedding_32"}), (None, set())):
        answers = changed(embedding=embedding)
        assert set(index.put(index.read(IDS), answers)[0]) == set(IDS)
        assert index.differing(index.read(IDS), answers) == []
        assert vectors(index) == dict.fromkeys(IDS, fields)


def vectors(index: SolrResults) -> dict[str, set[str]]:
    found = index.read(IDS)
    return {each: {name for name in found[each] if name.startswith("embedding_")} for each in IDS}
