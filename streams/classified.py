"""The topic of results: one JSON document an image, for who wants to go on from Kafka. Off unless it has a name."""

from collections.abc import Mapping, Sequence

import numpy as np
import orjson
from confluent_kafka import KafkaException, Producer

from interceptor import Batch, Column, Kind
from stores import Failure, StoreClosed, StoreUnavailable

_FLUSH_S = 30.0


class ClassifiedTopic:
    """A sink that publishes every declared column but the binary ones, keyed by image id."""

    name = "kafka"

    def __init__(
        self,
        topic: str,
        producer_config: Mapping[str, str | int | float | bool],
        columns: Sequence[Column],
    ) -> None:
        self.topic = topic
        self._config = dict(producer_config)
        self._columns = [column for column in columns if column.kind is not Kind.BINARY]
        self._producer: Producer | None = None

    def connect(self) -> None:
        """Make the producer; the topic itself is looked after at the worker's start."""
        self._producer = Producer({"linger.ms": 5, "compression.type": "lz4", **self._config})

    def write(self, batch: Batch) -> Sequence[Failure]:
        """Publish every row, and wait until the broker has acknowledged each."""
        if self._producer is None:
            raise StoreClosed("the topic of results is not connected")
        failures: list[str] = []
        try:
            for message_id, row in zip(batch.columns["id"], self._rows(batch), strict=True):
                self._producer.produce(
                    self.topic,
                    key=message_id,
                    value=orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY),
                    on_delivery=lambda error, _: failures.append(str(error)) if error else None,
                )
        except (BufferError, KafkaException) as error:
            raise StoreUnavailable(
                f"results cannot be written to the topic {self.topic!r}: {error}"
            ) from error
        left = self._producer.flush(_FLUSH_S)
        if left or failures:
            reason = failures[0] if failures else "no answer from the broker"
            raise StoreUnavailable(
                f"{left + len(failures)} results not acknowledged by {self.topic!r}: {reason}"
            )
        return ()

    def remove(self, batch: Batch) -> None:
        """Publish a tombstone for each image: what a topic has taken, it cannot give back."""
        if self._producer is None:
            raise StoreClosed("the topic of results is not connected")
        for image in batch.images:
            self._producer.produce(self.topic, key=image.id)
        if left := self._producer.flush(_FLUSH_S):
            raise StoreUnavailable(f"{left} tombstones not acknowledged by {self.topic!r}")

    def close(self) -> None:
        """Send what is left."""
        if self._producer is not None:
            self._producer.flush(_FLUSH_S)
            self._producer = None

    def _rows(self, batch: Batch) -> list[dict[str, object]]:
        names = [column.name for column in self._columns]
        values = [_values(batch, column) for column in self._columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _values(batch: Batch, column: Column) -> list[object]:
    values = batch.columns.get(column.name, [None] * len(batch))
    if column.kind is Kind.JSON:
        return [None if value is None else orjson.Fragment(value) for value in values]
    return values.tolist() if isinstance(values, np.ndarray) else values
