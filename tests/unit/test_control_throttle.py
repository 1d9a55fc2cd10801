"""The share of a core that a load in the background may take."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from flumen.streams.control.worker.throttle import CpuThrottle


@dataclass
class Thread:
    """A thread that works and rests, and a clock; times in seconds."""

    now: float = 1000.0
    worked: float = 7.0
    rests: list[float] = field(default_factory=list)

    def work(self, seconds: float) -> None:
        self.worked += seconds
        self.now += seconds

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds

    def throttle(self, share: float) -> CpuThrottle:
        return CpuThrottle(share, self.rest, lambda: self.worked, lambda: self.now)


def test_work_is_followed_by_rest_in_proportion() -> None:
    thread = Thread()
    throttle = thread.throttle(share=0.25)
    throttle()
    thread.work(1)
    throttle()
    assert thread.rests == [3.0]


def test_time_that_has_passed_anyway_counts_as_rest() -> None:
    thread = Thread()
    throttle = thread.throttle(share=0.25)
    throttle()
    thread.work(1)
    thread.now += 2
    throttle()
    assert thread.rests == [1.0]
    thread.work(1)
    thread.now += 100
    throttle()
    thread.work(1)
    throttle()
    assert thread.rests == [1.0, 3.0], "and is not saved up"


def test_the_first_step_does_not_wait() -> None:
    thread = Thread()
    thread.throttle(share=0.25)()
    assert not thread.rests


def test_steps_are_counted_while_work_goes_on_and_while_it_rests() -> None:
    thread = Thread()
    throttle = thread.throttle(share=0.1)
    throttle()
    assert throttle.steps == 1
    thread.work(2)
    throttle()
    assert thread.rests == [5.0, 5.0, 5.0, 3.0]
    assert throttle.steps == 6, "two steps, and each rest but the last"


def test_who_has_no_time_to_rest_rests_no_more() -> None:
    thread = Thread()
    rests: list[float] = []

    def wait(seconds: float) -> bool:
        rests.append(seconds)
        return True

    throttle = CpuThrottle(0.1, wait, lambda: thread.worked, lambda: thread.now)
    throttle()
    thread.work(2)
    throttle()
    assert rests == [5.0]


def test_a_whole_core_needs_no_rest() -> None:
    thread = Thread()
    throttle = thread.throttle(share=1)
    for _ in range(3):
        thread.work(0.5)
        throttle()
    assert not thread.rests


@given(
    share=st.floats(0.01, 1),
    steps=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 100)), min_size=1, max_size=20),
)
def test_the_share_holds_from_any_rest_to_any_other(share: float, steps: list[tuple[float, float]]) -> None:
    thread = Thread()
    throttle = thread.throttle(share)
    throttle()
    started, worked = thread.now, thread.worked
    for work, otherwise in steps:
        thread.work(work)
        thread.now += otherwise
        throttle()
        assert thread.worked - worked <= share * (thread.now - started) * (1 + 1e-9) + 1e-9
