"""How messages become micro-batches, whenever they come and however long the batches before take."""

from concurrent.futures import Future
from typing import Any

import pytest
from clocks import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from flumen.streams.kafka.memory import MemoryConsumer, MemoryTopic
from flumen.streams.kafka.message import RawMessage, size_of
from flumen.streams.live import intake as module
from flumen.streams.live.concurrency import LIVE
from flumen.streams.live.filling import Bounds, Filling
from flumen.streams.live.health import Pulse
from flumen.streams.live.intake import Intake, IntakeOptions, MicroBatch

LARGEST = 2000
OPTIONS = IntakeOptions(
    max_batch_size=4,
    max_batch_time_s=0.5,
    max_in_flight_bytes=6 * LARGEST,
    max_message_bytes=LARGEST,
    commit_every_s=0,
    take_every_s=0,
    hand_over_every_s=0.25,
    pause_after_s=0.5,
    look_every_s=0,
)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from([0, 1]), st.sampled_from([0, 300, 1500])),
        st.tuples(st.just("acknowledge"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.just(0)),
    ),
    min_size=1,
    max_size=60,
)


class Scene:
    """An intake, and what happens within its consumer's calls: one event a call."""

    def __init__(self, events: list[tuple[str, int, int]]) -> None:
        self.events = events[::-1]
        self.clock = Clock()
        self.topic = MemoryTopic("images", 2)
        self.batches: list[MicroBatch] = []
        self.open: list[MicroBatch] = []
        self.intake = Intake(OPTIONS, self.hand_over, Pulse(1e9, self.clock), clock=self.clock)
        self.intake.join(MemoryConsumer(self.topic, self.happen))
        consumer: Any = self.intake._consumer
        consumer.assign(list(self.topic.messages))

    def hand_over(self, batch: MicroBatch) -> "Future[None]":
        self.batches.append(batch)
        self.open.append(batch)
        taken: Future[None] = Future()
        taken.set_result(None)
        return taken

    def happen(self) -> None:
        self.clock.now += 0.1
        what, which, size = self.events.pop() if self.events else ("acknowledge", 0, 0)
        if what == "publish":
            self.topic.publish(which, b"x" * size)
        elif what == "acknowledge" and self.open:
            self.intake.acknowledge(self.open.pop(min(which, len(self.open) - 1)))

    def play(self) -> None:
        calm = 0
        while calm < 10:
            before = len(self.batches)
            self.intake.turn()
            calm = 0 if self.events or len(self.batches) > before else calm + 1


def check(scene: Scene) -> None:
    """Every message is in exactly one batch, those of a partition in order, and no batch is over its limits."""
    for (_, number), messages in scene.topic.messages.items():
        handed_over = [raw for batch in scene.batches for raw in batch.messages if raw.partition == number]
        assert handed_over == messages
    for batch in scene.batches:
        sizes = [size_of(raw) for raw in batch.messages]
        assert 0 < len(sizes) <= OPTIONS.max_batch_size, "too many"
        assert batch.receipt.size_bytes == sum(sizes)
        assert sum(sizes[:-1]) <= OPTIONS.max_in_flight_bytes // LIVE.batches_in_hand, "too large"


@given(EVENTS)
@settings(deadline=None, max_examples=75)
def test_every_message_is_in_one_batch_in_order_and_no_batch_is_over_its_limits(
    events: list[tuple[str, int, int]],
) -> None:
    scene = Scene(events)
    scene.play()
    check(scene)


class LosesWhatIsLeft(Filling):
    """As if a batch took all there is with it."""

    def cut(self, bounds: Bounds) -> tuple[list[RawMessage], int]:
        cut = super().cut(bounds)
        super().__init__()
        return cut


class KnowsNoBounds(Filling):
    """As if a batch could be of any size."""

    def cut(self, bounds: Bounds) -> tuple[list[RawMessage], int]:
        return super().cut(Bounds(10**9, 10**9, bounds.decoded))


class Reverses(Filling):
    """As if the last one taken were the first to go."""

    def cut(self, bounds: Bounds) -> tuple[list[RawMessage], int]:
        raws, size = super().cut(bounds)
        return raws[::-1], size


BROKEN_BY = [("publish", 0, 1500)] * 9 + [("pass", 0, 0)] * 5 + [("publish", 1, 0)] * 9


@pytest.mark.parametrize("broken", [LosesWhatIsLeft, KnowsNoBounds, Reverses])
def test_a_filling_that_is_broken_is_caught(broken: type[Filling], monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Scene(list(BROKEN_BY))
    sound.play()
    check(sound)
    monkeypatch.setattr(module, "Filling", broken)
    scene = Scene(list(BROKEN_BY))
    scene.play()
    with pytest.raises(AssertionError):
        check(scene)


def test_what_has_come_goes_at_once_while_nothing_is_in_hand() -> None:
    scene = Scene([("publish", 0, 0), ("pass", 0, 0), ("pass", 0, 0)])
    scene.intake.turn()
    assert [len(batch.messages) for batch in scene.batches] == [1]
    assert scene.clock.now < OPTIONS.max_batch_time_s


def test_while_one_is_in_hand_the_next_one_fills() -> None:
    come = [("publish", 0, 0), ("pass", 0, 0), ("publish", 0, 0), ("pass", 0, 0), ("publish", 0, 0)]
    scene = Scene([*come, ("acknowledge", 0, 0), ("publish", 0, 0), *[("pass", 0, 0)] * 20])
    while len(scene.batches) < 2:
        scene.intake.turn()
    assert [len(batch.messages) for batch in scene.batches] == [1, 3], "until the first was acknowledged"


def test_the_next_one_fills_for_a_while_though_nothing_is_in_hand_any_more() -> None:
    scene = Scene([("publish", 0, 0), ("acknowledge", 0, 0), ("publish", 0, 0), ("publish", 0, 0)])
    while len(scene.batches) < 2:
        scene.intake.turn()
    first, second = scene.batches
    assert len(second.messages) == 2
    assert second.taken_at - first.taken_at >= OPTIONS.hand_over_every_s


def test_one_that_is_full_goes_at_once() -> None:
    scene = Scene([("publish", 0, 0), ("acknowledge", 0, 0), *[("publish", 0, 0)] * 4])
    for _ in range(4):
        scene.topic.publish(0, b"")
    while len(scene.batches) < 2:
        scene.intake.turn()
    first, second = scene.batches
    assert len(first.messages) == len(second.messages) == OPTIONS.max_batch_size
    assert second.taken_at - first.taken_at <= 1


def test_it_fills_for_so_long_and_no_longer() -> None:
    scene = Scene([("publish", 0, 0), *[("pass", 0, 0)] * 3, ("publish", 0, 0), *[("pass", 0, 0)] * 50])
    while len(scene.batches) < 2:
        scene.intake.turn()
    first, second = (batch.taken_at for batch in scene.batches)
    assert OPTIONS.max_batch_time_s <= second - first <= OPTIONS.max_batch_time_s + 1, (
        "it came a little later"
    )
