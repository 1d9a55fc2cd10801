"""What `streams/` relies on in Faust and in librdkafka, one test each. A newer version that changes it fails here.

Pinned: faust-streaming and its mode (agents, channels, supervision), confluent-kafka and its librdkafka (the consumer).
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import faust
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from mode import CrashingSupervisor

from flumen.streams.kafka import polling
from flumen.streams.kafka.brokers import group_config
from flumen.streams.kafka.polling import Arrivals
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.live.app import batch_channel, build_app
from flumen.streams.live.concurrency import LIVE
from flumen.streams.settings import Settings

NEVER_S = 60


def run(settings: Settings, scenario: Callable[[faust.App], Any]) -> Any:
    async def main() -> Any:
        app = build_app(settings)
        try:
            return await asyncio.wait_for(scenario(app), 60)
        finally:
            await app.stop()

    return asyncio.run(main())


def test_an_agent_that_raises_stops_the_app_and_is_not_started_again(settings: Settings) -> None:
    """Faust's default supervisor restarts an agent and reads on, which loses what it held; this one does not."""

    async def scenario(app: faust.App) -> None:
        channel = app.channel(maxsize=1)
        runs = []

        @app.agent(channel, supervisor_strategy=CrashingSupervisor)
        async def fails(stream: Any) -> None:
            runs.append(1)
            async for _ in stream:
                raise ValueError("unforeseen")

        await app.start()
        await channel.put("batch")
        await app.wait_until_stopped()
        assert isinstance(app.crash_reason, ValueError)
        assert runs == [1]

    run(settings, scenario)


def test_two_of_an_agent_share_one_channel_and_each_batch_goes_to_one(settings: Settings) -> None:
    """That is how the next batch is decoded while the last one is written."""

    async def scenario(app: faust.App) -> None:
        channel = batch_channel(app)
        taken: list[int] = []
        both_busy = asyncio.Event()

        @app.agent(channel, concurrency=LIVE.agents, supervisor_strategy=CrashingSupervisor)
        async def takes(stream: Any) -> None:
            async for number in stream:
                taken.append(number)
                if len(taken) == LIVE.agents:
                    both_busy.set()
                await both_busy.wait()

        await app.start()
        for number in range(20):
            await channel.put(number)
        while len(taken) < 20:
            await asyncio.sleep(0)
        assert sorted(taken) == list(range(20))

    run(settings, scenario)


def test_a_full_channel_makes_the_reader_wait(settings: Settings) -> None:
    """The channel's capacity is what bounds the batches in hand."""

    async def scenario(app: faust.App) -> None:
        channel = app.channel(maxsize=1)
        go_on = asyncio.Event()

        @app.agent(channel, supervisor_strategy=CrashingSupervisor)
        async def takes_one(stream: Any) -> None:
            async for _ in stream:
                await go_on.wait()

        await app.start()
        assert channel.subscriber_count == 1  # else the first batch would be put to nobody
        await channel.put("in the agent")
        await channel.put("in the channel")
        third = asyncio.ensure_future(channel.put("has to wait"))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not third.done()
        go_on.set()
        await third

    run(settings, scenario)


@pytest.fixture
def topic(settings: Settings) -> Iterator[str]:
    """A topic of two partitions with 1,000 messages, numbered."""
    ensure_topics(settings)
    producer = Producer(settings.producer_config())
    for number in range(1000):
        producer.produce(settings.images_topic, value=str(number), partition=number % 2)
    assert producer.flush(60) == 0
    return settings.images_topic


def numbers(consumer: Consumer, count: int) -> list[int]:
    taken: list[int] = []
    while len(taken) < count:
        message = consumer.poll(60)
        assert message is not None
        assert message.error() is None
        taken.append(int(message.value()))
    return taken


def test_a_paused_consumer_goes_on_where_it_was(settings: Settings, topic: str) -> None:
    """Paused, a poll delivers nothing; resumed, not one message is left out or comes twice."""
    consumer = Consumer(settings.consumer_config())
    consumer.subscribe([topic])
    taken = numbers(consumer, 100)
    consumer.pause(consumer.assignment())
    assert [consumer.poll(0.05) for _ in range(10)] == [None] * 10
    consumer.resume(consumer.assignment())
    taken += numbers(consumer, 900)
    assert sorted(taken) == list(range(1000))
    consumer.close()


def test_a_partition_is_revoked_before_another_worker_has_it(settings: Settings, topic: str) -> None:
    """`on_revoke` runs within the poll, and what it commits is where the other worker begins."""
    order: list[str] = []
    config = {**group_config({}), **settings.consumer_config()}
    first, second = Consumer(config), Consumer(config)

    def revoked(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            order.append(f"revoked {partition.partition}")
            if not second.assignment():  # when both leave there is nobody to hand over to
                consumer.commit(offsets=[TopicPartition(topic, partition.partition, 123)], asynchronous=False)

    first.subscribe([topic], on_revoke=revoked)
    numbers(first, 1)
    assert len(first.assignment()) == 2
    first.pause(first.assignment())

    def assigned(_: Consumer, partitions: list[TopicPartition]) -> None:
        order.extend(f"assigned {partition.partition}" for partition in partitions)

    second.subscribe([topic], on_assign=assigned)
    message = None
    while message is None:
        first.poll(0.05)
        message = second.poll(0.05)
    moved = message.partition()
    assert order == [f"revoked {moved}", f"assigned {moved}"]
    assert message.offset() == 123
    first.close()
    second.close()


def test_commits_refused_by_a_rebalance_are_heard_of(settings: Settings, topic: str) -> None:
    """An asynchronous commit that fails says so to `on_commit`, and nowhere else: so it is tried again from there."""
    heard: list[KafkaError | None] = []
    consumer = Consumer({**settings.consumer_config(), "on_commit": lambda error, _: heard.append(error)})
    consumer.subscribe([topic])
    numbers(consumer, 1)
    consumer.commit(offsets=[TopicPartition(topic, 77, 1)], asynchronous=True)  # there is no such partition
    while not heard:
        consumer.poll(0.05)
    consumer.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=True)
    while len(heard) < 2:
        consumer.poll(0.05)
    assert heard[1] is None
    consumer.close()


def test_a_static_member_comes_back_to_its_partitions(settings: Settings, topic: str) -> None:
    """With `group.instance.id` a worker that is restarted moves nothing in its group."""
    moved: list[str] = []

    def member(name: str) -> Consumer:
        consumer = Consumer(
            {
                **group_config({}),
                **settings.consumer_config(),
                "group.instance.id": f"{name}-{settings.group_id}",
            }
        )
        consumer.subscribe([topic], on_revoke=lambda *_: moved.append(name))
        return consumer

    stays, restarts = member("stays"), member("restarts")
    while not (len(stays.assignment()) == len(restarts.assignment()) == 1):
        stays.poll(0.05)
        restarts.poll(0.05)
    before = [partition.partition for partition in restarts.assignment()]
    moved.clear()
    restarts.close()
    restarts = member("restarts")
    while not restarts.assignment():
        stays.poll(0.05)
        restarts.poll(0.05)
    assert [partition.partition for partition in restarts.assignment()] == before
    assert "stays" not in moved
    stays.close()
    restarts.close()


def test_offsets_need_not_be_without_gaps(settings: Settings, topic: str) -> None:
    """A transaction leaves markers among the offsets; what is committed behind them is what counts as done."""
    producer = Producer({**settings.producer_config(), "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(60)
    for _ in range(3):
        producer.begin_transaction()
        producer.produce(topic, value="1000", partition=0)
        producer.commit_transaction(60)
    consumer = Consumer(settings.consumer_config())
    consumer.assign([TopicPartition(topic, 0, 499)])
    offsets = [message.offset() for message in (consumer.poll(60) for _ in range(4)) if message is not None]
    assert offsets == [499, 500, 502, 504]
    consumer.close()


def test_a_consumer_tells_of_all_that_comes_by_a_file_descriptor(
    settings: Settings, wait_until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of messages, one or many, and of callbacks: who waits for them is woken."""
    monkeypatch.setattr(polling, "_LOOK_ANYHOW_S", NEVER_S)
    ensure_topics(settings)
    committed: list[object] = []
    own = {"on_commit": lambda *_: committed.append(1), "group.id": uuid.uuid4().hex}
    consumer = Consumer({**settings.consumer_config(), **own})
    arrivals = Arrivals(consumer)
    assert arrivals.is_told
    consumer.subscribe([settings.images_topic])
    wait_until(lambda: consumer.poll(0) or consumer.assignment(), "the assignment")
    producer = Producer(settings.producer_config())

    def wait() -> None:
        began = time.monotonic()
        arrivals.wait(NEVER_S)
        assert time.monotonic() - began < NEVER_S, "nobody told"

    for count in (1, 1000, 1):
        for number in range(count):
            producer.produce(settings.images_topic, b"%d" % number, partition=0)
        producer.flush()
        taken = 0
        while taken < count:
            come = consumer.consume(500, 0)
            taken += len(come)
            if len(come) < 500 and taken < count:
                wait()
    consumer.commit(offsets=[TopicPartition(settings.images_topic, 0, 1)], asynchronous=True)
    while not committed:
        if not consumer.consume(1, 0) and not committed:
            wait()
    consumer.close()
    arrivals.close()
