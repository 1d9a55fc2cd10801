"""What an audit relies on of both stores: the real ones, and their twins in memory."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from contract_samples import COLUMNS, sample_batch

from flumen.interceptor import Batch
from flumen.replay.audit.memory import MemoryDocuments, MemoryKudu
from flumen.replay.audit.seams import AuditedDocuments, AuditedTables, ChunkTables
from flumen.stores import StoreRefused
from flumen.stores.kudu import KuduChunks, KuduOptions, KuduReader, KuduSink, Predicate
from flumen.stores.kudu.schema import CHUNK_BYTES
from flumen.stores.solr import SolrOptions, SolrSink
from flumen.stores.solr.documents import SolrDocuments

LARGE = 2 * CHUNK_BYTES + 5


@dataclass(frozen=True)
class Index:
    documents: AuditedDocuments
    write: Callable[[Batch], Any]


@dataclass(frozen=True)
class Tables:
    tables: AuditedTables
    chunks: ChunkTables
    write: Callable[[Batch], Any]


@pytest.fixture(params=["memory", "solr"])
def index(request: pytest.FixtureRequest) -> Iterator[Index]:
    if request.param == "memory":
        twin = MemoryDocuments(COLUMNS)
        yield Index(twin, twin.write)
        return
    stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
    options = SolrOptions(url=stack.solr_url, core=names.solr_core)
    with closing(SolrSink(options, COLUMNS)) as sink, closing(SolrDocuments(options, COLUMNS)) as documents:
        sink.connect()
        documents.connect()
        yield Index(documents, sink.write)


@pytest.fixture(params=["memory", "kudu"])
def tables(request: pytest.FixtureRequest) -> Iterator[Tables]:
    if request.param == "memory":
        twin = MemoryKudu(COLUMNS)
        yield Tables(twin, twin, twin.write)
        return
    stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
    options = KuduOptions(masters=stack.kudu_masters, table_prefix=names.kudu_prefix, partitions=2)
    with ExitStack() as opened:
        sink = opened.enter_context(closing(KuduSink(options, COLUMNS)))
        reader = opened.enter_context(closing(KuduReader(options)))
        chunks = opened.enter_context(closing(KuduChunks(options)))
        sink.connect()
        yield Tables(reader, chunks, sink.write)
        chunks.close()


def test_documents_are_what_their_rows_make(index: Index) -> None:
    ids = [f"image {row}" for row in range(9)]
    batch = sample_batch(
        ids,
        latitude=[0.1, None, *[1 / 3] * 7],
        confidence=[float("nan"), *[0.1] * 8],
        knownlabel=[None, *range(8)],
    )
    index.write(batch)
    documents = index.documents.read([*ids, "nobody's"])
    assert documents.keys() == set(ids)
    assert index.documents.differing(batch, [documents[each] for each in ids]) == [[]] * 9
    others = sample_batch(
        ids, knownlabel=[None, *range(8)], confidence=batch.columns["confidence"], label=["other"] * 9
    )
    named = index.documents.differing(others, [documents[each] for each in ids])
    assert named[1] == ["latitude", "label", "location"]
    assert index.documents.differing(batch, [{}] * 9)[0][0] == "id"
    index.documents.commit()
    assert index.documents.count() == 9
    assert sorted(each for some in index.documents.ids() for each in some) == ids


def test_a_document_is_written_or_deleted_only_where_it_is_still_the_one_that_was_read(index: Index) -> None:
    index.write(sample_batch(["a", "b", "c"]))
    read = index.documents.read(["a", "b", "c"])
    index.write(sample_batch(["b"], width=[30]))
    changed = sample_batch(["a", "b", "c", "d"], width=[31] * 4)
    put = index.documents.put(changed, [read["a"], read["b"], None, None])
    now = index.documents.read(["a", "b", "c", "d"])
    assert {each: document["width"] for each, document in now.items()} == {"a": 31, "b": 30, "c": 28, "d": 31}
    assert put.refused == {}
    assert put.versions == {0: now["a"]["_version_"], 3: now["d"]["_version_"]}
    index.documents.remove([read["a"], now["b"], read["c"], now["d"]])
    index.documents.remove([now["d"]])  # which is gone
    assert index.documents.read(["a", "b", "c", "d"]).keys() == {"a"}


def test_what_would_be_refused_is_what_is_refused(index: Index) -> None:
    ids = ["good", "long", "longest that is good", "long word", "accents"]
    batch = sample_batch(
        ids,
        name=["a", "x" * 32_767, "x" * 32_766, "a", "\u00e9" * 16_384],
        keywords=[None, None, ["x" * 32_766], ["a", "x" * 40_000], None],
    )
    told = index.documents.refusals(batch)
    assert {row: reason.split()[0] for row, reason in told.items()} == {1: "name", 3: "keywords", 4: "name"}
    put = index.documents.put(batch, [None] * len(ids))
    assert put.refused.keys() == told.keys()
    assert put.versions.keys() == {0, 2}
    assert index.documents.read(ids).keys() == {"good", "longest that is good"}


def test_chunks_are_taken_out_and_put_back_where_none_are(tables: Tables) -> None:
    tables.write(sample_batch(["a", "b"], [b"a" * LARGE, b"b" * LARGE]))
    columns = ["id", "seq", "data"]

    def there() -> dict[tuple[str, int], bytes]:
        return {
            (row["id"], row["seq"]): row["data"]
            for rows in tables.tables.scan("image_chunks", columns)
            for row in rows.to_pylist()
        }

    of_a = [Predicate("id", "=", ("a",))]
    kept = pa.Table.from_batches(list(tables.tables.scan("image_chunks", columns, of_a)))
    [chunks] = kept.combine_chunks().to_batches()
    before = there()
    tables.chunks.remove("image_chunks", chunks.select(["id", "seq"]))
    tables.chunks.remove("image_chunks", chunks.select(["id", "seq"]))
    assert {image_id for image_id, _ in there()} == {"b"}
    tables.write(sample_batch(["a"], [b"c" * (CHUNK_BYTES + 1)]))
    tables.chunks.put_back("image_chunks", chunks)
    assert there() == before | {("a", 0): b"c" * CHUNK_BYTES, ("a", 1): b"c"}


def test_a_moment_stays_as_it_was_and_a_scan_sees_what_is_there_by_now(tables: Tables) -> None:
    tables.write(sample_batch(["a"], width=[1]))
    wanted = ["id", "width", "chunks", "view_chunks"]
    tokens = tables.tables.scan_tokens("images", wanted, [Predicate("width", ">", (0,))])
    tables.write(sample_batch(["b"], width=[2]))
    found = [
        rows.to_pylist() for rows in tables.tables.scan("images", wanted, [Predicate("id", "in", ("b", "c"))])
    ]
    assert [row for rows in found for row in rows] == [{"id": "b", "width": 2, "chunks": 0, "view_chunks": 0}]
    reading = tables.tables.read_tokens("images", wanted, dict(enumerate(tokens)), 1)
    assert {row["id"] for given in reading if given.rows is not None for row in given.rows.to_pylist()} >= {
        "a"
    }
    assert {"images", "image_chunks", "view_chunks", "predictions"} <= set(tables.tables.tables())
    assert tables.tables.schema("images").names[0] == "id"
    with pytest.raises(StoreRefused, match="no"):
        tables.tables.schema("nobodys")
    with pytest.raises(StoreRefused, match="no"):
        tables.tables.scan_tokens("nobodys", ["id"])
