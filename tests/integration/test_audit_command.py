"""`flumen audit`, on real servers: what was damaged on purpose is found, named, and mended from Kudu."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from flumen.interceptor import Batch, Column, ImageMessage, Kind, load_chain, merge_columns
from flumen.replay.audit import Audit, Pace, Report
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink, Predicate
from flumen.stores.kudu.driver import Write, open_driver
from flumen.stores.solr import SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.documents import SolrDocuments

COUNT = 1_200
LARGE = "image 7"
SAMPLES: dict[Kind, Any] = {
    Kind.STRING: "text",
    Kind.BINARY: b"bytes",
    Kind.INT32: 7,
    Kind.INT64: 2**40,
    Kind.FLOAT: 0.1,
    Kind.DOUBLE: 0.1,
    Kind.BOOL: True,
    Kind.STRINGS: ["two", "one", "two"],
    Kind.JSON: "[0.5,0.5]",
    Kind.TIMESTAMP: -1_790_000_000_123_456,
}
COLUMNS = merge_columns(step.columns for step in load_chain())


def samples(ids: Sequence[str], columns: Sequence[Column] = COLUMNS, **changed: Any) -> Batch:
    """Rows with a value in every column, some of them null or no number."""
    count = len(ids)
    values: dict[str, Any] = {column.name: [SAMPLES[column.kind]] * count for column in columns}
    values |= {"id": list(ids), "knownlabel": [(None, 7, 3)[len(image_id) % 3] for image_id in ids]}
    values["probabilities"] = np.full((count, 10), 0.1, dtype=np.float32)
    values["contrast"] = [None if len(image_id) % 2 else float("nan") for image_id in ids]
    values |= {name: [value] * count for name, value in changed.items()}
    large = {image_id: b"x" * 150_000 for image_id in ids if image_id == LARGE}
    return Batch([ImageMessage(image_id, large.get(image_id, b"image"), 0) for image_id in ids]).with_columns(
        **values
    )


@dataclass(frozen=True)
class Stores:
    kudu: KuduOptions
    solr: SolrOptions
    environment: dict[str, str]

    def write(self, batch: Batch, *, kudu: bool = True, solr: bool = True) -> None:
        sinks = [KuduSink(self.kudu, COLUMNS)] * kudu + [SolrSink(self.solr, COLUMNS)] * solr
        for sink in sinks:
            sink.connect()
            assert not sink.write(batch)
            sink.close()

    def audit(self, **options: Any) -> Report:
        with (
            closing(KuduReader(self.kudu)) as tables,
            closing(SolrDocuments(self.solr, COLUMNS)) as documents,
        ):
            documents.connect()
            where, sleep = options.pop("where", ""), options.pop("sleep", lambda _: None)
            pace = Pace(grace_s=0.0, orphans_s=0.0, sleep=sleep)
            return Audit(tables, documents, COLUMNS, pace=pace, **options).run(where)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flumen", "audit", *arguments],
            check=False,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=240,
        )


@pytest.fixture(scope="module")
def ids() -> list[str]:
    odd = ["a,b", 'quo"te', "<script>", "üñ\u202e", "x" * 2000]
    return [f"image {row}" for row in range(COUNT - len(odd))] + odd


@pytest.fixture
def stores(flumen_stack: Any, flumen_names: Any) -> Stores:
    environment = {
        "FLUMEN_KUDU_MASTERS": flumen_stack.kudu_masters,
        "FLUMEN_KUDU_TABLE_PREFIX": flumen_names.kudu_prefix,
        "FLUMEN_SOLR_URL": flumen_stack.solr_url,
        "FLUMEN_SOLR_CORE": flumen_names.solr_core,
    }
    return Stores(
        KuduOptions(masters=flumen_stack.kudu_masters, table_prefix=flumen_names.kudu_prefix, partitions=2),
        SolrOptions(url=flumen_stack.solr_url, core=flumen_names.solr_core),
        environment,
    )


def kinds(report: Report) -> dict[str, tuple[int, int]]:
    return {kind: (each.found, each.mended) for kind, each in report.counts.items() if each.found}


def test_an_index_is_rebuilt_and_damage_is_found_and_mended(stores: Stores, ids: list[str]) -> None:
    stores.write(samples(ids), solr=False)
    rebuilt = stores.command("--rebuild", "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr
    told = json.loads(rebuilt.stdout)
    assert (told["images"], told["left"]) == (COUNT, 0)
    assert [(each["kind"], each["mended"]) for each in told["kinds"] if each["found"]] == [("missing", COUNT)]

    with closing(SolrReader(stores.solr)) as reader:
        assert reader.count() == COUNT
        row = reader.get("a,b")
        assert row is not None
        assert row["latitude"] == 0.1
        assert reader.facet_counts("keywords") == {"one": COUNT, "two": COUNT}
    assert kinds(stores.audit()) == {}

    with closing(SolrSink(stores.solr, COLUMNS)) as sink:
        sink.connect()
        sink.remove(samples(ids[:3]))
        sink.write(samples(["nobody's", "nor his"]))
        sink.write(samples(ids[10:14], classified_at=-1_800_000_000_000_000, label="another"))
        sink.write(samples(ids[20:25], iso=8))
    with closing(open_driver(stores.kudu)) as driver:
        table = f"{stores.kudu.table_prefix}image_chunks"
        found = driver.scan(table, ["id", "seq"], [Predicate("seq", "=", (1,))])
        driver.apply([Write(table, rows, "delete") for rows in list(found)])

    damaged = stores.audit()
    damage = {"missing": 3, "extra": 2, "stale": 4, "different": 5, "incomplete": 1}
    assert kinds(damaged) == {kind: (count, 0) for kind, count in damage.items()}
    assert damaged.counts["different"].examples[0].columns == ["iso"]
    assert set(damaged.counts["stale"].examples[0].columns) == {"classified_at", "label"}
    assert damaged.counts["incomplete"].examples[0].image_id == LARGE
    assert damaged.left == sum(damage.values())

    mended = stores.command("--fix", "--grace", "0")
    assert mended.returncode == 1  # the pieces of an image are nowhere to be had
    assert "publish them again" in mended.stderr
    assert kinds(stores.audit()) == {"incomplete": (1, 0)}


def test_what_changes_meanwhile_is_no_damage_and_is_not_overwritten(stores: Stores, ids: list[str]) -> None:
    some = ids[:30]
    stores.write(samples(some, iso=1))
    stores.write(samples(some[:20], iso=2), solr=False)

    def a_worker_goes_on(_: float) -> None:
        stores.write(samples(some[:10], iso=2), kudu=False)  # what was on its way has arrived
        stores.write(samples(some[10:15], iso=3), solr=False)  # and this is on its way yet

    report = stores.audit(fix=True, sleep=a_worker_goes_on)
    assert kinds(report) == {"different": (5, 5)}
    assert report.moving == 5
    with closing(SolrReader(stores.solr)) as reader:
        found = [reader.get(image_id) for image_id in some]
    assert [row and row["iso"] for row in found] == [2] * 10 + [1] * 5 + [2] * 5 + [1] * 10


def test_what_a_worker_has_in_solr_alone_is_left_alone(stores: Stores, ids: list[str]) -> None:
    """Kudu stalls: the row is older than the document, or not there yet."""
    some = ids[:6]
    stores.write(samples(some[:4], iso=1))
    now = time.time_ns() // 1000
    stores.write(samples(some[2:], iso=2, classified_at=now), kudu=False)
    report = stores.audit(fix=True)
    assert kinds(report) == {}
    assert report.moving == 4
    with closing(SolrReader(stores.solr)) as reader:
        found = [reader.get(image_id) for image_id in some]
    assert [row and row["iso"] for row in found] == [1, 1, 2, 2, 2, 2]
    stores.write(samples(some[2:], iso=2, classified_at=now), solr=False)
    assert kinds(stores.audit()) == {}


def test_a_document_that_was_replaced_is_left_and_a_challengers_word_is_kept(
    stores: Stores, ids: list[str]
) -> None:
    stores.write(samples(ids[:2], iso=1))
    with closing(SolrDocuments(stores.solr, COLUMNS)) as documents:
        documents.connect()
        read = documents.read(ids[:2])
        one = samples(ids[:1], iso=5)
        assert documents.put(one, [read[ids[0]] | {"disagreement": True}]) == {}
        assert documents.read(ids[:1])[ids[0]]["disagreement"] is True
        documents.put(samples(ids[:1], iso=6), [read[ids[0]]])
        documents.remove([read[ids[0]]])
        documents.put(samples(ids[1:2], iso=6), [None])
        assert {name: each["iso"] for name, each in documents.read(ids[:2]).items()} == {
            ids[0]: 5,
            ids[1]: 1,
        }
    assert kinds(stores.audit(where=f"id = '{ids[0]}'")) == {"different": (1, 0)}
    assert kinds(stores.audit(where="id = 'image 1'")) == {}


def test_what_cannot_be_audited_is_an_error_that_says_what_to_do(stores: Stores, ids: list[str]) -> None:
    stores.write(samples(ids[:2]), solr=False)
    none = stores.command()
    assert none.returncode == 1
    assert "no such index" in none.stderr
    stores.write(samples(ids[:2]))
    typo = stores.command("--where", "lable = '7'")
    assert typo.returncode == 1
    assert "lable" in typo.stderr
    whole = stores.command("--grace", "0")
    assert whole.returncode == 0, whole.stderr
    assert "The index says what Kudu says" in whole.stderr
