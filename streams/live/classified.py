"""The topic of results: one JSON document an image, for who wants to go on from Kafka. Off unless it has a name."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import orjson

from flumen.interceptor import Batch, Column, Kind
from flumen.stores import Failure, StoreClosed, StoreUnavailable
from flumen.streams.kafka.message import Outgoing
from flumen.streams.kafka.producer import Producer

_DELIVERY_TIMEOUT_MS = 10_000


class ClassifiedTopic:
    """A sink that publishes every declared column but the binary ones, keyed by image id."""

    name = "results"

    def __init__(
        self,
        topic: str,
        producer_config: Mapping[str, str | int | float | bool],
        columns: Sequence[Column],
    ) -> None:
        self.topic = topic
        self._config = {
            "linger.ms": 5,
            "compression.type": "lz4",
            "delivery.timeout.ms": _DELIVERY_TIMEOUT_MS,  # nothing of a write is left when it fails
            **producer_config,
        }
        self._columns = [column for column in columns if column.kind is not Kind.BINARY]
        self._producer: Producer | None = None

    def connect(self) -> None:
        """Make the producer; the topic itself is looked after at the worker's start."""
        self._producer = Producer(self._config)

    def write(self, batch: Batch) -> Sequence[Failure]:
        """Publish every row, and wait until the broker has acknowledged each."""
        rows = (orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) for row in self._rows(batch))
        self._send(zip(batch.columns["id"], rows, strict=True))
        return ()

    def remove(self, batch: Batch) -> None:
        """Publish a tombstone for each image: what a topic has taken, it cannot give back."""
        self._send((image.id, None) for image in batch.images)

    def close(self) -> None:
        """Send what is left. A second call does nothing."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _send(self, messages: Iterable[tuple[str, bytes | None]]) -> None:
        if self._producer is None:
            raise StoreClosed("the topic of results is not connected")
        outgoing = (Outgoing(self.topic, key.encode(), value, []) for key, value in messages)
        failures = [answer for answer in self._producer.send(outgoing) if answer is not None]
        if failures:
            raise StoreUnavailable(
                f"results are not acknowledged by {self.topic!r}: {failures[0]}. Is the broker up, and the topic there?"
            )

    def _rows(self, batch: Batch) -> list[dict[str, object]]:
        names = [column.name for column in self._columns]
        values = [_values(batch, column) for column in self._columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _values(batch: Batch, column: Column) -> list[object]:
    values = batch.columns.get(column.name, [None] * len(batch))
    if column.kind is Kind.JSON:
        return [None if value is None else orjson.Fragment(value) for value in values]
    return values.tolist() if isinstance(values, np.ndarray) else values
