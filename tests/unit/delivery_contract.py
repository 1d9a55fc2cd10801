"""The delivery contract: a worker over a topic in memory, in one thread, and the group around it.

What happens meanwhile happens within the consumer's calls. No offset is committed before all below it is settled, none
goes back, no message is twice in hand, memory is bounded, and after any crash or stop another worker finds the rest.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from clocks import Clock
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from flumen.streams.kafka.memory import MemoryConsumer, MemoryTopic
from flumen.streams.kafka.message import Partition, RawMessage, size_of
from flumen.streams.live.health import Pulse
from flumen.streams.live.intake import Intake, IntakeOptions, MicroBatch
from flumen.streams.live.ledger import OffsetLedger

PARTITIONS: tuple[Partition, ...] = tuple(("images", number) for number in range(3))
LARGEST = 2000
OPTIONS = IntakeOptions(
    max_batch_size=4,
    max_in_flight_bytes=4 * LARGEST,
    max_message_bytes=LARGEST,
    revoke_timeout_s=0,
    commit_every_s=0,
    take_every_s=0,
    pause_after_s=0.5,
    look_every_s=0,
)

FOR_EVER = 300
"""A worker that waits for so many calls, with nobody in its way, waits for ever."""

OF_THE_GROUP = ["assign", "revoke", "lose", "refuse", "accept"]
SOME = st.sets(st.sampled_from(PARTITIONS), min_size=1)


class Deliveries(RuleBasedStateMachine):
    """One worker, and the group around it. What the worker does with a batch, a subclass says."""

    ledger: Callable[[], OffsetLedger] = OffsetLedger
    settled_after_a_loss = 0
    """How many messages of each partition that was lost another worker settles before it comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.topic = MemoryTopic("images", len(PARTITIONS))
        self.highest = dict.fromkeys(PARTITIONS, 0)
        self.script: list[tuple[str, set[Partition]]] = []
        self.begin()

    def begin(self) -> None:
        """Start a worker; what one before had in hand is gone."""
        self.clock = Clock()
        self.calls_alone = 0
        self.consumer = MemoryConsumer(self.topic, self.meanwhile)
        self.consumer.assign(PARTITIONS)
        self.pulse = Pulse(60, self.clock)
        self.intake = Intake(OPTIONS, self.hand_over, self.pulse, type(self).ledger(), self.clock)
        self.intake.join(self.consumer)

    def hand_over(self, batch: MicroBatch) -> "Future[None]":
        """Take over a batch; what is returned is done once somebody has taken it."""
        raise NotImplementedError

    def in_hand(self) -> Iterable[MicroBatch]:
        """Return what was handed over and is not acknowledged."""
        raise NotImplementedError

    def settled(self, partition: Partition) -> set[int]:
        """Return the offsets of what is stored, or among the dead letters."""
        raise NotImplementedError

    def settle(self, messages: Iterable[RawMessage]) -> None:
        """Settle these as another worker does."""
        raise NotImplementedError

    def work(self, what: str) -> None:
        """Let one thing happen to the batches in hand."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Let the worker go on by itself; once it has waited for long, whatever it waits for."""
        raise NotImplementedError

    def meanwhile(self) -> None:
        """What others do, as the script says; without one, what lets the worker go on."""
        self.clock.now += 0.1
        if self.script:
            self.calls_alone = 0
            self.happen(*self.script.pop(0))
        else:
            self.calls_alone += 1
            assert self.calls_alone < FOR_EVER, "nothing gets on"
            self.go_on()
        self.check()

    def happen(self, what: str, partitions: set[Partition]) -> None:
        """Let one thing happen."""
        match what:
            case "assign":
                self.consumer.assign(sorted(partitions))
            case "revoke":
                self.consumer.revoke(sorted(partitions))
                self.others_commit(partitions, most=2)
            case "lose":
                self.consumer.lose(sorted(partitions))
                self.others_commit(partitions, most=self.settled_after_a_loss)
            case "refuse" | "accept":
                self.consumer.refuses_commits = what == "refuse"
            case _:
                self.work(what)

    def others_commit(self, partitions: Iterable[Partition], most: int) -> None:
        """Let another worker, which the partitions went to, settle some messages and commit, before they come back."""

        def go() -> None:
            for partition in sorted(set(partitions) - self.consumer.assignment):
                begin = self.topic.committed.get(partition, 0)
                messages = self.topic.messages[partition][begin : begin + most]
                self.settle(messages)
                self.topic.committed[partition] = begin + len(messages)

        self.consumer.then(go)

    def play(self, turns: Sequence[Sequence[str]], partitions: set[Partition]) -> None:
        """Take batches while this happens."""
        for meanwhile in turns:
            self.script = [(what, partitions) for what in meanwhile]
            self.intake.turn()

    def end(self, meanwhile: Sequence[str], partitions: set[Partition], within_s: float) -> None:
        """Stop the worker while this happens; another begins."""
        self.script = [(what, partitions) for what in meanwhile]
        self.intake.leave(within_s)
        self.intake.finish()
        self.consumer.close()

    @rule()
    def crash(self) -> None:
        self.begin()

    @rule(partitions=SOME)
    def assign(self, partitions: set[Partition]) -> None:
        self.consumer.assign(sorted(partitions))

    @invariant()
    def check(self) -> None:
        for partition, committed in self.topic.committed.items():
            assert set(range(committed)) <= self.settled(partition), "committed before it is settled"
            assert committed >= self.highest[partition], "committed behind what was committed before"
            self.highest[partition] = committed
        batches = list(self.in_hand())
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
        """Let one worker have all partitions in peace: in the end everything is settled and committed."""
        self.begin()
        self.script = []
        lag = 1
        while lag:
            self.calls_alone = 0
            self.intake.turn()
            lag = self.pulse.lag
        self.calls_alone = 0
        self.end([], set(), within_s=1e9)
        for partition, messages in self.topic.messages.items():
            assert self.settled(partition) == set(range(len(messages))), "lost"
            assert self.topic.committed.get(partition, 0) == len(messages), "not committed"


SETTINGS = settings(stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))


def hold(machine: type[Deliveries], examples: int) -> None:
    """Look whether the contract holds whatever happens."""
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=examples))


def catch(machine: type[Deliveries], why: str, **broken: Any) -> None:
    """Look whether a machine is caught that is broken on purpose."""

    class Broken(machine):  # type: ignore[misc, valid-type]
        pass

    for name, part in broken.items():
        setattr(Broken, name, staticmethod(part))
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
