import asyncio
from collections.abc import Awaitable, Callable

import pytest
from clocks import Clock

from flumen.stores import StoreClosed, StoreUnavailable
from flumen.streams.errors import Stalled
from flumen.streams.live.health import Pulse, run_watchdog
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.retry import Retry


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    pulse = Pulse(10, clock)
    pulse.ready()
    return pulse


def test_a_start_of_any_length_is_no_stall(clock: Clock) -> None:
    pulse = Pulse(10, clock)
    clock.now = 15
    assert pulse.problem() == "starting for 15 s"
    clock.now = 1000
    assert pulse.stall() is None
    pulse.ready()
    assert pulse.problem() is None
    assert pulse.stall() is None
    clock.now = 1020
    assert pulse.stall() is None
    clock.now = 1021
    assert pulse.stall() is not None


def test_idle_is_healthy_for_ever(pulse: Pulse, clock: Clock) -> None:
    for clock.now in range(0, 1000, 5):
        pulse.observe(lag=0, open_batches=0)
    assert pulse.problem() is None
    assert pulse.stall() is None


def test_lag_without_progress_is_a_problem_and_then_a_stall(pulse: Pulse, clock: Clock) -> None:
    pulse.observe(lag=7, open_batches=2)
    clock.now = 11
    assert "7 messages and 2 batches" in str(pulse.problem())
    assert pulse.stall() is None
    clock.now = 21
    assert "nothing was finished for 21 s" in str(pulse.stall())
    pulse.progressed()
    assert pulse.problem() is None


def test_a_reader_that_says_nothing_any_more_is_a_stall(pulse: Pulse, clock: Clock) -> None:
    pulse.observe(lag=0, open_batches=0)
    clock.now = 21
    assert pulse.stall() == "nobody has looked for new messages for 21 s: the thread that reads hangs"


def test_work_that_comes_after_hours_of_nothing_has_its_time(pulse: Pulse, clock: Clock) -> None:
    clock.now = 5000
    pulse.observe(lag=0, open_batches=0)
    clock.now = 5001
    pulse.observe(lag=1, open_batches=1)
    assert pulse.problem() is None
    clock.now = 5015
    pulse.observe(lag=1, open_batches=1)
    assert pulse.stall() is None
    clock.now = 5021
    pulse.observe(lag=1, open_batches=1)
    assert "nothing was finished for 21 s, and 1 messages and 1 batches" in str(pulse.stall())


def test_a_store_that_is_waited_for_is_a_problem_and_no_stall(pulse: Pulse, clock: Clock) -> None:
    pulse.waits_for("kudu", "connection refused")
    clock.now = 100
    pulse.observe(lag=7, open_batches=2)
    assert "waiting for kudu for 100 s (connection refused)" in str(pulse.problem())
    assert pulse.stall() is None
    pulse.waits_no_more("kudu")
    assert pulse.problem() is None


def test_the_watchdog_ends_with_the_reason(pulse: Pulse, clock: Clock) -> None:
    pulse.observe(lag=7, open_batches=0)
    clock.now = 50
    with pytest.raises(Stalled, match="7 messages"):
        asyncio.run(run_watchdog(pulse))


def test_a_partition_that_gives_nothing_is_a_problem_also_where_others_go_on(
    pulse: Pulse, clock: Clock
) -> None:
    for clock.now in range(0, 14, 2):
        pulse.progressed()
        pulse.observe(5, 1, {"images/0/7", f"images/1/{clock.now}"})
        assert (pulse.problem() is None) == (clock.now <= 10)
    assert "nothing of images/0/7 and what stands behind it" in str(pulse.problem())
    assert pulse.stall() is None
    pulse.waits_for("kudu", "down")
    pulse.observe(5, 1, {"images/0/7"})
    pulse.waits_no_more("kudu")
    assert pulse.problem() is None, "while a server is down, nothing is taken"


def failing(times: int, error: Exception) -> Callable[[], Awaitable[str]]:
    errors = [error] * times

    async def call() -> str:
        if errors:
            raise errors.pop()
        return "done"

    return call


def test_a_retry_waits_for_a_server_that_is_down(pulse: Pulse) -> None:
    metrics = Metrics()
    retry = Retry(metrics, pulse, first_pause_s=0.001)
    assert asyncio.run(retry.until_done("kudu", failing(3, StoreUnavailable("down")))) == "done"
    assert metrics.registry.get_sample_value("flumen_retries_total", {"server": "kudu"}) == 3


def test_what_a_retry_does_not_change_is_raised(pulse: Pulse) -> None:
    retry = Retry(Metrics(), pulse, first_pause_s=0.001)
    with pytest.raises(StoreClosed):
        asyncio.run(retry.until_done("kudu", failing(1, StoreClosed("gone"))))
