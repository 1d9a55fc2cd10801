import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.streams.publishing.publisher import RateLimiter


def test_turns_come_at_even_intervals() -> None:
    limiter = RateLimiter(rate=4, start=100)
    assert [limiter.next_turn(100) for _ in range(4)] == [100, 100.25, 100.5, 100.75]


def test_a_long_delay_is_not_made_up_for() -> None:
    limiter = RateLimiter(rate=100, start=0)
    limiter.next_turn(0)
    due = [limiter.next_turn(60) for _ in range(100)]
    assert sum(turn <= 60 for turn in due) == pytest.approx(11, abs=1)


@given(st.floats(0.01, 1e6), st.lists(st.floats(0, 10), max_size=50))
def test_no_turn_comes_before_its_time(rate: float, delays: list[float]) -> None:
    limiter = RateLimiter(rate, start=0)
    now = 0.0
    for turn, delay in enumerate(delays):
        now = max(now + delay, limiter.next_turn(now + delay))
        assert now >= turn / rate * (1 - 1e-9)
