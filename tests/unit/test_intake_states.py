"""The delivery contract under any order of messages, acknowledgements, rebalances, refusals, failures and stops.

A worker over a topic in memory, in one thread: what happens meanwhile happens within the consumer's calls. No offset is
committed before all below it is stored, none goes back, no message is twice in hand, memory is bounded, and after any
crash or stop another worker finds the rest.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

import pytest
from clocks import Clock
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from flumen.streams.kafka.memory import MemoryConsumer, MemoryTopic
from flumen.streams.kafka.message import Partition, size_of
from flumen.streams.live.health import Pulse
from flumen.streams.live.intake import Intake, IntakeOptions, MicroBatch
from flumen.streams.live.ledger import OffsetLedger, Receipt

PARTITIONS: tuple[Partition, ...] = tuple(("images", number) for number in range(3))
LARGEST = 2000
OPTIONS = IntakeOptions(
    max_batch_size=4,
    max_in_flight_bytes=4 * LARGEST,
    max_message_bytes=LARGEST,
    revoke_timeout_s=0,
    commit_every_s=0,
    pause_after_s=0.5,
    look_every_s=0,
)

OFTEN = ["take", "nothing", "nothing"]
SELDOM = ["store first", "store last", "store last", "assign", "revoke", "lose", "refuse", "accept"]
MEANWHILE = st.lists(st.sampled_from(8 * OFTEN + SELDOM), min_size=3, max_size=12)
STUCK_AFTER = 8
"""So many calls in which nothing happens let the worker wait in vain."""

SOME = st.sets(st.sampled_from(PARTITIONS), min_size=1)


class Deliveries(RuleBasedStateMachine):
    """One worker, and the group around it."""

    ledger: Callable[[], OffsetLedger] = OffsetLedger

    def __init__(self) -> None:
        super().__init__()
        self.topic = MemoryTopic("images", len(PARTITIONS))
        for number in range(len(PARTITIONS)):
            self.publish(number, [0, 700, 1500, 0, 700])
        self.stored: dict[Partition, set[int]] = {partition: set() for partition in PARTITIONS}
        self.highest = dict.fromkeys(PARTITIONS, 0)
        self.script: list[tuple[str, set[Partition]]] = []
        self.begin()

    def begin(self) -> None:
        """Start a worker; what one before had in hand is gone."""
        self.clock = Clock()
        self.handed_over: list[tuple[MicroBatch, Future[None]]] = []
        self.in_hand: list[MicroBatch] = []
        self.calls_alone = 0
        self.consumer = MemoryConsumer(self.topic, self.meanwhile)
        self.consumer.assign(PARTITIONS)
        self.intake = Intake(OPTIONS, self.hand_over, Pulse(60, self.clock), type(self).ledger(), self.clock)
        self.intake.join(self.consumer)

    def hand_over(self, batch: MicroBatch) -> "Future[None]":
        self.handed_over.append((batch, Future()))
        return self.handed_over[-1][1]

    def meanwhile(self) -> None:
        """What others do, as the script says; without one, what lets the worker go on."""
        self.clock.now += 0.1
        if self.script:
            self.calls_alone = 0
            self.happen(*self.script.pop(0))
        else:
            self.take()
            self.calls_alone += 1
            if self.calls_alone > STUCK_AFTER:
                self.store(0)
                self.consumer.refuses_commits = False
        self.check()

    def happen(self, what: str, partitions: set[Partition]) -> None:
        """Let one thing happen."""
        match what:
            case "take":
                self.take()
            case "store first" | "store last":
                self.store(0 if what == "store first" else -1)
            case "assign":
                self.consumer.assign(sorted(partitions))
            case "revoke":
                self.consumer.revoke(sorted(partitions))
                self.others_commit(partitions)
            case "lose":
                self.consumer.lose(sorted(partitions))
            case "refuse" | "accept":
                self.consumer.refuses_commits = what == "refuse"

    def take(self) -> None:
        """Let the agent take what was handed over."""
        for batch, taken in self.handed_over:
            self.in_hand.append(batch)
            taken.set_result(None)
        self.handed_over.clear()

    def store(self, which: int) -> None:
        """Store one of the batches in hand, but for what is another's by now, and acknowledge it."""
        self.take()
        if self.in_hand:
            batch = self.in_hand.pop(which)
            lost = batch.receipt.lost()
            for raw in batch.messages:
                if raw.partition not in lost:
                    self.stored[raw.topic, raw.partition].add(raw.offset)
            self.intake.acknowledge(batch)

    def others_commit(self, partitions: Iterable[Partition]) -> None:
        """Let another worker, which the partitions went to, store some of them and commit, before they come back."""

        def go() -> None:
            for partition in set(partitions) - self.consumer.assignment:
                begin = self.topic.committed.get(partition, 0)
                end = min(begin + 2, len(self.topic.messages[partition]))
                self.stored[partition].update(range(begin, end))
                self.topic.committed[partition] = end

        self.consumer.then(go)

    @rule(
        partition=st.sampled_from(range(len(PARTITIONS))),
        sizes=st.lists(st.sampled_from([0, 700, 1500]), min_size=1, max_size=8),
    )
    def publish(self, partition: int, sizes: list[int]) -> None:
        for size in sizes:
            self.topic.publish(partition, b"x" * size)

    @rule(turns=st.lists(MEANWHILE, min_size=1, max_size=6), partitions=SOME)
    def turn(self, turns: list[list[str]], partitions: set[Partition]) -> None:
        for meanwhile in turns:
            self.script = [(what, partitions) for what in meanwhile]
            self.intake.turn()

    @rule()
    def crash(self) -> None:
        self.begin()

    @rule(meanwhile=MEANWHILE, partitions=SOME, waits=st.booleans())
    def stop(self, meanwhile: list[str], partitions: set[Partition], waits: bool) -> None:
        self.script = [(what, partitions) for what in meanwhile]
        self.intake.leave(1e9 if waits else 0)
        self.intake.finish()
        if waits and not self.script:
            assert self.intake.unfinished == 0
        self.consumer.close()
        self.begin()

    @rule(partitions=SOME)
    def assign(self, partitions: set[Partition]) -> None:
        self.consumer.assign(sorted(partitions))

    @invariant()
    def check(self) -> None:
        for partition, committed in self.topic.committed.items():
            assert set(range(committed)) <= self.stored[partition], "committed before it is stored"
            assert committed >= self.highest[partition], "committed behind what was committed before"
            self.highest[partition] = committed
        batches = [*self.in_hand, *(batch for batch, _ in self.handed_over)]
        ours = [
            (raw.partition, raw.offset)
            for batch in batches
            for raw in batch.messages
            if raw.partition not in batch.receipt.lost()
        ]
        assert len(ours) == len(set(ours)), "twice in hand"
        in_hand = sum(size_of(raw) for batch in batches for raw in batch.messages)
        assert in_hand <= OPTIONS.max_in_flight_bytes, "more in hand than allowed"

    def teardown(self) -> None:
        """Let one worker have all partitions in peace: in the end everything is stored and committed."""
        self.begin()
        self.script = []
        while self.intake.turn() or self.consumer.look().lag:
            pass
        self.intake.leave(1e9)
        self.intake.finish()
        self.consumer.close()
        for partition, messages in self.topic.messages.items():
            assert self.stored[partition] == set(range(len(messages))), "lost"
            assert self.topic.committed.get(partition, 0) == len(messages), "not committed"


SETTINGS = settings(
    max_examples=150, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_delivery_contract() -> None:
    run_state_machine_as_test(Deliveries, settings=SETTINGS)


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
        (CommitsTooFar, "committed before it is stored"),
        (ForgetsNothing, "twice in hand|committed b"),
        (CountsNoBytes, "more in hand than allowed"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_ledger_that_is_broken_is_caught(ledger: Any, why: str) -> None:
    class Broken(Deliveries):
        pass

    Broken.ledger = ledger
    until_caught = settings(
        SETTINGS,
        max_examples=2000,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    with pytest.raises(AssertionError, match=why):
        run_state_machine_as_test(Broken, settings=until_caught)
