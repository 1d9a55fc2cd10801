"""The live path: one Faust agent, five steps.

Several of it run at once and share one channel (`flumen.streams.live.concurrency` says how many), so the next batch is
decoded while the last one is written. Each step serves its batches one after another, in the order in which they were
taken.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import faust
from mode import CrashingSupervisor

from flumen.interceptor import Batch, Classifier, Reject
from flumen.streams.control.worker.following import Control
from flumen.streams.dead_letters.writer import DeadLetterWriter
from flumen.streams.live.concurrency import LIVE
from flumen.streams.live.delivery import Delivered, Delivery, Lost, rows_of_ours
from flumen.streams.live.intake import MicroBatch
from flumen.streams.live.interception import Interception
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.reader import Reader
from flumen.streams.live.retry import Retry
from flumen.streams.live.shadow import Shadow


@dataclass(frozen=True, slots=True)
class Steps:
    """What the agent's steps work with."""

    control: Control
    shadow: Shadow
    interception: Interception
    delivery: Delivery
    dead_letters: DeadLetterWriter
    retry: Retry
    metrics: Metrics


def add_agent(app: faust.App, channel: faust.ChannelT[Any], reader: Reader, steps: Steps) -> None:
    """Register the agent. What nobody foresaw ends it, and with it the worker: nothing is acknowledged then."""

    @app.agent(channel, name="classify", concurrency=LIVE.agents, supervisor_strategy=CrashingSupervisor)
    async def classify(batches: faust.StreamT[MicroBatch]) -> None:
        async for batch in batches:  # 1. take a micro-batch
            await finish(batch, reader.acknowledge, steps)


async def finish(batch: MicroBatch, acknowledge: Callable[[MicroBatch], None], steps: Steps) -> None:
    """Do with a micro-batch all there is to do. Nothing of it, its model neither, stays in memory behind it."""
    serving = steps.control.slot.current
    model = serving.classifier
    steps.control.reporter.taken(serving, batch.messages)
    intercepted = await steps.interception.run(batch, serving)  # 2. decode and classify it, by one model
    lost = batch.receipt.lost
    delivered = await steps.delivery.write(intercepted.oks, lost)  # 3. into every store
    unread = await without_deleted(steps, intercepted.errs)
    await dead_letter(steps, [*unread, *delivered.refused], model, lost)  # 4. the rejects to the dead letters
    stored = without(intercepted.oks, delivered)
    stored = stored.take(rows_of_ours(stored, lost()))
    count(steps.metrics, batch, len(stored), model)  # before others can see that it is done
    acknowledge(batch)  # 5. and only now is it done
    steps.shadow.offer(stored, model)
    steps.control.drift.look(stored, model)


async def dead_letter(steps: Steps, rejects: Sequence[Reject], model: Classifier, lost: Lost) -> None:
    """Publish the rejects of a batch that are still ours to the dead letters; count those by stage and reason."""
    if not rejects:
        return

    async def publish() -> Sequence[Reject]:
        gone = lost()
        ours = [reject for reject in rejects if reject.image.partition not in gone]
        await asyncio.to_thread(steps.dead_letters.publish, ours, model)
        return ours

    published = await steps.retry.until_done("the dead-letter topic", publish)
    steps.metrics.dead_letters.inc(len(published))
    for reject in published:
        steps.metrics.record_errors.labels(reject.stage, type(reject.error).__name__).inc()


async def without_deleted(steps: Steps, rejects: Sequence[Reject]) -> Sequence[Reject]:
    """Return the rejects that are to be kept as dead letters: a deleted image is kept nowhere."""
    deleted = await steps.delivery.keep_out([reject.image for reject in rejects]) if rejects else ()
    kept = [reject for reject in rejects if reject.image.id not in deleted]
    steps.metrics.deleted_images.inc(len(rejects) - len(kept))
    return kept


def without(batch: Batch, delivered: Delivered) -> Batch:
    """Return what is in every store."""
    if not delivered.refused and not delivered.deleted:
        return batch
    gone = {id(reject.image) for reject in delivered.refused}
    return batch.take(
        [
            row
            for row, image in enumerate(batch.images)
            if id(image) not in gone and image.id not in delivered.deleted
        ]
    )


def count(metrics: Metrics, batch: MicroBatch, stored: int, model: Classifier) -> None:
    """Count a batch that is done."""
    metrics.images.labels(model.name, model.version).inc(stored)
    metrics.batches.labels(model.name, model.version).inc()
    oldest_ms = min(message.timestamp_ms for message in batch.messages)
    metrics.end_to_end_seconds.observe(max(0.0, time.time() - oldest_ms / 1000))
