"""As many batches are in hand as one place says, however slow everything behind the reader is."""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from flumen.streams.kafka.group import GroupConsumer
from flumen.streams.kafka.memory import MemoryConsumer, MemoryTopic
from flumen.streams.kafka.message import size_of
from flumen.streams.live import agent
from flumen.streams.live.app import batch_channel, build_app
from flumen.streams.live.concurrency import LIVE, Concurrency
from flumen.streams.live.health import Pulse
from flumen.streams.live.intake import IntakeOptions, MicroBatch
from flumen.streams.live.reader import Reader
from flumen.streams.settings import Settings

OPTIONS = IntakeOptions(max_batch_size=1, max_batch_time_s=60, commit_every_s=0.001, pause_after_s=0.001)


def test_one_is_with_the_reader_and_the_others_are_in_the_channel_and_with_the_agents() -> None:
    for agents, in_channel in itertools.product((1, 2, 5), (1, 3)):
        assert Concurrency(agents, in_channel).batches_in_hand == agents + in_channel + 1
    assert LIVE.batches_in_hand == 5, (
        "docs/delivery.md says that a micro-batch is at most a fifth of the bytes"
    )


async def until(happened: Callable[[], bool]) -> None:
    while not happened():
        await asyncio.sleep(0.001)


def test_so_many_batches_are_in_hand_and_not_one_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = MemoryTopic("images", 1)
    messages = [topic.publish(0, b"image", b"key") for _ in range(3 * LIVE.batches_in_hand)]
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    consumer = MemoryConsumer(topic, count)

    def connect(_end: Callable[[Exception], None]) -> GroupConsumer:
        consumer.assign([("images", 0)])
        return consumer

    async def scenario() -> None:
        goes_on = asyncio.Event()
        taken: list[MicroBatch] = []

        async def finish(
            batch: MicroBatch, acknowledge: Callable[[MicroBatch], None], _steps: object
        ) -> None:
            taken.append(batch)
            await goes_on.wait()
            acknowledge(batch)

        monkeypatch.setattr(agent, "finish", finish)
        app = build_app(Settings(home=tmp_path))
        channel = batch_channel(app)
        reader = Reader(OPTIONS, connect, channel, Pulse(600))
        agent.add_agent(app, channel, reader, cast(Any, None))
        app.service(cast(Any, reader))
        await app.start()

        def in_hand() -> int:
            return reader.in_flight_bytes // size_of(messages[0])

        await until(lambda: in_hand() >= LIVE.batches_in_hand and len(taken) >= LIVE.agents)
        before = calls
        await until(lambda: calls > before + 50)  # the reader had time to take more
        assert (in_hand(), len(taken)) == (LIVE.batches_in_hand, LIVE.agents)
        goes_on.set()
        await until(lambda: topic.committed.get(("images", 0)) == len(messages))
        await app.stop()

    asyncio.run(asyncio.wait_for(scenario(), 60))
