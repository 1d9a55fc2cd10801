"""The commits before a worker leaves its group."""

from collections.abc import Mapping
from concurrent.futures import Future

from clocks import Clock

from flumen.streams.kafka.memory import MemoryConsumer, MemoryTopic
from flumen.streams.kafka.message import Partition
from flumen.streams.live.health import Pulse
from flumen.streams.live.intake import Intake, IntakeOptions, MicroBatch


class Rebalancing(MemoryConsumer):
    """Refuses every commit, and every wait for it ends soon."""

    def __init__(self, topic: MemoryTopic, clock: Clock) -> None:
        super().__init__(topic)
        self.clock = clock
        self.commits = 0
        self.refuses_commits = True

    def wait(self, timeout_s: float) -> None:
        self.clock.now += min(timeout_s, 0.005)

    def commit(self, offsets: Mapping[Partition, int], *, wait: bool) -> None:
        self.commits += 1
        super().commit(offsets, wait=wait)


def test_they_are_not_sent_as_fast_as_they_are_refused() -> None:
    clock = Clock()
    topic = MemoryTopic("images", 1)
    topic.publish(0, b"v")
    consumer = Rebalancing(topic, clock)
    batches: list[MicroBatch] = []

    def hand_over(batch: MicroBatch) -> "Future[None]":
        batches.append(batch)
        taken: Future[None] = Future()
        taken.set_result(None)
        return taken

    options = IntakeOptions(commit_every_s=0.5, last_commit_s=5, max_batch_time_s=0)
    intake = Intake(options, hand_over, Pulse(600, clock), clock=clock)
    intake.join(consumer)
    consumer.assign([("images", 0)])
    intake.turn()
    intake.acknowledge(batches[0])
    intake.leave(60)
    consumer.commits = 0
    intake.finish()
    assert 10 <= consumer.commits <= 12
    assert clock.now >= 5
