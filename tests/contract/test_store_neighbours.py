"""Which images a model sees near one: memory says it by comparing all, and Solr by a graph, and both say the same."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from contract_samples import COLUMNS, sample_batch

from flumen.interceptor.batch import Batch
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import NoEmbedding, NoSuchImage
from flumen.stores.memory import MemoryNeighbours, MemorySink, MemoryStore
from flumen.stores.neighbours import NeighbourReader
from flumen.stores.sink import Sink
from flumen.stores.solr import SolrAnswers, SolrLabels, SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.search import Search

HASH = Column("perceptual_hash", Kind.INT64, "How it looks.")
DIMENSIONS = 20
"""Of no field's own size: the index has it with zeros behind."""


@dataclass(frozen=True, slots=True)
class Near:
    sink: Sink
    reader: NeighbourReader
    settle: Callable[[], None]


@pytest.fixture(params=["memory", "solr"])
def near(request: pytest.FixtureRequest) -> Iterator[Near]:
    if request.param == "memory":
        store = MemoryStore()
        memory = MemorySink(store, COLUMNS)
        memory.connect()
        yield Near(memory, MemoryNeighbours(store), lambda: None)
        return
    options = solr_options(request)
    reader, sink = SolrReader(options), SolrSink(options, COLUMNS)
    sink.connect()
    yield Near(sink, reader, reader.commit)
    sink.close()
    reader.close()


def solr_options(request: pytest.FixtureRequest) -> SolrOptions:
    stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
    return SolrOptions(url=stack.solr_url, core=names.solr_core)


def vectors(count: int, dimensions: int = DIMENSIONS) -> Any:
    """Of ten kinds that point ten ways, each image a little beside; lengths from 1 to a million."""
    random = np.random.default_rng(5)
    kinds = random.normal(size=(10, dimensions))
    found = kinds[np.arange(count) % 10] + random.normal(scale=0.3, size=(count, dimensions))
    return (found * random.uniform(1, 1e6, (count, 1))).astype("<f4")


def images(embeddings: Sequence[Any], name: str = "image", **columns: Any) -> Batch:
    cells = [None if each is None else np.asarray(each, "<f4").tobytes() for each in embeddings]
    return sample_batch([f"{name} {row}" for row in range(len(cells))], embedding=cells, **columns)


def nearest(embeddings: Any, to: int, most: int) -> list[tuple[str, float]]:
    units = embeddings.astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    cosines = units @ units[to]
    rows = [row for row in np.argsort(-cosines).tolist() if row != to]
    return [(f"image {row}", float(cosines[row])) for row in rows[:most]]


def found(near: Near, image_id: str, rows: int = 10) -> list[tuple[str, float]]:
    return [(row["id"], row["similarity"]) for row in near.reader.find_neighbours(image_id, rows=rows).rows]


def test_the_nearest_are_those_of_the_smallest_angle(near: Near):
    embeddings = vectors(300)
    assert not near.sink.write(images(embeddings))
    near.settle()
    for row in range(0, 300, 29):
        expected, given = nearest(embeddings, row, 10), found(near, f"image {row}")
        assert [each[0] for each in given] == [each[0] for each in expected]
        assert [each[1] for each in given] == pytest.approx([each[1] for each in expected], abs=1e-5)
    answer = near.reader.find_neighbours("image 0")
    assert (answer.model, answer.model_version) == ("mnist", 1)


def test_only_images_of_the_same_version_are_compared(near: Near):
    embeddings = vectors(20)
    models = ["mnist"] * 10 + ["else"] * 10
    versions = np.arange(20, dtype=np.int32) % 2 + 1
    assert not near.sink.write(images(embeddings, model=models, model_version=versions))
    near.settle()
    assert {each for each, _ in found(near, "image 3", 50)} == {f"image {row}" for row in (1, 5, 7, 9)}


def test_what_has_no_direction_is_near_nothing(near: Near):
    first, second = vectors(2)
    nothing = np.zeros(DIMENSIONS)
    assert not near.sink.write(images([first, second, nothing, None]))
    near.settle()
    assert [each for each, _ in found(near, "image 0")] == ["image 1"]
    for image_id in ("image 2", "image 3"):
        with pytest.raises(NoEmbedding, match=image_id):
            near.reader.find_neighbours(image_id)
    with pytest.raises(NoSuchImage, match="'else'"):
        near.reader.find_neighbours("else")


def test_an_image_that_comes_again_has_the_newer_embedding_or_none(near: Near):
    here, there = np.eye(DIMENSIONS)[:2]
    assert not near.sink.write(images([here, here, here]))
    assert not near.sink.write(images([here, there, None]))
    near.settle()
    assert found(near, "image 0") == [("image 1", pytest.approx(0, abs=1e-6))]


@pytest.mark.parametrize("dimensions", [1, 16, 17, 1000, 1024])
def test_every_size_has_a_field(request: pytest.FixtureRequest, dimensions: int):
    near = Near(*_solr(request))
    embeddings = vectors(30, dimensions)
    assert not near.sink.write(images(embeddings))
    near.settle()
    given = found(near, "image 4", 29)
    assert [each[1] for each in given] == pytest.approx(
        [each[1] for each in nearest(embeddings, 4, 29)], abs=1e-5
    )


def test_changing_one_field_of_a_document_leaves_what_it_is_found_by(request: pytest.FixtureRequest):
    sink, reader, settle = _solr(request, (*COLUMNS, HASH))
    assert not sink.write(images(vectors(12), perceptual_hash=[5] * 12))
    settle()
    options = solr_options(request)
    labels, answers = SolrLabels(options), SolrAnswers(options)
    for each in (labels, answers):
        each.connect()
        request.addfinalizer(each.close)
    labels.set_labels({"image 1": 4})
    challenged = sample_batch(["image 2"]).with_columns(disagreement=[True])
    answers.write(challenged)
    settle()
    assert reader.get("image 1")["knownlabel"] == 4  # type: ignore[index]
    assert reader.count("disagreement:true") == 1
    others = {f"image {row}" for row in range(1, 12)}
    assert {each for each, _ in found(Near(sink, reader, settle), "image 0", 11)} == others
    assert {row["id"] for row in reader.find_alike("image 0", Search(rows=11), 3).rows} == others


def _solr(
    request: pytest.FixtureRequest, columns: Sequence[Column] = COLUMNS
) -> tuple[SolrSink, SolrReader, Callable[[], None]]:
    options = solr_options(request)
    reader, sink = SolrReader(options), SolrSink(options, columns)
    request.addfinalizer(sink.close)
    request.addfinalizer(reader.close)
    sink.connect()
    return sink, reader, reader.commit
