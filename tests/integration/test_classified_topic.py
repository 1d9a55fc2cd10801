"""The topic of results: what is published of an image, when the topic is not there, and by a worker."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from flumen.interceptor import Batch, Column, ImageMessage, Kind
from flumen.replay.sql import query
from flumen.stores import StoreClosed, StoreUnavailable
from flumen.stores.files import FilesOptions, FilesReader
from flumen.stores.kudu import KuduReader
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.live.classified import ClassifiedTopic
from flumen.streams.settings import Settings

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("prediction", Kind.INT32, ""),
    Column("confidence", Kind.FLOAT, ""),
    Column("keywords", Kind.STRINGS, ""),
    Column("palette", Kind.JSON, ""),
    Column("image_as_pgm", Kind.BINARY, ""),
)


@pytest.fixture
def settings(settings: Settings, flumen_names: Any) -> Settings:
    settings = settings.model_copy(update={"classified_topic": flumen_names.classified_topic})
    ensure_topics(settings)
    return settings


@pytest.fixture
def sink(settings: Settings) -> Iterator[ClassifiedTopic]:
    assert settings.classified_topic
    sink = ClassifiedTopic(settings.classified_topic, settings.producer_config(), COLUMNS)
    sink.connect()
    yield sink
    sink.close()


def batch_of(*ids: str) -> Batch:
    count = len(ids)
    return Batch([ImageMessage(image_id, b"bytes", 0) for image_id in ids]).with_columns(
        id=list(ids),
        prediction=np.arange(count, dtype=np.int32),
        confidence=np.full(count, 0.5, dtype=np.float32),
        keywords=[["größte", "two"]] * count,
        palette=['[{"name":"black"}]'] * count,
        image_as_pgm=[b"P5"] * count,
    )


def results(observer: TopicReader, settings: Settings) -> list[tuple[str, Any]]:
    assert settings.classified_topic
    found = observer.read(settings.classified_topic)
    return [((raw.key or b"").decode(), raw.value and json.loads(raw.value)) for raw in found]


def test_a_document_an_image_and_a_tombstone_for_what_is_removed(
    settings: Settings, sink: ClassifiedTopic, observer: TopicReader
) -> None:
    assert sink.write(batch_of("a", "ü")) == ()
    assert sink.write(batch_of()) == ()
    sink.remove(batch_of("a"))
    published = results(observer, settings)
    assert [value for key, value in published if key == "ü"] == [
        {
            "id": "ü",
            "prediction": 1,
            "confidence": 0.5,
            "keywords": ["größte", "two"],
            "palette": [{"name": "black"}],
        }
    ]
    assert [value and value["prediction"] for key, value in published if key == "a"] == [0, None]


def test_a_topic_that_is_not_there_is_said_and_nothing_is_left_behind(
    settings: Settings, sink: ClassifiedTopic, observer: TopicReader, wait_until: Callable[..., Any]
) -> None:
    sink.write(batch_of("before"))
    topic = settings.classified_topic
    assert topic
    admin = AdminClient(settings.admin_config())
    admin.delete_topics([topic])[topic].result()
    wait_until(lambda: topic not in admin.list_topics(timeout=60).topics, "the topic's end")
    for call in (sink.write, sink.remove):
        with pytest.raises(StoreUnavailable, match=f"not acknowledged by '{topic}'.*topic there") as caught:
            call(batch_of("a", "b"))
        assert caught.value.retriable
    ensure_topics(settings)
    wait_until(lambda: _is_written(sink, batch_of("a", "b")), "a write after the topic is back")
    assert sorted(key for key, _ in results(observer, settings)) == ["a", "b"]


def test_a_closed_one_says_so(sink: ClassifiedTopic) -> None:
    sink.close()
    sink.close()
    for call in (sink.write, sink.remove):
        with pytest.raises(StoreClosed):
            call(batch_of("a"))


def test_a_worker_publishes_what_it_stores(
    settings: Settings,
    png: bytes,
    start_worker: Callable[..., Any],
    observer: TopicReader,
    wait_until_acknowledged: Callable[..., None],
    tmp_path: Path,
) -> None:
    """And files have what Kudu has, where they are a sink too."""
    producer = Producer(settings.producer_config())
    for number in range(20):
        producer.produce(settings.images_topic, key=f"digit-{number}", value=png)
    producer.produce(settings.images_topic, key="bad", value=b"no image")
    assert producer.flush(120) == 0
    files = FilesOptions(url=str(tmp_path / "files"))
    worker = start_worker(sinks=["kudu", "solr", "files"], stores={"files": {"url": files.url}})
    wait_until_acknowledged(21, worker)
    assert worker.stop() == 0
    published = dict(results(observer, settings))
    kudu = KuduReader(settings.kudu_options())
    rows = query(kudu, "select id, prediction, label, model, model_version, format from images").rows
    kudu.close()
    assert len(rows) == len(published) == 20
    in_files = FilesReader(files)
    assert in_files.count() == 20
    assert (in_files.get("digit-7") or {})["image"] == png
    names = ("id", "prediction", "label", "model", "model_version", "format")
    found = in_files.table(names).to_pylist()
    assert sorted(tuple(row[name] for name in names) for row in found) == sorted(map(tuple, rows))
    for row in rows:
        document = published[row[0]]
        assert tuple(document[name] for name in names) == tuple(row)
        assert "image_as_pgm" not in document


def test_a_missing_topic_of_results_is_waited_for_and_seen(
    settings: Settings,
    png: bytes,
    port: int,
    start_worker: Callable[..., Any],
    observer: TopicReader,
    wait_until: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
) -> None:
    topic = settings.classified_topic
    assert topic
    worker = start_worker(http_port=port, stalled_after_s=12)
    worker.wait_for_line("partitions assigned")
    admin = AdminClient(settings.admin_config())
    admin.delete_topics([topic])[topic].result()
    wait_until(lambda: topic not in admin.list_topics(timeout=60).topics, "the topic's end")
    producer = Producer(settings.producer_config())
    producer.produce(settings.images_topic, key="one", value=png)
    assert producer.flush(60) == 0
    health = f"http://127.0.0.1:{port}/health"
    wait_until(
        lambda: requests.get(health, timeout=60).status_code == 503, "an unhealthy worker", worker.check
    )
    assert "waiting for results" in requests.get(health, timeout=60).text
    assert observer.progress(settings.images_topic).acknowledged == 0
    ensure_topics(settings)
    wait_until_acknowledged(1, worker)
    assert [key for key, _ in results(observer, settings)] == ["one"]
    said = [line["event"] for line in worker.lines() if line.get("server") == "results"]
    assert said == ["server does not answer; waiting", "server answers again"]
    assert worker.stop() == 0


def _is_written(sink: ClassifiedTopic, batch: Batch) -> bool:
    """A producer learns only after a while that a topic is back."""
    try:
        sink.write(batch)
    except StoreUnavailable:
        return False
    return True
