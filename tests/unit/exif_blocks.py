"""Writes EXIF blocks entry by entry, right or wrong: every type, byte order and offset is the test's to choose."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

BYTE, ASCII, SHORT, LONG, RATIONAL, SBYTE, UNDEFINED, SSHORT, SLONG, SRATIONAL, FLOAT, DOUBLE = range(1, 13)
EXIF_IFD, GPS_IFD = 34665, 34853

_CODES = {SHORT: "H", LONG: "L", SBYTE: "b", SSHORT: "h", SLONG: "l", FLOAT: "f", DOUBLE: "d"}
_SIZES = {BYTE: 1, ASCII: 1, UNDEFINED: 1, RATIONAL: 8, SRATIONAL: 8} | {
    kind: struct.calcsize(f"<{code}") for kind, code in _CODES.items()
}


@dataclass(frozen=True)
class Raw:
    """An entry as it is to stand in the file; `count` and `offset` may lie."""

    kind: int
    data: bytes
    count: int | None = None
    offset: int | None = None


def value(order: str, kind: int, *values: object) -> Raw:
    """An entry of these values: texts and bytes as they are, rationals as pairs."""
    if kind in (BYTE, ASCII, UNDEFINED):
        (data,) = values
        assert isinstance(data, bytes)
        return Raw(kind, data)
    if kind in (RATIONAL, SRATIONAL):
        code = "L" if kind == RATIONAL else "l"
        numbers = [number for pair in values for number in pair]  # type: ignore[attr-defined]
        return Raw(kind, struct.pack(f"{order}{len(numbers)}{code}", *numbers))
    return Raw(kind, struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values))


def block(
    directories: Mapping[int, Mapping[int, Raw]], order: str = "<", prefix: bytes = b"Exif\0\0"
) -> bytes:
    """A block of the directory 0 and those it points to, by the number of the pointing tag."""
    whole = {number: dict(entries) for number, entries in directories.items()}
    placeholders = {tag: value(order, LONG, 0) for tag in directories if tag}
    whole[0] = placeholders | whole[0]
    starts: dict[int, int] = {}
    at = 8
    for number, entries in whole.items():
        starts[number] = at
        at += len(directory(entries, at, order))
    for tag, placeholder in placeholders.items():
        if whole[0][tag] is placeholder:
            whole[0][tag] = value(order, LONG, starts[tag])
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", 8)
    for number, entries in whole.items():
        content += directory(entries, starts[number], order)
    return prefix + content


def directory(entries: Mapping[int, Raw], start: int, order: str = "<") -> bytes:
    """One directory that is to stand at this offset, its larger values behind it."""
    head = struct.pack(f"{order}H", len(entries))
    tail = b""
    behind = start + 2 + 12 * len(entries) + 4
    for tag, raw in entries.items():
        count = len(raw.data) // _SIZES.get(raw.kind, 1) if raw.count is None else raw.count
        if len(raw.data) > 4:
            place = struct.pack(f"{order}L", behind + len(tail) if raw.offset is None else raw.offset)
            tail += raw.data
        elif raw.offset is not None:
            place = struct.pack(f"{order}L", raw.offset)
        else:
            place = raw.data.ljust(4, b"\0")
        head += struct.pack(f"{order}HHL", tag, raw.kind, count) + place
    return head + bytes(4) + tail
