"""`flumen audit`, on real servers: what was damaged on purpose is found, named, and mended from Kudu."""

import json
import socket
import socketserver
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pytest

from flumen.cli.commands import Commands
from flumen.interceptor import Batch, Column, ImageMessage, Kind, load_chain, merge_columns
from flumen.replay.audit import Audit, Finding, Pace, Report
from flumen.replay.errors import ReplayError
from flumen.stack.leftovers import remove_tables
from flumen.stores import StoreError, StoreRefused, StoreUnavailable
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink, Predicate
from flumen.stores.kudu.driver import Write, open_driver
from flumen.stores.solr import SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.documents import SolrDocuments

main = Commands(name="flumen")
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
    contents = [b"x" * 150_000 if image_id == LARGE else b"image" for image_id in ids]
    values["sha256"] = [sha256(content).hexdigest() for content in contents]
    values |= {name: [value] * count for name, value in changed.items()}
    images = [ImageMessage(image_id, content, 0) for image_id, content in zip(ids, contents, strict=True)]
    return Batch(images).with_columns(**values)


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Stores:
    kudu: KuduOptions
    solr: SolrOptions
    environment: dict[str, str]
    capture: pytest.CaptureFixture[str]

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

    def command(self, *arguments: str, **changed: str) -> Ended:
        """Give a command in this process: each of its own would begin with a virtual machine for Java."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (self.environment | changed).items():
                patch.setenv(name, value)
            try:
                code, said = main(["audit", *arguments], standalone_mode=False) or 0, ""
            except (ReplayError, StoreError) as error:
                code, said = 1, str(error)
        shown = self.capture.readouterr()
        return Ended(code, shown.out, shown.err + said)


@pytest.fixture(scope="module")
def ids() -> list[str]:
    odd = ["a,b", 'quo"te', "<script>", "üñ\u202e", "x" * 2000]
    return [f"image {row}" for row in range(COUNT - len(odd))] + odd


@pytest.fixture
def stores(flumen_stack: Any, flumen_names: Any, capsys: pytest.CaptureFixture[str]) -> Stores:
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
        capsys,
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
        chunk = pa.record_batch({"id": ["nobody's"], "seq": pa.array([0], pa.int32()), "data": [b"left"]})
        driver.apply([Write(f"{stores.kudu.table_prefix}view_chunks", chunk)])
    stores.write(samples(ids[30:31], name="x" * 40_000), solr=False)
    stores.write(samples(ids[40:42], sha256="0" * 64))

    damaged = stores.audit()
    damage = {
        "missing": 3,
        "extra": 2,
        "stale": 4,
        "different": 5,
        "refused": 1,
        "incomplete": 1,
        "orphan": 1,
    }
    assert kinds(damaged) == {kind: (count, 0) for kind, count in damage.items()}
    assert damaged.counts["different"].examples[0].columns == ["iso"]
    assert set(damaged.counts["stale"].examples[0].columns) == {"classified_at", "label"}
    assert damaged.counts["incomplete"].examples[0].image_id == LARGE
    assert damaged.left == sum(damage.values())

    assert damaged.counts["refused"].examples[0].columns == ("name has 40,000 bytes, and Solr takes 32,766",)
    assert damaged.counts["orphan"].examples == [Finding("orphan", "nobody's", ["1 view chunk"])]

    mended = stores.command("--fix", "--grace", "0", "--originals")
    assert (
        mended.returncode == 1
    )  # what Solr refuses, and the bytes that were there once, are nowhere to be had
    assert "publish them again" in mended.stderr
    assert kinds(stores.audit()) == {"refused": (1, 0)}
    with closing(KuduReader(stores.kudu)) as tables:
        assert tables.read_image(LARGE) == b"x" * 150_000
    again = json.loads(stores.command("--json", "--grace", "0", "--originals").stdout)
    found = {each["kind"]: each["found"] for each in again["kinds"] if each["found"]}
    assert found == {"refused": 1, "damaged": 2}


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
        assert documents.put(one, [read[ids[0]] | {"disagreement": True}]).refused == {}
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
    no_table = stores.command()
    assert (no_table.returncode, "start a worker" in no_table.stderr) == (1, True)
    stores.write(samples(ids[:2]), solr=False)
    no_index = stores.command("--fix")
    assert (no_index.returncode, "`flumen audit --rebuild` fills one" in no_index.stderr) == (1, True)
    stores.write(samples(ids[:1]))
    typo = stores.command("--where", "lable = '7'")
    assert (typo.returncode, "lable" in typo.stderr) == (1, True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        dead = f"127.0.0.1:{taken.getsockname()[1]}"
        no_solr = stores.command("--fix", FLUMEN_SOLR_URL=f"http://{dead}/solr")
        no_kudu = stores.command("--fix", FLUMEN_KUDU_MASTERS=dead)
    for down in (no_solr, no_kudu):
        assert (down.returncode, dead in down.stderr, "does not answer" in down.stderr) == (1, True, True)

    one = stores.command("--grace", "0")
    assert one.returncode == 1
    assert "image 1" in one.stdout
    assert "2 images of Kudu were compared with Solr." in one.stderr
    assert "`flumen audit --fix` indexes" in one.stderr
    only = stores.command("--grace", "0", "--where", "id = 'image 0'")
    assert only.returncode == 0, only.stderr
    assert "1 image of Kudu was compared with Solr.\nThe index says what Kudu says." in only.stderr
    mended = stores.command("--grace", "0", "--fix")
    assert (mended.returncode, "All of it is mended." in mended.stderr) == (0, True)

    with closing(KuduSink(stores.kudu, COLUMNS)) as sink:
        sink.connect()
        sink.remove(samples(ids[:2]))
    none_left = stores.command("--fix", "--grace", "0")
    assert (none_left.returncode, "FLUMEN_KUDU_TABLE_PREFIX" in none_left.stderr) == (1, True)
    with closing(SolrReader(stores.solr)) as reader:
        assert reader.count() == 2


def test_a_store_that_is_lost_in_the_middle_leaves_what_can_be_gone_on_with(
    stores: Stores, ids: list[str], flumen_names: Any
) -> None:
    """Solr answers the first look and not the second; then the tables are gone at that moment."""
    stores.write(samples(ids[:20]))
    stores.write(samples(ids[:10], iso=2), solr=False)

    def isos() -> list[Any]:
        with closing(SolrReader(stores.solr)) as reader:
            return [(reader.get(image_id) or {})["iso"] for image_id in ids[:20]]

    before = isos()
    with relay(stores.solr.url) as (url, cut):
        behind = replace(stores, solr=replace(stores.solr, url=url))
        with pytest.raises(StoreUnavailable, match="does not answer"):
            behind.audit(fix=True, sleep=lambda _: cut())
    assert isos() == before
    with pytest.raises(StoreRefused, match="there is no Kudu table"):
        stores.audit(
            fix=True, sleep=lambda _: remove_tables(stores.kudu.masters, f"{flumen_names.suffix}_images")
        )
    assert isos() == before
    stores.write(samples(ids[:20]), solr=False)
    stores.write(samples(ids[:10], iso=2), solr=False)
    assert kinds(stores.audit(fix=True)) == {"different": (10, 10)}
    assert isos() == [2] * 10 + before[10:]


@contextmanager
def relay(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Pass connections on to a server until they are cut; from then on nobody listens."""
    place = urlsplit(url)
    opened: list[socket.socket] = []

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            server = socket.create_connection((place.hostname, place.port))
            opened.extend((self.request, server))
            back = Thread(target=copy, args=(server, self.request))
            back.start()
            copy(self.request, server)
            back.join()

    listening = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay)
    thread = Thread(target=listening.serve_forever)
    thread.start()

    def cut() -> None:
        listening.shutdown()
        thread.join()
        listening.socket.close()
        for each in opened:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    yield f"http://127.0.0.1:{listening.server_address[1]}{place.path}", cut
    cut()
    listening.server_close()
