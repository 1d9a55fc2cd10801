"""Where an image was taken, from the GPS directory of its EXIF (CIPA DC-008, section 4.6.6)."""

from flumen.interceptor.metadata.directory import Directory, Entry
from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.findings import Findings

PLACE_TAGS = {
    1: "GPSLatitudeRef",
    2: "GPSLatitude",
    3: "GPSLongitudeRef",
    4: "GPSLongitude",
    5: "GPSAltitudeRef",
    6: "GPSAltitude",
    17: "GPSImgDirection",
}
_LATITUDE, _LONGITUDE, _ALTITUDE, _DIRECTION = 2, 4, 6, 17

_MAX_ALTITUDE = 1_000_000
"""Metres, above and below; far beyond any flight, and short of nonsense."""

_FULL_TURN = 360
_BELOW = frozenset({1, 3})
"""GPSAltitudeRef: below sea level, below the ellipsoid. 0 and 2 are above."""


def read_place(gps: Directory, findings: Findings) -> None:
    """Keep latitude and longitude in signed degrees, altitude in signed metres, and direction in degrees."""
    for tag, reason in gps.unreadable.items():
        findings.miss(PLACE_TAGS[tag], reason)
    if _LATITUDE in gps.entries:
        findings.keep("latitude", findings.attempt("GPSLatitude", lambda: _angle(gps, _LATITUDE, "NS", 90)))
    if _LONGITUDE in gps.entries:
        findings.keep(
            "longitude", findings.attempt("GPSLongitude", lambda: _angle(gps, _LONGITUDE, "EW", 180))
        )
    if _ALTITUDE in gps.entries:
        findings.keep("altitude", findings.attempt("GPSAltitude", lambda: _altitude(gps)))
    if _DIRECTION in gps.entries:
        findings.keep(
            "direction", findings.attempt("GPSImgDirection", lambda: _direction(gps.entries[_DIRECTION]))
        )


def _angle(gps: Directory, tag: int, sides: str, most: int) -> float:
    """Return degrees, minutes and seconds as degrees, negative for the second of `sides`."""
    degrees, minutes, seconds = gps.entries[tag].numbers(3)
    if min(degrees, minutes, seconds) < 0:
        raise Unreadable("a part of it is negative")
    angle = degrees + minutes / 60 + seconds / 3600
    if angle > most:
        raise Unreadable(f"it is more than {most} degrees")
    reference = gps.entries.get(tag - 1)
    if reference is None:
        raise Unreadable(f"there is no {PLACE_TAGS[tag - 1]} that gives its sign")
    side = reference.text().partition(b"\0")[0].strip().upper().decode("latin-1")
    if len(side) != 1 or side not in sides:
        raise Unreadable(f"{PLACE_TAGS[tag - 1]} is neither {sides[0]} nor {sides[1]}")
    return -angle if side == sides[1] else angle


def _altitude(gps: Directory) -> float:
    (metres,) = gps.entries[_ALTITUDE].numbers()
    if not 0 <= metres <= _MAX_ALTITUDE:
        raise Unreadable(f"it is not between 0 and {_MAX_ALTITUDE:,} metres")
    reference = gps.entries.get(_ALTITUDE - 1)
    # Without a reference it is above sea level, by the standard.
    return -metres if reference is not None and reference.numbers()[0] in _BELOW else metres


def _direction(entry: Entry) -> float:
    (degrees,) = entry.numbers()
    if not 0 <= degrees <= _FULL_TURN:
        raise Unreadable("it is not between 0 and 360 degrees")
    return degrees % _FULL_TURN
