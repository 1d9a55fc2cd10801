"""The Faust app: agents and services without Faust's own Kafka client.

Images are read by `flumen.streams.live.reader`, so Faust's consumer, producer, conductor and tables stay off.
"""

import logging
from typing import Any

# What making and starting the app imports, which then waits for nothing.
import faust
import faust.assignor.partition_assignor
import faust.tables.sets
import faust.transport.drivers.aiokafka
import faust.worker
from faust.app.base import BootStrategy

from flumen.streams.live.concurrency import LIVE
from flumen.streams.settings import Settings


class _WithoutKafka(BootStrategy):
    enable_kafka = False
    enable_web = False
    enable_sensors = False


class _App(faust.App):
    BootStrategy = _WithoutKafka
    mundane_level = "debug"

    async def on_first_start(self) -> None:
        """Make no folder for Faust's tables: there are none."""

    def _new_consumer(self) -> Any:
        """Make the consumer that Faust's streams ask for; it does not start, so nobody else closes its loop."""
        consumer: Any = super()._new_consumer()
        consumer._thread.thread_loop.close()
        return consumer


def build_app(settings: Settings) -> faust.App:
    """Make the app. It must be made within the event loop that it runs on."""
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.WARNING)
    app = _App(
        settings.group_id,
        broker=f"kafka://{settings.kafka_servers}",
        web_enabled=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        autodiscover=False,
    )
    app.finalize()
    # Without a Kafka consumer of Faust's nobody else opens the channels.
    app.flow_control.resume()
    return app


def batch_channel(app: faust.App) -> faust.ChannelT[Any]:
    """Make the channel in which micro-batches wait for an agent; while it is full, the reader waits."""
    return app.channel(maxsize=LIVE.in_channel)
