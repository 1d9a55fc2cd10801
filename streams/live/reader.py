"""Reading as a Faust service: a thread takes micro-batches, the agent gets them through a Faust channel."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

import faust

from flumen.streams.kafka.group import GroupConsumer
from flumen.streams.live.health import Pulse
from flumen.streams.live.intake import Intake, IntakeOptions, MicroBatch

Connect = Callable[[Callable[[Exception], None]], GroupConsumer]
"""Makes the consumer, in the thread that reads. It is given what ends the worker: for errors that no call can raise."""


class Reader(faust.Service):
    """Puts `MicroBatch` values into a channel, in the order of their offsets, and commits what is acknowledged."""

    mundane_level = "debug"

    def __init__(
        self,
        options: IntakeOptions,
        connect: Connect,
        channel: faust.ChannelT[Any],
        pulse: Pulse,
        stop_timeout_s: float = 30,
    ) -> None:
        """Make one; it reads once it is started. `stop_timeout_s`: how long a stop waits for what is in hand."""
        super().__init__()
        self._connect = connect
        self._channel = channel
        self._stop_timeout_s = stop_timeout_s
        self._intake = Intake(options, self._put, pulse)
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._ended: asyncio.Future[None] | None = None

    async def on_start(self) -> None:
        """Join the consumer group and begin to read."""
        self._ended = self.loop.create_future()
        self._thread.start()
        self.add_future(self._raise_what_ended())

    async def on_stop(self) -> None:
        """Take nothing more, let what was taken be finished and committed, then leave the group."""
        self._intake.leave(self._stop_timeout_s)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of the messages taken and not yet acknowledged, and of their images at the model's size."""
        return self._intake.in_flight_bytes

    @property
    def unfinished(self) -> int:
        """Batches that a stop has not waited for: they are delivered again."""
        return self._intake.unfinished

    def abandon(self) -> None:
        """Let a stop not wait for what is in hand: nobody will finish it any more."""
        self._intake.abandon()

    def acknowledge(self, batch: MicroBatch) -> None:
        """Let a batch that is in every store be committed, as soon as all before it on its partitions are as well."""
        self._intake.acknowledge(batch)

    async def _raise_what_ended(self) -> None:
        assert self._ended is not None
        await self._ended  # raises what ended the thread, and so stops the worker

    def _put(self, batch: MicroBatch) -> "Future[None]":
        put = self._channel.put(cast(Any, batch))
        return cast("Future[None]", asyncio.run_coroutine_threadsafe(cast(Any, put), self.loop))

    def _run(self) -> None:
        try:
            self._intake.run(self._connect(self._end_soon))
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the event loop, whatever it is
            self._end_soon(error)

    def _end_soon(self, error: Exception) -> None:
        self.loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: Exception) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)
