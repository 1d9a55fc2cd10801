"""Times of records, as pages and the API have them."""

from datetime import UTC, datetime


def microseconds(text: str) -> int:
    """Return a time of a record, ISO 8601 in UTC, as microseconds since 1970; 0 where it is none that there is."""
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return 0
