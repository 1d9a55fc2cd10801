"""Photos through a real worker with a model that shares nothing with the article's: colour, 32 pixels, cropped."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flumen.models.datasets.shapes import LABELS, draw_photo
from flumen.stores.kudu import KuduReader
from flumen.stores.solr import SolrReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.publishing.sources import SourceOptions, find_files, read_images
from flumen.streams.settings import Settings

KINDS = (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif"), ("TIFF", "tif"), ("BMP", "bmp"))
SIZES = ((640, 480), (480, 640), (200, 200), (900, 300))
EACH = 10


def refuse(error: Exception) -> None:
    raise AssertionError(error)


def draw_photos(folder: Path) -> None:
    random = np.random.default_rng(7)
    for number in range(EACH * len(LABELS)):
        label, (image_format, ending) = number % len(LABELS), KINDS[number % len(KINDS)]
        photo = draw_photo(label, *SIZES[number % len(SIZES)], random)
        photo.save(folder / f"{label}_{number:03d}.{ending}", image_format)


def test_photos_of_any_kind(
    settings: Settings,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    observer: Any,
    ask_flumen: Callable[..., Any],
    tmp_path: Path,
) -> None:
    ensure_topics(settings)
    photos = tmp_path / "photos"
    photos.mkdir()
    draw_photos(photos)
    worker = start_worker(model_name="shapes")
    images = read_images(find_files([photos], refuse), SourceOptions(label_from_name=True), refuse)
    report = publish(images, settings.producer_config(), settings.images_topic, None, lambda _: None)
    count = EACH * len(LABELS)
    assert (report.sent, report.failed) == (count, 0)
    wait_until_acknowledged(count, worker)
    assert worker.stop() == 0
    assert list(observer.read(settings.dead_topic)) == []

    solr = SolrReader(settings.solr_options())
    solr.commit()
    assert solr.count("model:shapes") == count
    assert solr.count("correct:true") >= 0.9 * count
    assert set(solr.facet_counts("label")) <= set(LABELS)
    assert solr.facet_counts("format") == {name: solr.count(f"format:{name}") for name, _ in KINDS}
    solr.close()

    kudu = KuduReader(settings.kudu_options())
    for file in sorted(photos.iterdir())[::7]:
        row = kudu.get(f"photos/{file.name}")
        assert row is not None
        assert row["image"] == file.read_bytes()
        assert (row["width"], row["height"]) in SIZES
        view = Image.open(io.BytesIO(row["image_as_pgm"]))
        assert (view.format, view.mode, view.size) == ("PPM", "RGB", (32, 32))
    kudu.close()
    first = min(file.name for file in photos.iterdir())
    assert ask_flumen("images", "get", f"photos/{first}").stdout == (photos / first).read_bytes()
