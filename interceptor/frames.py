"""How many frames or pages a file has, where its format makes one walk through it to know.

Pillow reads each frame's header for that, a TIFF's with all of its values: 800 directories that overlap within 32 KB
took it 11 s. Here only the way to the next one is read, and no further than a limit.
"""

import struct
from collections.abc import Iterator

_GIF_SCREEN = 13
_GIF_IMAGE = 10
_HAS_COLOURS, _COLOUR_BITS = 0x80, 0x07
_BIG_TIFF = 43
_ENTRY, _BIG_ENTRY = 12, 20


def count_frames(content: bytes, name: str, most: int) -> int | None:
    """Return how many frames a GIF or TIFF file has; `most` + 1 where it has more than `most`.

    None where they cannot be counted. As Pillow counts: of pages that go round in a circle each once, and a page that
    is cut short is the last.
    """
    return _count_in_gif(content, most) if name == "GIF" else _count_in_tiff(content, most)


def gif_blocks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield what a GIF file holds up to its end: b"," (an image) or b"!" (an extension), where it starts and ends.

    Raises:
        IndexError: the file ends within a header.
    """
    at = _GIF_SCREEN + _colours(content[10])
    while (mark := content[at : at + 1]) not in (b"", b";"):
        start = at
        if mark == b",":
            at += _GIF_IMAGE + _colours(content[at + 9]) + 1
        elif mark == b"!":
            at += 2
        else:  # a stray byte; Pillow passes over it, too
            at += 1
            continue
        if at > len(content):
            raise IndexError
        while at < len(content) and (length := content[at]):
            at += 1 + length
        at += 1
        yield mark, start, at


def _colours(flags: int) -> int:
    return 3 << (flags & _COLOUR_BITS) + 1 if flags & _HAS_COLOURS else 0


def _count_in_gif(content: bytes, most: int) -> int | None:
    frames = 0
    try:
        for mark, _, _ in gif_blocks(content):
            frames += mark == b","
            if frames > most:
                break
    except IndexError:
        return None
    return frames or None


def _count_in_tiff(content: bytes, most: int) -> int | None:
    order = "<" if content[:2] == b"II" else ">"
    is_big = _BIG_TIFF in (content[2], content[3])  # some writers turn this number round
    count, link = (struct.Struct(f"{order}{code}") for code in ("QQ" if is_big else "HL"))
    entry = _BIG_ENTRY if is_big else _ENTRY
    met: set[int] = set()
    try:
        (place,) = link.unpack_from(content, link.size)  # behind two marks and, in BigTIFF, two numbers more
        while place and place not in met and len(met) <= most:
            met.add(place)
            (entries,) = count.unpack_from(content, place)
            (place,) = link.unpack_from(content, place + count.size + entry * entries)
    except struct.error:  # it is cut short, or leads outside
        pass
    except OverflowError:
        return None
    return len(met) or None
