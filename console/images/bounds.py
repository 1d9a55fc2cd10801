"""Bounds of numbers and times, and a part of the map, as addresses have them."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flumen.console.errors import BadQuestion
from flumen.stores.solr.spans import Box

RANGES = {
    "confidence": "Confidence",
    "classified_at": "Classified, UTC",
    "taken_at": "Taken, UTC",
    "luminance_mean": "Mean luminance, 0 to 255",
    "sharpness": "Sharpness",
    "size_bytes": "Size, bytes",
    "width": "Width, pixels",
    "height": "Height, pixels",
    "aperture": "Aperture, f-number",
    "exposure_time": "Exposure, seconds",
    "iso": "Sensitivity, ISO",
    "focal_length": "Focal length, mm",
    "altitude": "Altitude, m",
}
"""The columns that can be bounded, and what they are called, with their units."""

TIMES = frozenset({"classified_at", "taken_at"})
_FRACTIONS = frozenset(
    {"confidence", "luminance_mean", "sharpness", "aperture", "exposure_time", "focal_length", "altitude"}
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_LONGEST = 40
_LARGEST_WHOLE = 2**31 - 1
_BOX_SIDES = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value that a column may have; times in microseconds since 1970; None for no bound."""

    name: str
    low: float | None = None
    high: float | None = None

    def __bool__(self) -> bool:
        """Say whether there is any bound."""
        return self.low is not None or self.high is not None

    def none(self) -> "Bounds":
        """Return no bounds, of the same column."""
        return Bounds(self.name)


def bound_fields(bounds: Bounds) -> Iterator[tuple[str, str]]:
    """Yield the parts of an address that say a column's bounds."""
    for side, value in (("min", bounds.low), ("max", bounds.high)):
        if value is not None:
            yield f"{side}.{bounds.name}", write_bound(bounds.name, value)


def write_bound(name: str, value: float | None) -> str:
    """Return a bound as addresses and fields of forms have it; empty for none."""
    if value is None:
        return ""
    if name in TIMES:
        moment = (_EPOCH + timedelta(microseconds=value)).replace(tzinfo=None)
        return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return f"{value:.9g}" if name in _FRACTIONS else str(int(value))


def read_bounds(given: Mapping[str, str], name: str) -> Bounds:
    """Read the bounds of a column.

    Raises:
        BadQuestion: one is no number, or no time.
    """
    low, high = (_read(name, given.get(f"{side}.{name}", "").strip(), side) for side in ("min", "max"))
    return Bounds(name, low, high)


def write_box(box: Box) -> str:
    """Return a part of the map as addresses have it: west, south, east, north."""
    return ",".join(f"{side:.9g}" for side in (box.west, box.south, box.east, box.north))


def read_box(text: str) -> Box | None:
    """Read a part of the map.

    Raises:
        BadQuestion: it is none.
    """
    if not text:
        return None
    sides = text.split(",") if len(text) <= _BOX_SIDES * _LONGEST else []
    if len(sides) == _BOX_SIDES and all(map(_NUMBER.fullmatch, sides)):
        west, south, east, north = map(float, sides)
        if -180 <= west <= east <= 180 and -90 <= south <= north <= 90:  # noqa: PLR2004 - degrees
            return Box(west, south, east, north)
    raise BadQuestion(
        f"{text[:80]!r} is no part of the map: it is box=WEST,SOUTH,EAST,NORTH in degrees, west and south the lesser"
    )


def _read(name: str, text: str, side: str) -> float | None:
    if not text:
        return None
    try:
        return _time(text, side) if name in TIMES else _number(name, text, side)
    except (ValueError, OverflowError) as error:
        expected = "a time such as 2026-05-31T12:00:00, in UTC" if name in TIMES else "a number"
        raise BadQuestion(f"{side}.{name} is {expected}, and not {text[:80]!r}") from error


def _number(name: str, text: str, side: str) -> float:
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError(text)
    if name in _FRACTIONS:
        return value
    whole = math.ceil(value) if side == "min" else math.floor(value)
    return max(-_LARGEST_WHOLE, min(whole, _LARGEST_WHOLE))


def _time(text: str, side: str) -> float:
    if len(text) > _LONGEST or not text.isascii():
        raise ValueError(text)
    moment = datetime.fromisoformat(text)
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    if side == "max" and "T" not in text and " " not in text:
        moment += timedelta(days=1, microseconds=-1)  # a day alone is meant whole
    return (moment - _EPOCH) // timedelta(microseconds=1)
