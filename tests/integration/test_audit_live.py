"""`flumen audit --fix` beside whoever stores, labels and deletes images at the same time, on real servers."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from threading import Condition, Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flumen.interceptor import Batch, ImageMessage, Kind, load_chain, merge_columns
from flumen.replay.audit import Audit, Beside, Pace, Report
from flumen.replay.corrections import Corrector
from flumen.replay.corrections.stored import TABLES, row_counts
from flumen.stores.corrections import CurrentCorrections
from flumen.stores.kudu import (
    KuduChunks,
    KuduCorrections,
    KuduLabels,
    KuduOptions,
    KuduReader,
    KuduSink,
    Predicate,
)
from flumen.stores.kudu.driver import Write, open_driver
from flumen.stores.kudu.schema import CHUNK_BYTES
from flumen.stores.solr import SolrLabels, SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.documents import Put, SolrDocuments

COLUMNS = [
    column for column in merge_columns(step.columns for step in load_chain()) if column.kind is not Kind.JSON
]
NAMES = {column.name for column in COLUMNS}
IDS = [f"image {number}" for number in range(40)]
GOING = IDS[:10]
LABELLED = IDS[10:20]
STORED_ONCE = IDS[30:]
ROUNDS = 2


def batch_of(ids: Sequence[str], number: int, sizes: Sequence[int]) -> Batch:
    now = time.time_ns() // 1000
    values: dict[str, Any] = {
        "id": list(ids),
        "iso": [number] * len(ids),
        "knownlabel": [3] * len(ids),
        "prediction": [3] * len(ids),
        "model": ["mnist"] * len(ids),
        "model_version": [1] * len(ids),
        "ingested_at": [now] * len(ids),
        "classified_at": [now] * len(ids),
    }
    content = [bytes([number % 256]) * size for size in sizes]
    images = [ImageMessage(image_id, each, now) for image_id, each in zip(ids, content, strict=True)]
    assert set(values) <= NAMES
    return Batch(images).with_columns(**values, probabilities=np.full((len(ids), 10), 0.1, np.float32))


class Servers:
    """Where the stores are, and what acts on them with connections of its own."""

    def __init__(self, kudu: KuduOptions, solr: SolrOptions) -> None:
        self.kudu, self.solr = kudu, solr

    def sinks(self) -> list[Any]:
        return [KuduSink(self.kudu, COLUMNS), SolrSink(self.solr, COLUMNS)]

    def corrector(self) -> Corrector:
        labels = [KuduLabels(self.kudu), SolrLabels(self.solr)]
        return Corrector(KuduCorrections(self.kudu), self.sinks(), labels, "test")


class Worker:
    """Stores images as a worker does: look at the corrections, write, look again, and mend what was corrected."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._done = Condition()
        self.batches = 0
        self.stopped = self.ended = False
        self.error: Exception | None = None
        self.last: dict[str, tuple[int, int]] = {}
        """The number of the batch, and the size, that each image was stored with last."""

    def run(self) -> None:
        try:
            with ExitStack() as opened:
                sinks = [opened.enter_context(closing(sink)) for sink in self._servers.sinks()]
                labels = [KuduLabels(self._servers.kudu), SolrLabels(self._servers.solr)]
                current = opened.enter_context(
                    closing(CurrentCorrections(KuduCorrections(self._servers.kudu)))
                )
                for each in (*sinks, current, *labels):
                    each.connect()
                for label in labels:
                    opened.enter_context(closing(label))
                chance = random.Random(5)
                while not self.stopped:
                    self._store(sinks, labels, current, self.batches + 1, chance)
        except Exception as error:  # noqa: BLE001 - the test raises it
            self.error = error
        finally:
            with self._done:
                self.ended = True
                self._done.notify_all()

    def wait_for_batches(self, _seconds: float = 0.0) -> None:
        """Wait until what is being stored by now is stored, and another batch."""
        with self._done:
            wanted = self.batches + 2
            self._done.wait_for(lambda: self.ended or self.batches >= wanted)

    def _store(
        self,
        sinks: Sequence[Any],
        labels: Sequence[Any],
        current: CurrentCorrections,
        number: int,
        chance: random.Random,
    ) -> None:
        ids = chance.sample(IDS[:30], 6)
        sizes = [chance.choice([10, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]) for _ in ids]
        before = current.look(ids)
        wanted = [row for row, each in enumerate(ids) if each not in before or not before[each].deleted]
        batch = batch_of([ids[row] for row in wanted], number, [sizes[row] for row in wanted])
        for sink in chance.sample(list(sinks), 2):
            assert not sink.write(batch)
        found = current.look(ids)
        gone = [
            row for row, image in enumerate(batch.images) if image.id in found and found[image.id].deleted
        ]
        for sink in sinks:
            sink.remove(batch.take(gone))
        for label in labels:
            label.set_labels(
                {each: standing.knownlabel for each, standing in found.items() if not standing.deleted}
            )
        self.last |= {image.id: (number, len(image.content)) for image in batch.images}
        with self._done:
            self.batches += 1
            self._done.notify_all()


@pytest.fixture
def servers(flumen_stack: Any, flumen_names: Any) -> Servers:
    servers = Servers(
        KuduOptions(masters=flumen_stack.kudu_masters, table_prefix=flumen_names.kudu_prefix, partitions=2),
        SolrOptions(url=flumen_stack.solr_url, core=flumen_names.solr_core),
    )
    sinks = servers.sinks()
    for sink in sinks:
        sink.connect()
        assert not sink.write(batch_of(IDS, 0, [3 * CHUNK_BYTES] * len(IDS)))
        sink.close()
    return servers


def damage(servers: Servers, number: int) -> None:
    """Take out documents and a chunk's row, leave chunks of an image that never was, and bring back an old document."""
    some = IDS[number % 3 :: 3]
    with closing(SolrSink(servers.solr, COLUMNS)) as solr, closing(open_driver(servers.kudu)) as kudu:
        solr.connect()
        solr.remove(batch_of(some, 0, [1] * len(some)))
        solr.write(batch_of([f"nobody's {number}"], 0, [1]).with_columns(classified_at=[1], ingested_at=[1]))
        table = f"{servers.kudu.table_prefix}image_chunks"
        found = list(kudu.scan(table, ["id", "seq", "data"], [Predicate("id", "=", (IDS[-1],))]))
        for rows in found:
            ids = pa.array([f"orphan {number}"] * rows.num_rows)
            kudu.apply(
                [Write(table, pa.RecordBatch.from_arrays([ids, *rows.columns[1:]], schema=rows.schema))]
            )


class Delayed(SolrDocuments):
    """An index that is written to only after a worker has stored more, and one of the images has been deleted."""

    def __init__(self, servers: Servers, worker: Worker, corrector: Corrector) -> None:
        super().__init__(servers.solr, COLUMNS)
        self._worker = worker
        self._corrector = corrector
        self.deleted: list[str] = []

    def put(self, batch: Batch, documents: Sequence[Any]) -> Put:
        self._worker.wait_for_batches()
        if not self.deleted:
            self.deleted.append(batch.images[-1].id)
            self._corrector.delete(self.deleted)
        return super().put(batch, documents)

    def remove(self, documents: Sequence[Any]) -> None:
        if documents:
            self._worker.wait_for_batches()
        super().remove(documents)


@contextmanager
def auditing(
    servers: Servers, worker: Worker, corrected: Corrector
) -> Iterator[tuple[Callable[[], Report], Sequence[str]]]:
    with ExitStack() as opened:
        tables = opened.enter_context(closing(KuduReader(servers.kudu)))
        chunks = opened.enter_context(closing(KuduChunks(servers.kudu)))
        documents = opened.enter_context(closing(Delayed(servers, worker, corrected)))
        documents.connect()
        beside = Beside(corrected=corrected, chunks=chunks, originals=True)
        pace = Pace(sleep=worker.wait_for_batches)
        looking = lambda: Audit(tables, documents, COLUMNS, fix=True, pace=pace, beside=beside).run()  # noqa: E731
        yield looking, documents.deleted


def test_an_audit_that_mends_harms_nothing_that_is_stored_meanwhile(servers: Servers) -> None:
    worker = Worker(servers)
    thread = Thread(target=worker.run)
    mended = moving = 0
    with servers.corrector() as corrector, auditing(servers, worker, corrector) as (audit, deleted):
        thread.start()
        for number in range(0, 2 * ROUNDS, 2):
            damage(servers, number)
            corrector.delete(GOING[number : number + 2])
            corrector.label({LABELLED[number]: 7})
            report = audit()
            # What is stored meanwhile is neither incomplete nor damaged.
            kinds = {kind for kind, each in report.counts.items() if each.found}
            assert not kinds & {"incomplete", "damaged", "refused"}
            mended += sum(each.mended for each in report.counts.values())
            moving += report.moving
        worker.stopped = True
        thread.join()
        assert worker.error is None
        assert mended > ROUNDS * len(STORED_ONCE) // 3
        assert moving
        assert audit().left == 0
        last = audit()
        assert {kind: each.examples for kind, each in last.counts.items() if each.found} == {}
    with closing(KuduReader(servers.kudu)) as kudu, closing(SolrReader(servers.solr)) as solr:
        assert deleted
        gone = [*GOING[: 2 * ROUNDS], *deleted]
        assert row_counts(kudu, gone) == dict.fromkeys(TABLES, 0)
        assert [solr.get(image_id) for image_id in gone] == [None] * len(gone)
        for image_id in set(IDS) - set(gone):
            row, document = kudu.get(image_id), solr.get(image_id)
            assert row is not None
            assert document is not None
            stored, size = worker.last.get(image_id, (0, 3 * CHUNK_BYTES))
            label = 7 if image_id in LABELLED[: 2 * ROUNDS : 2] else 3
            assert (row["iso"], row["knownlabel"]) == (stored, label)
            assert (document["iso"], document["knownlabel"], document["correct"]) == (
                stored,
                label,
                label == 3,
            )
            assert row["image"] == bytes([stored % 256]) * size
