"""Moments as people write them: a time with its zone, or so long ago."""

import re
from datetime import UTC, datetime, timedelta

from flumen.replay.errors import NoSuchMoment

_AGO = re.compile(r"(\d{1,9}) (second|minute|hour|day)s? ago")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_us(text: str, now: datetime) -> int:
    """Return a moment as microseconds since the epoch.

    Args:
        text: ISO 8601 with a zone, as `2026-03-01T12:00:00+01:00` or with Z, or as `2 hours ago` (seconds, minutes,
            hours or days).
        now: behind which there is none.

    Raises:
        NoSuchMoment: it is none of these, lies before 1970, or is still to come.
    """
    wanted = text.strip()
    try:
        ago = _AGO.fullmatch(wanted.lower())
        moment = now - timedelta(**{f"{ago[2]}s": int(ago[1])}) if ago else datetime.fromisoformat(wanted)
        if moment.tzinfo is None:
            raise NoSuchMoment(
                f"{text!r} has no zone: write {wanted}Z if it is UTC, or its distance from it, as {wanted}+01:00"
            )
        since = moment - _EPOCH
    except (ValueError, OverflowError) as error:
        raise NoSuchMoment(
            f"{text!r} is no moment: write 2026-03-01T12:00:00Z, another zone as +01:00, or so long ago, such as "
            "'2 hours ago'"
        ) from error
    if moment > now:
        raise NoSuchMoment(
            f"{text!r} is still to come: here it is {now.astimezone(UTC).isoformat(timespec='seconds')}"
        )
    if since <= timedelta(0):
        raise NoSuchMoment(f"{text!r} lies before 1970, and before every table")
    return since // timedelta(microseconds=1)
