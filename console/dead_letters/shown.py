"""A dead letter as it may be looked at: bytes as a hexdump, headers as text; nothing is what its sender wants."""

from collections.abc import Sequence
from dataclasses import dataclass

from flumen.streams.dead_letters.queue import Entry

DUMPED_BYTES = 512
MOST_HEADERS = 200
LONGEST_VALUE = 10_000
_LINE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Header:
    """A header: its value as text where it is UTF-8, else in hexadecimal; both None where it is null."""

    name: str
    text: str | None = None
    hex: str | None = None


def headers_of(entry: Entry) -> Sequence[Header]:
    """Return the headers of a dead letter, in their order, each cut at 10,000 bytes."""
    return [_header(name, value) for name, value in entry.raw.headers[:MOST_HEADERS]]


def hexdump(content: bytes) -> str:
    """Return bytes as `hexdump -C` does: offset, 16 bytes in hexadecimal, and those that are printable ASCII."""
    lines = []
    for at in range(0, len(content), _LINE_BYTES):
        part = content[at : at + _LINE_BYTES]
        half = _LINE_BYTES // 2
        pairs = f"{part[:half].hex(' '):<23}  {part[half:].hex(' '):<23}"
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004 - printable ASCII
        lines.append(f"{at:08x}  {pairs}  |{text}|")
    return "\n".join(lines)


def _header(name: str, value: bytes | None) -> Header:
    if value is None:
        return Header(name)
    value = value[:LONGEST_VALUE]
    try:
        return Header(name, value.decode())
    except UnicodeDecodeError as error:
        if error.start >= len(value) - 3 and len(value) == LONGEST_VALUE:  # cut within a character
            return Header(name, value[: error.start].decode())
        return Header(name, hex=value.hex(" "))
