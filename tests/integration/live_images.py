"""Digits as the live path stores them: intercepted by the whole chain, written by the sink of Kudu."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
from encoded_images import encoded
from PIL import Image

from flumen.interceptor import Limits, merge_columns
from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.chain import Context, intercept, load_chain
from flumen.interceptor.classifier import Classifier
from flumen.models.datasets.idx import read_idx
from flumen.models.manifest import Manifest
from flumen.models.trainers.embedding import with_last_hidden
from flumen.stores.kudu import KuduOptions, KuduSink
from flumen.stores.kudu.driver import Write, open_driver

ARRIVED_US = 1_790_000_000_000_000
CHAIN = load_chain()
COLUMNS = merge_columns(step.columns for step in CHAIN)


def digits(folder: Path, count: int) -> list[bytes]:
    """PNG files of the article's test images; every 40th is so large that it is cut into chunks."""
    files = []
    for row, pixels in enumerate(read_idx(folder / "t10k-images-idx3-ubyte.gz")[:count]):
        image = Image.fromarray(pixels)
        if row % 40 == 7:
            noise = np.random.default_rng(row).integers(0, 30, (300, 300), np.uint8)
            image = Image.fromarray(np.asarray(image.resize((300, 300))) // 2 + noise)
        files.append(encoded(image))
    return files


def live(
    files: Sequence[bytes], model: Classifier, *, prefix: str = "digit", at_us: int = ARRIVED_US
) -> Batch:
    """What the live path makes of these files at that time; image i is `PREFIX-000i`."""
    images = [
        ImageMessage(f"{prefix}-{row:04}", content, at_us + row, partition=0, offset=at_us + row)
        for row, content in enumerate(files)
    ]
    step = intercept(Batch(images), Context(model, at_us, Limits(), control_revision=5), CHAIN)
    assert not step.errs
    return step.oks


def store(options: KuduOptions, *batches: Batch) -> None:
    """Write them as a worker does."""
    sink = KuduSink(options, COLUMNS)
    sink.connect()
    for batch in batches:
        assert not sink.write(batch)
    sink.close()


def damaged(batch: Batch, rows: Sequence[int], content: bytes) -> Batch:
    """The same answers, to other bytes: as if a limit or a decoder had changed since."""
    images = [
        replace(image, content=content) if row in rows else image for row, image in enumerate(batch.images)
    ]
    views = [None if row in rows else view for row, view in enumerate(batch.columns["image_as_pgm"])]
    return Batch(images, {**batch.columns, "image_as_pgm": views})


def tear(options: KuduOptions, image_id: str) -> None:
    """Take the second piece of an image's file away."""
    key = pa.RecordBatch.from_pydict({"id": [image_id], "seq": pa.array([1], pa.int32())})
    driver = open_driver(options)
    driver.apply([Write(f"{options.table_prefix}image_chunks", key, "delete")])
    driver.close()


def giving_embeddings(content: bytes, manifest: Manifest) -> tuple[bytes, Manifest]:
    """The same model, which gives its last hidden layer as well: its file and its manifest."""
    wider = with_last_hidden(content)
    output = replace(manifest.output, embedding="embedding")
    return wider, replace(manifest, sha256=sha256(wider).hexdigest(), output=output)
