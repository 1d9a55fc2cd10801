"""Moments as people write them."""

from datetime import UTC, datetime

import pytest

from flumen.replay.errors import NoSuchMoment
from flumen.replay.sql.moments import moment_us

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
US = 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds_ago"),
    [
        ("2026-03-02T11:59:58Z", 2),
        ("2026-03-02 12:59:58+01:00", 2),
        ("2 hours ago", 7200),
        ("1 Day ago", 86_400),
        (" 90 seconds ago ", 90),
    ],
)
def test_a_time_with_its_zone_or_so_long_ago(text: str, seconds_ago: int) -> None:
    assert moment_us(text, NOW) == (int(NOW.timestamp()) - seconds_ago) * US


def test_microseconds_are_kept() -> None:
    assert moment_us("2026-03-02T11:00:00.000001Z", NOW) % US == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-03-02T11:00:00", "has no zone: write 2026-03-02T11:00:00Z"),
        ("2026-03-02T12:00:01Z", "still to come"),
        ("1969-01-01T00:00:00Z", "before 1970"),
        ("yesterday", "is no moment"),
        ("999999999 days ago", "is no moment"),
        ("-1 hours ago", "is no moment"),
        ("", "is no moment"),
    ],
)
def test_what_is_no_moment_is_told(text: str, message: str) -> None:
    with pytest.raises(NoSuchMoment, match=message.replace("+", r"\+")):
        moment_us(text, NOW)
