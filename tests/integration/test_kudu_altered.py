"""Tables that somebody alters, or makes anew, while a sink has them open: no image is to blame for that."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import SchemaMismatch, StoreRefused
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink
from flumen.stores.kudu.jars import client_jars
from flumen.stores.kudu.java import acquire_client, java, release_client, start
from flumen.stores.kudu.schema import CHUNK_BYTES
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("prediction", Kind.INT32, ""),
    Column("model", Kind.STRING, ""),
    Column("model_version", Kind.INT32, ""),
)
LARGE = bytes(CHUNK_BYTES + 1)

Change = Callable[[Any], Any]


@pytest.fixture
def sink(kudu_options: KuduOptions) -> Iterator[KuduSink]:
    sink = KuduSink(kudu_options, COLUMNS)
    sink.connect()
    yield sink
    sink.close()


@pytest.fixture
def reader(kudu_options: KuduOptions) -> Iterator[KuduReader]:
    reader = KuduReader(kudu_options)
    yield reader
    reader.close()


class Admin:
    """Somebody else, with a Java client of their own; each change is made when the call returns."""

    def __init__(self, kudu_options: KuduOptions) -> None:
        start(client_jars())
        # Clients are shared by address and time limit, and the sink's own would know of the change.
        self._options = replace(kudu_options, timeout_s=2 * kudu_options.timeout_s)
        self._client: Any = acquire_client(self._options)

    def alter(self, table: str, change: Change) -> None:
        alteration = change(java("org.apache.kudu.client.AlterTableOptions")())
        self._client.alterTable(self._options.table_prefix + table, alteration)

    def drop(self, table: str) -> None:
        self._client.deleteTable(self._options.table_prefix + table)

    def close(self) -> None:
        release_client(self._options)


@pytest.fixture
def admin(kudu_options: KuduOptions) -> Iterator[Admin]:
    admin = Admin(kudu_options)
    yield admin
    admin.close()


def drop(alteration: Any) -> Any:
    return alteration.dropColumn("prediction")


def rename(alteration: Any) -> Any:
    return alteration.renameColumn("prediction", "class")


def retype(alteration: Any) -> Any:
    return drop(alteration).addNullableColumn("prediction", java("org.apache.kudu.Type").STRING)


def batch_of(*contents: bytes, version: int = 3) -> Batch:
    images = [ImageMessage(f"image {row}", content, 0) for row, content in enumerate(contents)]
    columns = {
        "id": [image.id for image in images],
        "prediction": list(range(len(images))),
        "model": ["mnist"] * len(images),
        "model_version": [version] * len(images),
    }
    return Batch(images, columns)


def stored(reader: KuduReader) -> list[tuple[str, bytes]]:
    rows = [row for part in reader.scan("images", ["id"]) for row in part.to_pylist()]
    return sorted((row["id"], reader.read_image(row["id"])) for row in rows)


@pytest.mark.parametrize("table", ["images", "predictions"])
@pytest.mark.parametrize("change", [drop, rename, retype])
def test_an_altered_table_is_refused_and_its_rows_stay(
    kudu_options: KuduOptions, sink: KuduSink, reader: KuduReader, admin: Admin, table: str, change: Change
) -> None:
    """Else every image would be a dead letter, and what was stored of it deleted."""
    assert not sink.write(batch_of(b"small", LARGE))
    before = stored(reader)
    admin.alter(table, change)
    with pytest.raises(StoreRefused, match=r"column '?prediction.*start again") as caught:
        sink.write(batch_of(b"small", LARGE, b"one more", version=4))
    assert not caught.value.retriable
    assert set(stored(reader)) >= set(before) == {("image 0", b"small"), ("image 1", LARGE)}
    with pytest.raises(SchemaMismatch, match=f"{table}.*column 'prediction' is"):
        KuduSink(kudu_options, COLUMNS).connect()


def test_nothing_is_removed_from_an_altered_table(sink: KuduSink, reader: KuduReader, admin: Admin) -> None:
    assert not sink.write(batch_of(b"small", LARGE))
    before = stored(reader)
    admin.alter("images", drop)
    with pytest.raises(StoreRefused, match=r"column prediction.*start again"):
        sink.remove(batch_of(b"small", LARGE))
    assert stored(reader) == before


def test_a_column_more_is_no_matter(sink: KuduSink, reader: KuduReader, admin: Admin) -> None:
    assert not sink.write(batch_of(b"a"))
    admin.alter("images", lambda more: more.addNullableColumn("note", java("org.apache.kudu.Type").STRING))
    assert not sink.write(batch_of(b"a", b"b"))
    assert stored(reader) == [("image 0", b"a"), ("image 1", b"b")]


def test_a_table_made_anew_is_refused_until_the_sink_connects_again(
    kudu_options: KuduOptions,
    sink: KuduSink,
    reader: KuduReader,
    admin: Admin,
    wait_until: Callable[..., Any],
) -> None:
    assert not sink.write(batch_of(b"a"))
    admin.drop("images")
    again = KuduSink(kudu_options, COLUMNS)
    again.connect()
    for call in (sink.write, sink.remove):
        # The tablets of a table that is dropped go one after another, and take rows until then.
        reason = wait_until(lambda call=call: refusal(call, batch_of(b"a", b"b")), "the old table's end")
        assert "Not found" in reason
        assert "start again" in reason
    assert stored(reader) == []
    assert not again.write(batch_of(b"a", b"b"))
    assert stored(reader) == [("image 0", b"a"), ("image 1", b"b")]
    again.close()


@pytest.mark.parametrize("kudu_options", ["jvm"], indirect=True)
def test_a_worker_stops_and_buries_nothing(
    settings: Settings,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    wait_until: Callable[..., Any],
    observer: Any,
    reader: KuduReader,
    admin: Admin,
    png: bytes,
) -> None:
    ensure_topics(settings)
    worker = start_worker()
    producer = Producer(settings.producer_config())
    producer.produce(settings.images_topic, key="image 0", value=png)
    wait_until_acknowledged(1, worker)
    admin.alter("images", drop)
    for key in ("image 0", "image 1"):
        producer.produce(settings.images_topic, key=key, value=png)
    assert producer.flush(60) == 0
    assert wait_until(lambda: worker.process.poll() is not None, "the worker's end")
    assert worker.process.returncode == 1
    (end,) = (line for line in worker.lines() if line["event"].startswith("worker stopped by an error"))
    assert "start again" in end["reason"]
    assert list(observer.read(settings.dead_topic)) == []
    assert observer.progress(settings.images_topic).acknowledged == 1
    assert stored(reader) == [("image 0", png)]


def refusal(call: Callable[[Batch], object], batch: Batch) -> str | None:
    try:
        call(batch)
    except StoreRefused as error:
        return str(error)
    return None
