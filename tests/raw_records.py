"""Records as any client may write them: names of headers are bytes, and a timestamp is any 64 bits."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

_REQUEST_BYTES = 64 * 1024 * 1024
_BATCH_BYTES = 900_000
_BATCH_RECORDS = 500
_GZIP = 1


@dataclass(frozen=True)
class RawRecord:
    """`is_packed`: its batch is compressed."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    timestamp_ms: int | None = None
    is_packed: bool = False

    @property
    def size_bytes(self) -> int:
        headers = sum(len(name) + len(value or b"") + 10 for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers + 100


class _Name(str):
    """A header's name that is no text: confluent-kafka and aiokafka send texts alone."""

    raw: bytes

    def encode(self, *_: object, **__: object) -> bytes:
        return self.raw


def publish_raw(
    servers: str, topic: str, records: Iterable[RawRecord], partition: int = 0
) -> list[int | None]:
    """Publish to one partition, in order; return each record's offset, None where the broker refused its batch."""
    batches = ((len(batch), _built(batch)) for batch in _batches(records))
    return asyncio.run(_publish(servers, topic, batches, partition))


def to_batch(records: list[RawRecord]) -> bytes:
    """Return records as they stand in a topic, packed if the first one is."""
    return bytes(_built(records)._build())


def publish_batches(servers: str, topic: str, batches: Iterable[bytes]) -> list[int | None]:
    """Publish batches of one record to partition 0, as they are. Returns as `publish_raw`."""
    builders = []
    for batch in batches:
        builders.append((1, _built([RawRecord(None, None)])))
        builders[-1][1]._buffer = bytearray(batch)
    return asyncio.run(_publish(servers, topic, builders, 0))


async def _publish(
    servers: str, topic: str, batches: Iterable[tuple[int, BatchBuilder]], partition: int
) -> list[int | None]:
    producer = AIOKafkaProducer(bootstrap_servers=servers, max_request_size=_REQUEST_BYTES, acks="all")
    await producer.start()
    offsets: list[int | None] = []
    try:
        for count, batch in batches:
            try:
                told = await (await producer.send_batch(batch, topic, partition=partition))
            except BrokerResponseError:
                offsets += [None] * count
            else:
                offsets += range(told.offset, told.offset + count)
    finally:
        await producer.stop()
    return offsets


def _batches(records: Iterable[RawRecord]) -> Iterator[list[RawRecord]]:
    """Put together what a broker takes in one batch; within one, timestamps are kept as differences."""
    batch: list[RawRecord] = []
    size_bytes = 0
    for record in records:
        is_alike = not batch or (record.timestamp_ms, record.is_packed) == (
            batch[0].timestamp_ms,
            batch[0].is_packed,
        )
        if not is_alike or len(batch) == _BATCH_RECORDS or size_bytes + record.size_bytes > _BATCH_BYTES:
            if batch:
                yield batch
            batch, size_bytes = [], 0
        batch.append(record)
        size_bytes += record.size_bytes
    if batch:
        yield batch


def _built(records: list[RawRecord]) -> BatchBuilder:
    codec = _GZIP if records[0].is_packed else 0
    batch = BatchBuilder(_REQUEST_BYTES, codec)
    batch._builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, 0, _REQUEST_BYTES)
    for record in records:
        headers = [(_name(name), value) for name, value in record.headers]
        taken = batch.append(
            timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=headers
        )
        assert taken is not None, "the batch is full"
    batch.close()
    return batch


def _name(raw: bytes) -> _Name:
    name = _Name(raw.decode("latin-1"))
    name.raw = raw
    return name
