"""The intake, the ledger and the commits keep the delivery contract: whoever stores the batches does it by hand."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

import pytest
from delivery_contract import OF_THE_GROUP, PARTITIONS, SOME, Deliveries, catch, hold
from hypothesis import strategies as st
from hypothesis.stateful import rule

from flumen.streams.kafka.message import Partition, RawMessage
from flumen.streams.live.intake import MicroBatch
from flumen.streams.live.ledger import OffsetLedger, Receipt

OFTEN = ["take", "nothing", "nothing"]
SELDOM = ["store first", "store last", "store last", *OF_THE_GROUP]
MEANWHILE = st.lists(st.sampled_from(8 * OFTEN + SELDOM), min_size=3, max_size=12)
STUCK_AFTER = 8
"""So many calls in which nothing happens let the worker wait in vain."""


class ByHand(Deliveries):
    """A worker whose batches are taken, stored and acknowledged by hand."""

    def __init__(self) -> None:
        self.stored: dict[Partition, set[int]] = {partition: set() for partition in PARTITIONS}
        super().__init__()
        for number in range(len(PARTITIONS)):
            self.publish(number, [0, 700, 1500, 0, 700])

    def begin(self) -> None:
        self.handed_over: list[tuple[MicroBatch, Future[None]]] = []
        self.taken: list[MicroBatch] = []
        super().begin()

    def hand_over(self, batch: MicroBatch) -> "Future[None]":
        self.handed_over.append((batch, Future()))
        return self.handed_over[-1][1]

    def in_hand(self) -> Iterable[MicroBatch]:
        return [*self.taken, *(batch for batch, _ in self.handed_over)]

    def settled(self, partition: Partition) -> set[int]:
        return self.stored[partition]

    def settle(self, messages: Iterable[RawMessage]) -> None:
        for raw in messages:
            self.stored[raw.topic, raw.partition].add(raw.offset)

    def work(self, what: str) -> None:
        match what:
            case "take":
                self.take()
            case "store first" | "store last":
                self.store(0 if what == "store first" else -1)

    def go_on(self) -> None:
        self.take()
        if self.calls_alone > STUCK_AFTER:
            self.store(0)
            self.consumer.refuses_commits = False

    def take(self) -> None:
        """Take what was handed over."""
        for batch, taken in self.handed_over:
            self.taken.append(batch)
            taken.set_result(None)
        self.handed_over.clear()

    def store(self, which: int) -> None:
        """Store one of the batches in hand, but for what is another's by now, and acknowledge it."""
        self.take()
        if self.taken:
            batch = self.taken.pop(which)
            lost = batch.receipt.lost()
            self.settle(raw for raw in batch.messages if raw.partition not in lost)
            self.intake.acknowledge(batch)

    @rule(
        partition=st.sampled_from(range(len(PARTITIONS))),
        sizes=st.lists(st.sampled_from([0, 700, 1500]), min_size=1, max_size=8),
    )
    def publish(self, partition: int, sizes: list[int]) -> None:
        for size in sizes:
            self.topic.publish(partition, b"x" * size)

    @rule(turns=st.lists(MEANWHILE, min_size=1, max_size=6), partitions=SOME)
    def turn(self, turns: list[list[str]], partitions: set[Partition]) -> None:
        self.play(turns, partitions)

    @rule(meanwhile=MEANWHILE, partitions=SOME, waits=st.booleans())
    def stop(self, meanwhile: list[str], partitions: set[Partition], waits: bool) -> None:
        self.end(meanwhile, partitions, 1e9 if waits else 0)
        if waits and not self.script:
            assert self.intake.unfinished == 0
        self.begin()


def test_the_delivery_contract() -> None:
    hold(ByHand, examples=150)


class CommitsTooFar(OffsetLedger):
    """As if it did not wait for what was taken before."""

    def acknowledge(self, receipt: Receipt) -> dict[Partition, int]:
        super().acknowledge(receipt)
        return {span.partition: span.next_offset for span in receipt.spans if not span.dropped}


class ForgetsNothing(OffsetLedger):
    """As if what is in hand of a partition that went still counted when it is back."""

    def forget(self, partitions: Iterable[Partition]) -> None:
        pass


class CountsNoBytes(OffsetLedger):
    """As if what is in hand took no memory."""

    def take(self, last_offsets: Mapping[Partition, int], size_bytes: int = 0) -> Receipt:
        return super().take(last_offsets, 0)


@pytest.mark.parametrize(
    ("ledger", "why"),
    [
        (CommitsTooFar, "committed before it is settled|committed behind"),
        (ForgetsNothing, "twice in hand|committed b"),
        (CountsNoBytes, "more in hand than allowed"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_ledger_that_is_broken_is_caught(ledger: Any, why: str) -> None:
    catch(ByHand, why, ledger=ledger)
