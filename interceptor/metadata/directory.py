"""Reading the directories of a TIFF structure, which is what EXIF is, from bytes that may be anything.

TIFF 6.0, section 2; CIPA DC-008 (Exif 3.0), section 4.6; BigTIFF as libtiff defines it. Pillow finds the block in a
file; its own reader of the entries stops at the first one that leads outside, and says so by a process-wide warning.
Here each entry stands alone: what can be read is kept, and what cannot is named.
"""

import math
import struct
from collections.abc import Container, Mapping
from dataclasses import dataclass

from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.words import MAX_TEXT_BYTES

MAX_ENTRIES = 4_096
"""Entries of one directory that are looked at; cameras write fewer than a hundred."""

MAX_NUMBERS = 64
"""Numbers of one entry; the longest that is read here has four."""

_CLASSIC, _BIG = 42, 43
_PREFIX = b"Exif\0\0"
_FORMATS = {
    1: "B",
    3: "H",
    4: "L",
    6: "b",
    8: "h",
    9: "l",
    11: "f",
    12: "d",
    13: "L",
    16: "Q",
    17: "q",
    18: "Q",
}
_RATIONALS = {5: "L", 10: "l"}
_TEXTS = frozenset({1, 2, 7, 129})
_SIZES = {kind: struct.calcsize(f"<{code}") for kind, code in _FORMATS.items()} | {
    2: 1,
    5: 8,
    7: 1,
    10: 8,
    129: 1,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a directory: its type's number in TIFF, and the bytes of its value, not copied."""

    order: str
    kind: int
    data: memoryview

    def text(self) -> bytes:
        """Return the bytes of a text, or of data without a type: the first `MAX_TEXT_BYTES` and one more.

        Raises:
            Unreadable: it holds numbers.
        """
        if self.kind not in _TEXTS:
            raise Unreadable("it holds numbers where a text belongs")
        return bytes(self.data[: MAX_TEXT_BYTES + 1])

    def numbers(self, count: int = 1) -> tuple[float, ...]:
        """Return its first `count` numbers, each finite.

        Raises:
            Unreadable: it holds a text, fewer numbers, a zero denominator, NaN or infinity.
        """
        code = _RATIONALS.get(self.kind) or _FORMATS.get(self.kind)
        if code is None:
            raise Unreadable("it holds a text where a number belongs")
        values = self._unpacked(code)
        if self.kind in _RATIONALS:
            if 0 in values[1 : 2 * count : 2]:
                raise Unreadable("its denominator is zero")
            values = tuple(map(_quotient, values[0::2], values[1::2]))
        if len(values) < count:
            found = f"{len(values)} number{'' if len(values) == 1 else 's'}"
            raise Unreadable(f"it holds {found} and not {count}")
        if not all(math.isfinite(value) for value in values[:count]):
            raise Unreadable("it holds no finite number")
        return values[:count]

    def _unpacked(self, code: str) -> tuple[float, ...]:
        size = struct.calcsize(f"<{code}")
        count = min(len(self.data) // size, MAX_NUMBERS)
        return struct.unpack(f"{self.order}{count}{code}", self.data[: count * size])


def _quotient(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


@dataclass(frozen=True, slots=True)
class Tiff:
    """A TIFF structure: its bytes, its byte order ("<" or ">"), and where its first directory stands."""

    data: memoryview
    order: str
    big: bool
    first: int


@dataclass(frozen=True, slots=True)
class Directory:
    """The entries of a directory that were asked for and can be read, by tag, and why others cannot."""

    entries: Mapping[int, Entry]
    unreadable: Mapping[int, str]
    cut: str | None = None
    """Why the directory could not be read to its end, or None."""


def open_tiff(content: bytes) -> Tiff:
    """Read the header of a TIFF structure; the mark `Exif` of JPEG in front of it is passed over.

    Raises:
        Unreadable: it is none.
    """
    data = memoryview(content)
    for _ in range(2):  # some writers put the mark twice
        if data[:6] == _PREFIX:
            data = data[6:]
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None:
        raise Unreadable("it does not start as a TIFF structure")
    try:
        version, first = struct.unpack_from(f"{order}HL", data, 2)
        if version == _CLASSIC:
            return Tiff(data, order, False, first)
        if version == _BIG:
            return Tiff(data, order, True, struct.unpack_from(f"{order}Q", data, 8)[0])
    except struct.error:
        raise Unreadable("it ends within its header") from None
    raise Unreadable("it does not start as a TIFF structure")


def read_directory(tiff: Tiff, offset: int, wanted: Container[int]) -> Directory:
    """Read the wanted entries of the directory at this offset. Of two with one tag the first counts.

    Raises:
        Unreadable: no directory can stand there.
    """
    head, entry, inline = ("Q", "HHQ8s", 8) if tiff.big else ("H", "HHL4s", 4)
    step = struct.calcsize(f"<{entry}")
    start = offset + struct.calcsize(f"<{head}")
    if start > len(tiff.data):
        raise Unreadable("it leads outside")
    announced = struct.unpack_from(f"{tiff.order}{head}", tiff.data, offset)[0]
    present = min(announced, (len(tiff.data) - start) // step)
    entries: dict[int, Entry] = {}
    unreadable: dict[int, str] = {}
    for number in range(min(present, MAX_ENTRIES)):
        place = start + number * step
        tag, kind, count, value = struct.unpack_from(f"{tiff.order}{entry}", tiff.data, place)
        if tag not in wanted or tag in entries or tag in unreadable:
            continue
        size = _SIZES.get(kind, 0) * count
        at = place + step - inline
        if size > inline:
            at = struct.unpack(f"{tiff.order}{'Q' if tiff.big else 'L'}", value)[0]
        if not size:
            unreadable[tag] = "it has no value" if kind in _SIZES else "its type is unknown"
        elif at + size > len(tiff.data):
            unreadable[tag] = "its value lies outside"
        else:
            entries[tag] = Entry(tiff.order, kind, tiff.data[at : at + size])
    cut = None
    if announced > present:
        cut = "it is cut short"
    elif announced > MAX_ENTRIES:
        cut = f"it has more than {MAX_ENTRIES:,} entries"
    return Directory(entries, unreadable, cut)
