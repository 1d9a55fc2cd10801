"""The agent keeps the delivery contract, with the intake, the ledger, the commits and two stores in memory.

Whatever becomes of a batch, its stores, its dead letters or its model, each image is in both stores or among the dead
letters before its offset is committed; and an older image never takes the place of a newer one of its id.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from delivery_contract import OF_THE_GROUP, PARTITIONS, SOME, Deliveries, catch, hold
from hypothesis import strategies as st
from hypothesis.stateful import rule
from numpy.typing import NDArray
from step_loop import StepLoop

from flumen.interceptor import Batch, Column, Context, Intercepted, Kind, Limits, Preprocess, partition
from flumen.interceptor.classify import Classify
from flumen.interceptor.errors import Unclassifiable
from flumen.models.slot import CurrentSlot, Serving
from flumen.stores import Failure, StoreClosed, StoreUnavailable
from flumen.stores.memory import MemorySink, MemoryStore
from flumen.streams.control.worker.following import Control
from flumen.streams.dead_letters.writer import DeadLetterWriter
from flumen.streams.kafka.memory import MemoryProducer, MemoryTopic
from flumen.streams.kafka.message import Outgoing, Partition, RawMessage
from flumen.streams.kafka.producer import Undelivered
from flumen.streams.live.agent import Steps, finish
from flumen.streams.live.delivery import Delivery
from flumen.streams.live.drift_watch import DriftWatch
from flumen.streams.live.intake import MicroBatch
from flumen.streams.live.interception import Interception
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.retry import Retry
from flumen.streams.live.settings import DriftSettings
from flumen.streams.live.shadow import Shadow

Acknowledge = Callable[[MicroBatch], None]
Finish = Callable[[MicroBatch, Acknowledge, Steps], Any]

GOOD, BROKEN, UNANSWERED, REFUSED = b"good", b"broken", b"unanswered", b"refused"
"""What becomes of an image: it is stored; an interceptor rejects it, the model, or one of the stores."""

METRICS = Metrics()
COLUMNS = (Column("id", Kind.STRING, "its id", nullable=False), Column("at", Kind.INT64, "its offset"))

OFTEN = ["round", "answer first", "answer last"]
SELDOM = ["wait", "down kudu", "down solr", "down dead letters", "up", "lose the answer", *OF_THE_GROUP]
RARE = ["break the model", "break a store"]
MEANWHILE = st.lists(st.sampled_from(60 * OFTEN + 8 * SELDOM + 4 * RARE), min_size=3, max_size=30)
STUCK_AFTER = 30
"""So many calls in which nothing happens let all servers be up again."""


class Looked:
    """The interceptor that looks at images."""

    columns = COLUMNS

    def intercept(self, batch: Batch, context: Context) -> Intercepted:
        contents = [image.content.partition(b" ")[0] for image in batch.images]
        looked = batch.with_columns(
            id=[image.id for image in batch.images],
            at=np.array([image.offset for image in batch.images], dtype=np.int64),
            pixels=np.array([255 * (content == UNANSWERED) for content in contents], np.uint8).reshape(
                -1, 1, 1
            ),
        )
        broken = {row: Unclassifiable("broken") for row, content in enumerate(contents) if content == BROKEN}
        return partition(looked, "look", broken)


class Model:
    """A model that gives no answer to white, and fails when it is told to."""

    name, version, labels, preprocess = "mnist", 1, ("0", "1"), Preprocess(1, 1)
    is_broken = False

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.is_broken:
            raise RuntimeError("the model has failed")
        answers = np.full((len(tensor), 2), 0.5, dtype=np.float32)
        answers[tensor[:, 0] > 0.5] = np.nan
        return answers


class Stored(MemorySink):
    """A memory sink that remembers what it ever took, and fails when it is told to."""

    def __init__(self, name: str, refuses: Sequence[bytes]) -> None:
        self.store = MemoryStore()
        super().__init__(self.store, COLUMNS)
        self.name = name
        self.took: set[tuple[int, int]] = set()
        self.loses_answer = self.is_broken = False
        self._refuses = refuses
        self.connect()

    def write(self, batch: Batch) -> Sequence[Failure]:
        if self.is_broken:
            raise StoreClosed("broken")
        refused = [row for row, image in enumerate(batch.images) if image.content.split()[0] in self._refuses]
        taken = batch.take([row for row in range(len(batch)) if row not in refused])
        assert not super().write(taken)
        self.took |= {(cast(int, image.partition), cast(int, image.offset)) for image in taken.images}
        if self.loses_answer:
            self.loses_answer = False
            raise StoreUnavailable("it does not say whether it took them")
        return [Failure(row, "not this one") for row in refused]


class Reporter:
    """Who tells others which model takes batches: nobody is told."""

    def taken(self, serving: Serving, messages: Iterable[RawMessage]) -> None:
        pass


class ByTheAgent(Deliveries):
    """A worker whose batches go through the agent, twice at once as in a worker."""

    finish: Finish = staticmethod(finish)
    settled_after_a_loss = 1000

    def __init__(self) -> None:
        self.sinks = [Stored("kudu", ()), Stored("solr", (REFUSED,))]
        self.dead = MemoryTopic("images.dead", 1)
        self.loop: StepLoop | None = None
        super().__init__()
        for number in range(len(PARTITIONS)):
            self.publish(number, [(GOOD, 0), (BROKEN, 700), (GOOD, 1400), (REFUSED, 0), (GOOD, 700)])

    def begin(self) -> None:
        self.kill()
        super().begin()
        self.loop = StepLoop(self.clock)
        self.open: list[MicroBatch] = []
        self.model = Model()
        self.dead_is_down = False
        for sink in self.sinks:
            sink.store.available, sink.loses_answer, sink.is_broken = True, False, False
        self.channel: asyncio.Queue[MicroBatch] = asyncio.Queue(1)
        steps = self.steps()
        self.agents = [self.loop.create_task(self.agent(steps)) for _ in range(2)]

    def kill(self) -> None:
        if self.loop is not None:
            self.loop.leave(self.agents)

    def teardown(self) -> None:
        try:
            super().teardown()
            self.check_newest()
        finally:
            self.kill()

    def steps(self) -> Steps:
        retry = Retry(METRICS, self.intake._pulse)
        producer = MemoryProducer([self.dead], self.answer)
        return Steps(
            Control(
                CurrentSlot(Serving(self.model, "sha256")),
                cast(Any, Reporter()),
                DriftWatch(DriftSettings(), METRICS, lambda: None),
                Future(),
            ),
            Shadow([], Limits(), METRICS, 0),
            Interception([Looked(), Classify()], Limits(), METRICS, clock=self.clock),
            Delivery(self.sinks, METRICS, retry),
            DeadLetterWriter("images.dead", {}, producer),
            retry,
            METRICS,
        )

    def answer(self, message: Outgoing) -> Undelivered | None:
        return Undelivered("down") if self.dead_is_down else None

    async def agent(self, steps: Steps) -> None:
        while True:
            await type(self).finish(await self.channel.get(), self.acknowledge, steps)

    def acknowledge(self, batch: MicroBatch) -> None:
        if batch in self.open:
            self.open.remove(batch)
        self.intake.acknowledge(batch)

    def hand_over(self, batch: MicroBatch) -> "Future[None]":
        assert self.loop is not None
        self.open.append(batch)
        return asyncio.run_coroutine_threadsafe(self.channel.put(batch), self.loop)

    def in_hand(self) -> Iterable[MicroBatch]:
        return self.open

    def settled(self, partition: Partition) -> set[int]:
        kudu, solr = ({at for number, at in sink.took if number == partition[1]} for sink in self.sinks)
        said = [dict(raw.headers) for raw in self.dead.messages["images.dead", 0]]
        number = b"%d" % partition[1]
        dead = {
            int(headers["__connect.errors.offset"] or b"")
            for headers in said
            if headers["__connect.errors.partition"] == number
        }
        return (kudu & solr) | dead

    def settle(self, messages: Iterable[RawMessage]) -> None:
        assert self.loop is not None
        self.loop.make_all()  # what is on its way to a store is there before another worker begins
        for raw in messages:
            image_id = (raw.key or b"").decode()
            kind = (raw.value or b"").split()[0]
            for sink in self.sinks:
                if kind == GOOD:
                    sink.store.rows[image_id] = {"id": image_id, "at": raw.offset}
                    sink.took.add((raw.partition, raw.offset))
                elif kind == REFUSED:
                    sink.store.rows.pop(image_id, None)
            if kind != GOOD:
                where = (
                    ("__connect.errors.partition", raw.partition),
                    ("__connect.errors.offset", raw.offset),
                )
                self.dead.publish(0, raw.value, raw.key, tuple((name, b"%d" % at) for name, at in where))

    def work(self, what: str) -> None:
        assert self.loop is not None
        match what.split():
            case ["answer", which]:
                self.loop.answer(0 if which == "first" else -1)
            case ["wait"]:
                self.clock.now += 10
            case ["down", "dead", _]:
                self.dead_is_down = True
            case ["down", name]:
                next(sink for sink in self.sinks if sink.name == name).store.available = False
            case ["up"]:
                self.mend()
            case ["lose", *_]:
                self.sinks[-1].loses_answer = True
            case ["break", _, "model"]:
                self.model.is_broken = True
            case ["break", *_]:
                self.sinks[0].is_broken = True
        self.loop.rounds()
        self.look_for_a_crash()

    def go_on(self) -> None:
        assert self.loop is not None
        self.loop.answer(0)
        if self.calls_alone > STUCK_AFTER:
            self.clock.now += 10
            self.mend()
            self.consumer.refuses_commits = False
        self.look_for_a_crash()

    def mend(self) -> None:
        self.dead_is_down = False
        for sink in self.sinks:
            sink.store.available = True

    def look_for_a_crash(self) -> None:
        """An agent that fails ends the worker, which waits for nothing then."""
        if self.has_crashed:
            self.intake.abandon()
            self.intake.leave(0)

    @property
    def has_crashed(self) -> bool:
        return any(task.done() for task in self.agents)

    @rule(
        number=st.sampled_from(range(len(PARTITIONS))),
        images=st.lists(
            st.tuples(
                st.sampled_from([GOOD, GOOD, GOOD, BROKEN, UNANSWERED, REFUSED]),
                st.sampled_from([0, 700, 1400]),
            ),
            min_size=1,
            max_size=8,
        ),
    )
    def publish(self, number: int, images: list[tuple[bytes, int]]) -> None:
        for kind, size in images:
            count = len(self.topic.messages["images", number])
            self.topic.publish(number, kind + b" " + b"x" * size, b"%d-%d" % (number, count % 2))

    @rule(turns=st.lists(MEANWHILE, min_size=1, max_size=6), partitions=SOME)
    def turn(self, turns: list[list[str]], partitions: set[Partition]) -> None:
        for meanwhile in turns:
            self.play([meanwhile], partitions)
            if self.has_crashed:
                self.end([], partitions, 0)
                self.begin()

    @rule(meanwhile=MEANWHILE, partitions=SOME, patient=st.booleans())
    def stop(self, meanwhile: list[str], partitions: set[Partition], patient: bool) -> None:
        self.end(meanwhile, partitions, 1e9 if patient else 0)
        if patient and not self.script and not self.has_crashed:
            assert self.intake.unfinished == 0
            ours = [
                raw
                for batch in self.open
                for raw in batch.messages
                if raw.partition not in batch.receipt.lost()
            ]
            assert not ours, "left in hand"
        self.begin()

    def check_newest(self) -> None:
        """Of the images of one id the last one is stored, unless it is among the dead letters."""
        for (_, number), messages in self.topic.messages.items():
            last = {raw.key: raw for raw in messages if raw.value and raw.value.split()[0] in (GOOD, REFUSED)}
            for raw in last.values():
                if raw.value and raw.value.startswith(GOOD):
                    key = (raw.key or b"").decode()
                    rows = [sink.store.rows.get(key, {}).get("at") for sink in self.sinks]
                    assert rows == [raw.offset] * 2, (
                        f"no image or an older one in place of a newer one of {number}"
                    )


def test_the_agent_keeps_the_delivery_contract() -> None:
    hold(ByTheAgent, examples=30)


async def acknowledges_first(batch: MicroBatch, acknowledge: Acknowledge, steps: Steps) -> None:
    acknowledge(batch)
    await finish(batch, lambda _: None, steps)


async def acknowledges_what_failed(batch: MicroBatch, acknowledge: Acknowledge, steps: Steps) -> None:
    try:
        await finish(batch, lambda _: None, steps)
    finally:
        acknowledge(batch)


async def sends_no_dead_letters(batch: MicroBatch, acknowledge: Acknowledge, steps: Steps) -> None:
    class Silent:
        def publish(self, *_: object) -> None:
            pass

    await finish(batch, acknowledge, replace(steps, dead_letters=cast(Any, Silent())))


async def writes_to_one_store(batch: MicroBatch, acknowledge: Acknowledge, steps: Steps) -> None:
    sinks = cast(Any, steps.delivery)._sinks[:1]
    await finish(batch, acknowledge, replace(steps, delivery=Delivery(sinks, METRICS, steps.retry)))


async def forgets_to_acknowledge(batch: MicroBatch, acknowledge: Acknowledge, steps: Steps) -> None:
    await finish(batch, lambda _: None, steps)


async def writes_what_is_anothers(batch: MicroBatch, acknowledge: Acknowledge, steps: Steps) -> None:
    class Careless:
        keep_out = steps.delivery.keep_out

        async def write(self, oks: Batch, _lost: object) -> Any:
            return await steps.delivery.write(oks)

    await finish(batch, acknowledge, replace(steps, delivery=cast(Any, Careless())))


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (acknowledges_first, "committed before it is settled"),
        (acknowledges_what_failed, "committed before it is settled"),
        (sends_no_dead_letters, "committed before it is settled"),
        (writes_to_one_store, "committed before it is settled"),
        (forgets_to_acknowledge, "nothing gets on"),
        (writes_what_is_anothers, "no image or an older one in place"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_agent_that_is_broken_is_caught(broken: Finish, why: str) -> None:
    catch(ByTheAgent, why, finish=broken)
