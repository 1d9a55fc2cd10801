"""All 10,000 test images, through a real worker and real servers, prediction for prediction."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flumen.cli.background import environment_of
from flumen.cli.images import get_image, show_image
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.idx import read_idx
from flumen.models.repository import Repository
from flumen.stores.errors import NoSuchImage
from flumen.stores.kudu import KuduReader
from flumen.stores.solr import SolrReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.publishing.sources import SourceOptions, find_files, read_images
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

Offline = NDArray[np.int64]


@pytest.fixture
def offline(settings: Settings, mnist: Path) -> Offline:
    """What the champion answers for each test image, without Kafka, a stream or a store."""
    champion = Repository(settings.model_repository).load("mnist", 2)
    pixels = read_idx(mnist / "t10k-images-idx3-ubyte.gz")
    return champion.probabilities(to_tensor(pixels, champion.preprocess)).argmax(axis=1)


@pytest.fixture
def kudu(settings: Settings) -> KuduReader:
    return KuduReader(settings.kudu_options())


def test_ten_thousand_images(
    settings: Settings,
    mnist: Path,
    offline: Offline,
    kudu: KuduReader,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    observer: Any,
) -> None:
    ensure_topics(settings)
    worker = start_worker()
    images = read_images(
        find_files([mnist / "t10k-images-idx3-ubyte.gz"], pytest.fail),
        SourceOptions(None, False, settings.max_image_bytes),
        pytest.fail,
    )
    report = publish(images, settings.producer_config(), settings.images_topic, None, lambda _: None)
    assert (report.sent, report.failed) == (10_000, 0)
    wait_until_acknowledged(10_000, worker)
    assert worker.stop(signal.SIGTERM) == 0

    known = read_idx(mnist / "t10k-labels-idx1-ubyte.gz")
    stored = {
        row["id"]: row
        for rows in kudu.scan(
            "images", ["id", "prediction", "knownlabel", "model", "model_version", "chunks"]
        )
        for row in rows.to_pylist()
    }
    ids = [f"t10k-images-{index:05d}" for index in range(10_000)]
    assert sorted(stored) == ids
    assert [stored[image_id]["prediction"] for image_id in ids] == offline.tolist()
    assert [stored[image_id]["knownlabel"] for image_id in ids] == known.tolist()
    assert {(row["model"], row["model_version"], row["chunks"]) for row in stored.values()} == {
        ("mnist", 2, 0)
    }

    solr = SolrReader(settings.solr_options())
    solr.commit()
    indexed = {row["id"]: row["prediction"] for row in solr.search(rows=20_000)}
    assert indexed == {image_id: row["prediction"] for image_id, row in stored.items()}
    right = int((offline == known).sum())
    assert solr.count("correct:true") == right
    scores = Repository(settings.model_repository).manifest("mnist", 2).scores
    assert right / 10_000 == pytest.approx(scores.accuracy)
    assert list(observer.read(settings.dead_topic)) == []
    solr.close()
    kudu.close()


def test_published_again_is_stored_once(
    settings: Settings,
    kudu: KuduReader,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    png: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ensure_topics(settings)
    worker = start_worker()
    images = [
        SourceImage(f"digit {i % 50} ✓", png, f"{i}.png", "/tests", "image/png", i % 10, datetime.now(UTC))
        for i in range(200)
    ]
    publish(images, settings.producer_config(), settings.images_topic, None, lambda _: None)
    wait_until_acknowledged(200, worker)
    assert worker.stop() == 0
    assert kudu.count() == 50
    row = kudu.get("digit 7 ✓")
    assert row is not None
    assert row["image"] == png
    assert row["name"] == "157.png"  # the last of four
    kudu.close()
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NoSuchImage, match=r"no image 'nobody' in Kudu; `flumen search"):
        get_image("nobody", output=Path("nobody.png"))
    with pytest.raises(NoSuchImage):
        show_image("nobody")
