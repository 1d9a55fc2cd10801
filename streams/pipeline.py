"""What a worker does with a message, in this process and without servers: for tests of interceptors and producers."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from flumen.interceptor import (
    DEFAULT_CHAIN,
    Batch,
    Classifier,
    Context,
    Interceptor,
    Limits,
    Reject,
    intercept,
    load_chain,
    merge_columns,
)
from flumen.models.processes.decoder import GuardedDecoder
from flumen.models.repository import Repository
from flumen.models.shipped import SHIPPED
from flumen.stores.memory import MemoryReader, MemorySink, MemoryStore
from flumen.streams.kafka.message import RawMessage
from flumen.streams.live.delivery import Delivery
from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.retry import Retry
from flumen.streams.wire import to_images

_TOPIC = "images"
_STALLED_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image. Stored: `row` holds its columns. Refused: `row` is None, `stage` and `reason` say why.

    `stage` is the interceptor or the store that refused it. `document` is what Solr holds of it, by column; None where
    no Solr was asked.
    """

    image_id: str
    row: Mapping[str, Any] | None = None
    document: Mapping[str, Any] | None = None
    stage: str = ""
    reason: str = ""


class Pipeline:
    """Interception and delivery with a verified model and stores in memory: no Kafka, no Kudu, no Solr.

    `interceptors` are names, in order, or interceptors themselves. `model` is a model that comes with flumen, by name,
    or a classifier of your own. What one test sent, the next one with the same pipeline finds stored.

    Raises:
        UnknownInterceptor: no installed package registers that name.
        ColumnConflict: two interceptors declare the same column.
        ModelError: no model of that name comes with flumen.
    """

    def __init__(
        self,
        interceptors: Sequence[str | Interceptor] = DEFAULT_CHAIN,
        model: str | Classifier = "mnist",
        limits: Limits | None = None,
    ) -> None:
        self._chain = [load_chain([each])[0] if isinstance(each, str) else each for each in interceptors]
        self._model = _shipped(model) if isinstance(model, str) else model
        self._limits = limits or Limits()
        self._decoder = GuardedDecoder()
        self._sent = 0
        self._closed = False
        self.store = MemoryStore()
        metrics = Metrics()
        columns = merge_columns(step.columns for step in self._chain)
        sinks = [MemorySink(self.store, columns)]
        self._delivery = Delivery(sinks, metrics, Retry(metrics, Pulse(_STALLED_AFTER_S)))
        self._loop = asyncio.Runner()
        self._loop.run(self._delivery.connect())

    def send(
        self,
        value: bytes | None,
        *,
        key: str | None = None,
        name: str = "",
        known_label: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Take one message as a worker takes it from Kafka, and return what became of its image.

        Args:
            value: the message's value: an image's bytes, or a structured CloudEvent with its `content-type` header.
            key: the message's key, the image's id; without one, the id is told from the rest.
            name: the image's file name: the header `ce_subject`.
            known_label: the header `ce_knownlabel`.
            headers: more headers.
        """
        given = {**({"ce_subject": name} if name else {}), **(headers or {})}
        if known_label is not None:
            given["ce_knownlabel"] = str(known_label)
        now_s = time.time()
        message = RawMessage(
            topic=_TOPIC,
            partition=0,
            offset=self._sent,
            key=None if key is None else key.encode(),
            value=value,
            headers=tuple((header, text.encode()) for header, text in given.items()),
            timestamp_ms=int(now_s * 1000),
        )
        self._sent += 1
        return self._take(message, int(now_s * 1_000_000))

    def close(self) -> None:
        """End the threads, and the helper process that decodes. A second call does nothing."""
        self._decoder.close()
        if not self._closed:
            self._closed = True
            self._loop.run(self._delivery.close())
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, message: RawMessage, now_us: int) -> Outcome:
        images = to_images([message], arrived_at=now_us)
        context = Context(self._model, now_us, self._limits, decoder=self._decoder)
        intercepted = intercept(Batch(images), context, self._chain)
        rejects: list[Reject] = [
            *intercepted.errs,
            *self._loop.run(self._delivery.write(intercepted.oks)).refused,
        ]
        (image,) = images
        for reject in rejects:
            return Outcome(image.id, stage=reject.stage, reason=str(reject.error))
        return Outcome(image.id, row=MemoryReader(self.store).get(image.id))


def _shipped(name: str) -> Classifier:
    shipped = Repository(SHIPPED)
    return shipped.load(name, shipped.resolve(name).version)
