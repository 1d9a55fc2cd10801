"""The Solr store on SolrCloud, and on a server that stops answering: on a node of the tests' own."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import loopback
import pytest

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stack.artifacts import resolve
from flumen.stores.errors import SchemaMismatch, StoreUnavailable
from flumen.stores.migration import Addition
from flumen.stores.solr import SolrMigration, SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.schema import CONFIGSET

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("label", Kind.STRING, ""),
    Column("width", Kind.INT32, ""),
    Column("lens", Kind.STRING, ""),
)
STARTS_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Node:
    process: subprocess.Popen[bytes]
    url: str


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    home = tmp_path_factory.mktemp("cloud")
    environment = os.environ | {"CLASSPATH": os.pathsep.join(map(str, resolve("solr")))}
    command = [sys.executable, str(Path(__file__).with_name("solr_cloud_server.py")), str(home)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not (home / "url").exists():
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.05)
        yield Node(process, (home / "url").read_text())
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def options(node: Node, request: pytest.FixtureRequest) -> SolrOptions:
    return SolrOptions(url=node.url, core=request.node.name.replace("[", "-").rstrip("]"))


@pytest.fixture
def connect() -> Iterator[Callable[[SolrOptions], SolrSink]]:
    sinks: list[SolrSink] = []

    def make(options: SolrOptions) -> SolrSink:
        sinks.append(SolrSink(options, COLUMNS))
        sinks[-1].connect()
        return sinks[-1]

    yield make
    for sink in sinks:
        sink.close()


Connect = Callable[[SolrOptions], SolrSink]


def batch_of(*ids: str) -> Batch:
    count = len(ids)
    columns: dict[str, list[Any]] = {
        "id": list(ids),
        "label": ["7"] * count,
        "width": [28] * count,
        "lens": ["50 mm"] * count,
    }
    return Batch([ImageMessage(image_id, b"", 0) for image_id in ids]).with_columns(**columns)


WIDTH = '<field name="width" type="pint" indexed="${flumen.points:true}"/>'


def upload_with(options: SolrOptions, width: str, points: str = "${flumen.points:true}") -> None:
    """Put a config set on the server that has another field `width`, or none, and says otherwise which have points."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in (CONFIGSET / "conf").iterdir():
            text = path.read_text().replace(WIDTH, width).replace("${flumen.points:true}", points)
            archive.writestr(path.name, text)
    parameters = {"action": "UPLOAD", "name": options.config_set, "overwrite": "true"}
    url = f"{options.url}/admin/configs"
    loopback.post(url, params=parameters, data=buffer.getvalue(), timeout=60).raise_for_status()


def ask_collections(options: SolrOptions, **parameters: str | int) -> None:
    url = f"{options.url}/admin/collections"
    loopback.get(url, params={"name": options.core, **parameters}, timeout=60).raise_for_status()


def test_a_collection_is_created_from_the_config_set(options: SolrOptions, connect: Connect) -> None:
    assert not connect(options).write(batch_of("a", "b"))
    assert not connect(options).write(batch_of("b", "c"))
    reader = SolrReader(options)
    reader.commit()
    assert reader.count() == 3
    assert reader.facet_counts("label") == {"7": 3}
    row = reader.get("c")
    assert row is not None
    assert (row["width"], row["lens"]) == (28, "50 mm")
    reader.close()
    field = loopback.get(f"{options.url}/{options.core}/schema/fields/size_bytes", timeout=60).json()["field"]
    assert field["indexed"] is False


def test_no_collection_is_made_from_an_earlier_config_set(options: SolrOptions, connect: Connect) -> None:
    """With the new one in its place, Solr would refuse every document."""
    older = replace(options, config_set=options.core)
    upload_with(older, WIDTH, points="true")
    for _ in range(2):
        with pytest.raises(SchemaMismatch, match="is of an earlier version of flumen"):
            connect(older)
    upload_with(older, WIDTH)
    assert not connect(older).write(batch_of("a"))


def test_a_collection_of_another_schema_is_left_alone(options: SolrOptions) -> None:
    poor = replace(options, config_set="poor")
    upload_with(poor, width="")
    ask_collections(poor, action="CREATE", numShards=1, **{"collection.configName": "poor"})
    with pytest.raises(SchemaMismatch, match=r"no field 'width', expected solr\.IntPointField"):
        SolrSink(options, COLUMNS).connect()


def test_a_collection_gets_the_fields_that_it_lacks(options: SolrOptions, connect: Connect) -> None:
    older = replace(options, config_set=options.core)
    upload_with(older, width="")
    ask_collections(older, action="CREATE", numShards=1, **{"collection.configName": older.config_set})
    # Who migrates may not know the name of the config set: the collection does.
    migration = SolrMigration(options, COLUMNS)
    assert migration.plan() == [Addition("solr", options.core, "width", "solr.IntPointField")]
    migration.apply()
    assert migration.plan() == []
    migration.close()
    assert not connect(options).write(batch_of("a"))
    reader = SolrReader(options)
    row = reader.get("a")
    assert row is not None
    assert row["width"] == 28
    reader.close()


@pytest.mark.parametrize(
    ("width", "difference"),
    [
        ("", "no field 'width', expected solr.IntPointField"),
        (WIDTH.replace("pint", "boolean"), "field 'width' is solr.BoolField, expected solr.IntPointField"),
        (WIDTH + '<field name="owner" type="string" required="true"/>', "field 'owner' is required there"),
        (WIDTH.replace("${flumen.points:true}", "true"), 'cannot change field "width" from points'),
    ],
    ids=["gone", "retyped", "required", "points"],
)
def test_a_schema_that_changes_under_a_worker_is_no_documents_fault(
    options: SolrOptions, connect: Connect, width: str, difference: str
) -> None:
    """Else all that comes would go to the dead letters."""
    changing = replace(options, config_set=options.core)
    sink = connect(changing)
    assert not sink.write(batch_of("a"))
    upload_with(changing, width)
    ask_collections(changing, action="RELOAD")
    with pytest.raises(SchemaMismatch, match=re.escape(difference)):
        sink.write(batch_of("b", "c"))


def test_a_server_that_stops_answering_is_unavailable_until_it_goes_on(
    node: Node, options: SolrOptions, connect: Connect
) -> None:
    connect(options)
    sink = connect(replace(options, timeout_s=0.5))
    node.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match=node.url):
            sink.write(batch_of("a"))
    finally:
        node.process.send_signal(signal.SIGCONT)
    waiting = connect(options)
    assert not waiting.write(batch_of("a"))
    reader = SolrReader(options)
    reader.commit()
    assert reader.count() == 1
    reader.close()
