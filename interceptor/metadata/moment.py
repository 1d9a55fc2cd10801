"""When an image was taken, from the Exif directory (CIPA DC-008, section 4.6.5, part F)."""

import re
from datetime import datetime, timedelta

from flumen.interceptor.metadata.directory import Directory
from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.findings import Findings

TIME_TAGS = {36867: "DateTimeOriginal", 36881: "OffsetTimeOriginal", 37521: "SubSecTimeOriginal"}
_TIME, _OFFSET, _FRACTION = 36867, 36881, 37521

_DATE_TIME = re.compile(rb"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_ZONE = re.compile(rb"([+-])(\d\d):([0-5]\d)|Z")
_UNKNOWN_TIME = re.compile(rb"[ :0]*")
_UNKNOWN_ZONE = re.compile(rb"[ :]*")
_YEARS = range(2, 9999)
"""In UTC the first and the last year that the stores take could be the year beyond."""
_MAX_OFFSET = 15 * 60
_EPOCH = datetime(1970, 1, 1)
"""Without a zone: a camera's time of no known zone is counted from it in the same way."""
_MICROSECOND = timedelta(microseconds=1)


def read_time(exif: Directory, findings: Findings) -> None:
    """Keep the time, in UTC where the camera's distance to it is known; else as the camera's clock showed it.

    `taken_at` is microseconds since the epoch, `taken_at_utc` whether it is UTC, `utc_offset` the minutes that the
    camera's clock was ahead of UTC.
    """
    for tag, reason in exif.unreadable.items():
        if tag in TIME_TAGS:
            findings.miss(TIME_TAGS[tag], reason)
    taken = findings.attempt("DateTimeOriginal", lambda: _date_time(_text(exif, _TIME)))
    if taken is None:
        return
    fraction = findings.attempt("SubSecTimeOriginal", lambda: _microseconds(_text(exif, _FRACTION)))
    offset = findings.attempt("OffsetTimeOriginal", lambda: _minutes(_text(exif, _OFFSET)))
    microseconds = (taken - _EPOCH) // _MICROSECOND + (fraction or 0)
    findings.keep("taken_at", microseconds - (offset or 0) * 60_000_000)
    findings.keep("taken_at_utc", offset is not None)
    findings.keep("utc_offset", offset)


def _text(exif: Directory, tag: int) -> bytes:
    entry = exif.entries.get(tag)
    return b"" if entry is None else entry.text().partition(b"\0")[0].strip()


def _date_time(text: bytes) -> datetime | None:
    """Return the time; None where it is blank or all zeros, which is how cameras say that they do not know."""
    if _UNKNOWN_TIME.fullmatch(text):
        return None
    parts = _DATE_TIME.fullmatch(text)
    if parts is None:
        raise Unreadable("it is not written as YYYY:MM:DD HH:MM:SS")
    try:
        moment = datetime(*map(int, parts.groups()))  # type: ignore[arg-type]
    except ValueError:
        raise Unreadable("there is no such date or time") from None
    if moment.year not in _YEARS:
        raise Unreadable("there is no such date or time")
    return moment


def _microseconds(text: bytes) -> int | None:
    if not text:
        return None
    if not text.isdigit():
        raise Unreadable("it is no row of digits")
    return int(text[:6].ljust(6, b"0"))


def _minutes(text: bytes) -> int | None:
    if _UNKNOWN_ZONE.fullmatch(text):
        return None
    parts = _ZONE.fullmatch(text)
    if parts is None:
        raise Unreadable("it is not written as +HH:MM")
    if parts.group(1) is None:
        return 0
    minutes = int(parts.group(2)) * 60 + int(parts.group(3))
    if minutes > _MAX_OFFSET:
        raise Unreadable("no place is so far from UTC")
    return -minutes if parts.group(1) == b"-" else minutes
