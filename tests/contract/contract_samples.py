"""Batches for the contract suite, with the columns that flumen's own interceptors declare."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind

COLUMNS = (
    Column("id", Kind.STRING, "The image's id.", nullable=False),
    Column("source", Kind.STRING, "Where it came from."),
    Column("name", Kind.STRING, "Its file name."),
    Column("size_bytes", Kind.INT64, "Its size in bytes."),
    Column("sha256", Kind.STRING, "The hash of its bytes."),
    Column("knownlabel", Kind.INT32, "What it is known to show."),
    Column("ingested_at", Kind.TIMESTAMP, "When it arrived."),
    Column("kafka_partition", Kind.INT32, "Where it stood in Kafka."),
    Column("kafka_offset", Kind.INT64, "And at which offset."),
    Column("format", Kind.STRING, "Its file format."),
    Column("width", Kind.INT32, "Pixels."),
    Column("height", Kind.INT32, "Pixels."),
    Column("flash_fired", Kind.BOOL, "Whether there was a flash."),
    Column("latitude", Kind.DOUBLE, "Degrees."),
    Column("longitude", Kind.DOUBLE, "Degrees."),
    Column("keywords", Kind.STRINGS, "What it is about."),
    Column("palette", Kind.JSON, "Its colours."),
    Column("image_as_pgm", Kind.BINARY, "What the classifier saw."),
    Column("prediction", Kind.INT32, "The class."),
    Column("label", Kind.STRING, "The class's name."),
    Column("confidence", Kind.FLOAT, "Its probability."),
    Column("model", Kind.STRING, "The model's name."),
    Column("model_version", Kind.INT32, "The model's version."),
    Column("control_revision", Kind.INT64, "The control record that chose the model."),
    Column("classified_at", Kind.TIMESTAMP, "When it was classified."),
    Column("embedding", Kind.BINARY, "Where the model sees it."),
)
ARRIVED_AT = 1_790_000_000_000_000
"""Microseconds since the epoch."""


def as_written(found: Any, column: Column) -> Any:
    """Return a value that a store gave back as it was in the batch: Kudu has no lists, and gives a JSON array."""
    return json.loads(found) if column.kind is Kind.STRINGS and isinstance(found, str) else found


def sample_batch(ids: Sequence[str], contents: Sequence[bytes] | None = None, **columns: Any) -> Batch:
    """Return a batch of these ids in all columns; `columns` replaces single ones."""
    count = len(ids)
    rows = np.arange(count)
    contents = contents or [f"image {row}".encode() for row in range(count)]
    batch = Batch(
        [ImageMessage(image_id, content, ARRIVED_AT) for image_id, content in zip(ids, contents, strict=True)]
    )
    defaults: dict[str, Any] = {
        "id": list(ids),
        "source": ["tests"] * count,
        "name": [f"{row}.png" for row in range(count)],
        "size_bytes": [len(content) for content in contents],
        "sha256": [sha256(content).hexdigest() for content in contents],
        "knownlabel": [row % 10 if row % 3 else None for row in range(count)],
        "ingested_at": [ARRIVED_AT + row for row in range(count)],
        "kafka_partition": [None if row % 4 == 3 else row % 4 for row in range(count)],
        "kafka_offset": [2**40 + row for row in range(count)],
        "format": ["PNG"] * count,
        "width": np.full(count, 28, dtype=np.int32),
        "height": np.full(count, 28, dtype=np.int32),
        "flash_fired": [(None, True, False)[row % 3] for row in range(count)],
        "latitude": [row % 600 / 7 if row % 2 else None for row in range(count)],
        "longitude": rows % 500 / -3,
        "keywords": [[f"word {row}", 'ünï, "quoted"'] if row % 3 else None for row in range(count)],
        "palette": ['[{"name":"black","share":0.5}]'] * count,
        "image_as_pgm": [b"P5 1 1 255 " + bytes([row % 256]) for row in range(count)],
        "prediction": (rows % 10).astype(np.int32),
        "label": [str(row % 10) for row in range(count)],
        "confidence": (rows % 8 / 8).astype(np.float32),
        "model": ["mnist"] * count,
        "model_version": np.ones(count, dtype=np.int32),
        "control_revision": np.full(count, 2**53, dtype=np.int64),
        "classified_at": np.full(count, ARRIVED_AT + 5_000, dtype=np.int64),
        "embedding": [None if row % 5 else np.float32([row, 1, -2]).tobytes() for row in range(count)],
        "probabilities": np.full((count, 10), 0.1, dtype=np.float32),
    }
    return batch.with_columns(**(defaults | columns))
