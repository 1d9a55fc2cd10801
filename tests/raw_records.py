"""Records as any client may write them: names of headers are bytes, and a timestamp is any 64 bits."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.structs import RecordMetadata

_BATCH_BYTES = 64 * 1024 * 1024
_BATCH_RECORDS = 500
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


@dataclass(frozen=True)
class RawRecord:
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...] = field(default=())
    timestamp_ms: int | None = None


class _Name(str):
    """A header's name that is no text: confluent-kafka and aiokafka send texts alone."""

    raw: bytes

    def encode(self, *_: object, **__: object) -> bytes:
        return self.raw


def _name(raw: bytes) -> _Name:
    name = _Name(raw.decode("latin-1"))
    name.raw = raw
    return name


def publish_raw(
    servers: str, topic: str, records: Iterable[RawRecord], partition: int = 0, codec: str = "none"
) -> list[int]:
    """Publish to one partition, in order, and return each record's offset; a batch that is refused raises."""
    return asyncio.run(_publish(servers, topic, list(records), partition, CODECS[codec]))


async def _publish(
    servers: str, topic: str, records: list[RawRecord], partition: int, codec: int
) -> list[int]:
    producer = AIOKafkaProducer(bootstrap_servers=servers, max_request_size=_BATCH_BYTES, acks="all")
    await producer.start()
    offsets: list[int] = []
    try:
        for start in range(0, len(records), _BATCH_RECORDS):
            some = records[start : start + _BATCH_RECORDS]
            sent = await producer.send_batch(_batch(some, codec), topic, partition=partition)
            told: RecordMetadata = await sent
            offsets += range(told.offset, told.offset + len(some))
    finally:
        await producer.stop()
    return offsets


def _batch(records: list[RawRecord], codec: int) -> BatchBuilder:
    batch = BatchBuilder(_BATCH_BYTES, codec)
    batch._builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, 0, _BATCH_BYTES)
    for record in records:
        headers = [(_name(name), value) for name, value in record.headers]
        taken = batch.append(
            timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=headers
        )
        assert taken is not None, "the batch is full"
    batch.close()
    return batch
