"""The answer that stands for an image: which columns it is, and which tell the delivery that it came with."""

from typing import Any, TypeAlias

DELIVERY = ("ingested_at", "kafka_partition", "kafka_offset")
"""Columns by which two deliveries of an image differ: a worker takes the time anew for each batch of messages."""

ANSWER = (
    "prediction",
    "label",
    "confidence",
    "model",
    "model_version",
    "control_revision",
    "classified_at",
    "embedding",
)
"""Columns of a model's answer that every store has; Solr has the embedding as a vector."""

VIEW = ("probabilities", "image_as_pgm", "view_chunks")
"""Columns of an answer that Kudu alone keeps: what the model saw, and what it said of each class."""

Result: TypeAlias = dict[str, Any]
"""An image's `id`, delivery and answer by column; times are ints of microseconds."""


def delivery_of(result: Result) -> tuple[Any, ...]:
    """Return what tells the delivery of an image from all others of it."""
    return tuple(result.get(name) for name in DELIVERY)
