"""What reading an image takes grows no faster than the image: each reader at n and at 4n, over hostile inputs.

Operations are counted, not seconds: lines of Python, ours and Pillow's, bytes that are copied out of the content, and
bytes that are held at once. What happens within C code is seen by its memory alone; what that may take is held by the
limits of the decoder (test_decoder_guarded.py).
"""

import io
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from images import sample
from large_images import tiff, tiff_of_artists, tiff_of_datasets, tiff_of_pages

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor import formats as opening
from flumen.interceptor.decoding import decode_image
from flumen.interceptor.errors import Unclassifiable
from flumen.interceptor.frames import count_frames
from flumen.interceptor.metadata.bare import without_metadata
from flumen.interceptor.metadata.exif import read_exif
from flumen.interceptor.metadata.findings import Findings
from flumen.interceptor.metadata.header import Header
from flumen.interceptor.metadata.icc import profile_name
from flumen.interceptor.metadata.iptc import read_iptc
from flumen.interceptor.metadata.step import read_metadata
from flumen.interceptor.metadata.xmp import read_xmp
from flumen.interceptor.small import SMALL_BYTES, small_size
from flumen.models.processes.decoder import GuardedDecoder

GREY = Preprocess(width=28, height=28)
TIMES = 4
MOST = 5
"""What four times the input may take, in times."""

Reader = Callable[[bytes], object]


class Counted(bytes):
    """Bytes that count what is copied out of them."""

    copied = 0

    def __getitem__(self, place: Any) -> Any:
        part = super().__getitem__(place)
        if isinstance(part, bytes):
            Counted.copied += len(part)
        return part


class CountedFile(io.BytesIO):
    """A file that counts what Pillow reads of it."""

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        Counted.copied += len(part)
        return part


@dataclass(frozen=True)
class Work:
    """What a call took: lines of Python, bytes copied, and the most bytes held at once."""

    lines: int
    copied: int
    held: int


@pytest.fixture(autouse=True)
def _counted_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(opening, "BytesIO", CountedFile)
    before = sys.gettrace()
    yield
    sys.settrace(before)


def work(read: Reader, content: bytes) -> Work:
    lines = 0

    def count(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    counted = Counted(content)
    Counted.copied = 0
    before = sys.gettrace()
    sys.settrace(count)
    try:
        read(counted)
    except Unclassifiable:
        pass
    finally:
        sys.settrace(before)
    copied = Counted.copied
    tracemalloc.start()
    try:
        read(counted)
    except Unclassifiable:
        pass
    finally:
        _, held = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return Work(lines, copied, held)


def iptc(read: Callable[[bytes, Findings], None]) -> Reader:
    return lambda content: read(content, Findings())


def exif_of_entries(count: int) -> bytes:
    """Entries that all lead to the same bytes: they are as many as there are."""
    entries = b"".join(struct.pack("<HHLL", tag % 65_536, 2, count, 0) for tag in range(min(count, 60_000)))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", min(count, 60_000)) + entries + bytes(4)


def xml(start: bytes, repeated: bytes, end: bytes = b"") -> Callable[[int], bytes]:
    return lambda count: start + repeated * count + end


def profile(kind: bytes) -> Callable[[int], bytes]:
    def make(count: int) -> bytes:
        if kind == b"desc":
            data = b"desc" + bytes(4) + struct.pack(">L", count) + b"a" * count
        else:
            languages = b"".join(struct.pack(">2s2xLL", b"de", count, 0) for _ in range(count // 12))
            data = b"mluc" + bytes(4) + struct.pack(">LL", count // 12, 12) + languages
        head = bytes(36) + b"acsp" + bytes(88) + struct.pack(">L4sLL", 1, b"desc", 144, len(data))
        return head + data

    return make


def gif(block: bytes) -> Callable[[int], bytes]:
    whole = sample("GIF")
    return lambda count: whole[:-1] + block * count + b";"


RDF = b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:d="http://purl.org/dc/elements/1.1/">'

READERS: dict[str, tuple[Reader, Callable[[int], bytes]]] = {
    "IPTC of empty datasets": (iptc(read_iptc), lambda count: b"\x1c\x02\x19\0\0" * count),
    "IPTC of zeros": (iptc(read_iptc), lambda count: bytes(5 * count)),
    "IPTC of datasets and zeros": (
        iptc(read_iptc),
        lambda count: b"\x1c\x02\x19\0\0" * 4000 + bytes(count),
    ),
    "EXIF of entries": (iptc(read_exif), exif_of_entries),
    "Artist of semicolons": (iptc(read_exif), tiff_of_artists),
    "TIFF of datasets": (lambda content: read_metadata(Header("L", 8), content), tiff_of_datasets),
    "XMP of depth": (iptc(read_xmp), xml(RDF, b"<a>")),
    "XMP of keywords": (iptc(read_xmp), xml(RDF + b"<d:subject>", b"<r:li>k</r:li>")),
    "XMP of characters": (iptc(read_xmp), xml(RDF + b"<d:title>", b"&#65;")),
    "XMP of attributes": (
        iptc(read_xmp),
        lambda count: RDF + b"<a " + b" ".join(b'a%d="b"' % number for number in range(count)) + b"/>",
    ),
    "XMP of a long namespace": (
        iptc(read_xmp),
        lambda count: b'<a xmlns="' + b"n" * count + b'">' + b"<b/>" * count + b"</a>",
    ),
    "ICC of a long text": (profile_name, profile(b"desc")),
    "ICC of languages": (profile_name, profile(b"mluc")),
    "frames of a GIF": (
        lambda content: count_frames(content, "GIF", 10**9),
        gif(b",\0\0\0\0\1\0\1\0\0\x02\x02\x44\x01\0"),
    ),
    "comments of a GIF": (lambda content: count_frames(content, "GIF", 10**9), gif(b"!\xfe\x01a\0")),
    "pages of a TIFF": (
        lambda content: count_frames(content, "TIFF", 10**9),
        lambda count: tiff_of_pages(count, 5_000),
    ),
    "TIFF without metadata": (lambda content: without_metadata(content, "TIFF"), exif_of_entries),
    "AVIF without metadata": (
        lambda content: without_metadata(content, "AVIF"),
        lambda count: sample("AVIF") + b"infe\x02\0\0abcdeExif" * count,
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader(name: str) -> None:
    read, make = READERS[name]
    assert_grows_with_its_input(read, make, 1_000)


def chunks_of_a_png(name: bytes, data: bytes) -> Callable[[int], bytes]:
    whole = sample("PNG")
    chunk = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return lambda count: whole[:33] + chunk * count + whole[33:]


def segments_of_a_jpeg(kind: int, data: bytes) -> Callable[[int], bytes]:
    whole = sample("JPEG")
    segment = bytes((0xFF, kind)) + struct.pack(">H", len(data) + 2) + data
    return lambda count: whole[:2] + segment * count + whole[2:]


FILES: dict[str, Callable[[int], bytes]] = {
    "PNG of texts": chunks_of_a_png(b"tEXt", b"key\0value"),
    "PNG of compressed texts": chunks_of_a_png(b"zTXt", b"key\0\0" + zlib.compress(bytes(1_000))),
    "PNG of unknown chunks": chunks_of_a_png(b"prVt", b""),
    "PNG of pixels": chunks_of_a_png(b"IDAT", b""),
    "JPEG of comments": segments_of_a_jpeg(0xFE, b"c"),
    "JPEG of EXIF": segments_of_a_jpeg(0xE1, b"Exif\0\0a"),
    "JPEG of XMP": segments_of_a_jpeg(0xE1, b"http://ns.adobe.com/xap/1.0/\0<a/>"),
    "JPEG of profiles": segments_of_a_jpeg(0xE2, b"ICC_PROFILE\0\1\1a"),
    "JPEG of Photoshop": segments_of_a_jpeg(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\0" * 9),
    "JPEG of tables": segments_of_a_jpeg(0xDB, b"\0" + bytes(64)),
    "GIF of comments": gif(b"!\xfe\x01a\0"),
    "GIF of frames": gif(b",\0\0\0\0\1\0\1\0\0\x02\x02\x44\x01\0"),
    "TIFF of entries": lambda count: tiff([(30_000 + tag, 3, 1, 0) for tag in range(count)]),
    "TIFF of pages": lambda count: tiff_of_pages(min(count, 1_000), 1_200),
    "TIFF of datasets": tiff_of_datasets,
    "TIFF of artists": tiff_of_artists,
    "BMP with more behind": lambda count: sample("BMP") + bytes(count),
    "PPM of comments": lambda count: b"P5\n" + b"#\n" * count + b"1 1\n255\n\0",
    "WEBP of chunks": lambda count: _riff(sample("WEBP") + b"ABCD\0\0\0\0" * count),
    "AVIF of items": lambda count: sample("AVIF") + b"\0\0\0\x08free" * count,
}


def _riff(content: bytes) -> bytes:
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:]


@pytest.mark.parametrize("name", FILES)
def test_a_file_as_the_helper_reads_it(name: str) -> None:
    limits = Limits(max_image_frames=10**6)
    assert_grows_with_its_input(lambda content: decode_image(content, limits, GREY), FILES[name], 250)


@pytest.mark.parametrize("name", FILES)
def test_a_file_as_the_worker_reads_it(name: str) -> None:
    """However much there is of it: no more steps than a small image has bytes, and none of Pillow's."""
    longer = FILES[name](20_000)
    assert len(longer) > SMALL_BYTES / 2
    taken = [work(small_size, content) for content in (FILES[name](250), longer)]
    assert max(each.lines for each in taken) < SMALL_BYTES
    assert max(each.copied for each in taken) < SMALL_BYTES


def test_the_worker_hands_on_what_is_large_and_does_nothing_more() -> None:
    """Lines of this process while the helper has it, for a little and for much."""
    with closing(GuardedDecoder()) as decoder:
        decoder(tiff_of_datasets(10), Limits(), GREY)
        little, much = (
            work(lambda content: decoder(bytes(content), Limits(), GREY), tiff_of_datasets(count))
            for count in (10_000, 400_000)
        )
    assert much.lines < MOST * little.lines
    assert much.held < 3 * 5 * 400_000


def assert_grows_with_its_input(read: Reader, make: Callable[[int], bytes], count: int) -> None:
    content, longer = make(count), make(TIMES * count)
    work(read, content)  # what is loaded at the first time is nobody's growth
    little, much = work(read, content), work(read, longer)
    for name in ("lines", "copied", "held"):
        taken = getattr(little, name), getattr(much, name)
        assert taken[1] <= MOST * max(taken[0], len(content)), (name, *taken)


def test_what_grows_too_fast_is_seen() -> None:
    """The three measures, each by a reader that is wrong in its way."""

    def copies(content: bytes) -> None:
        for at in range(len(content)):
            assert content[at:]

    def runs(content: bytes) -> int:
        return sum(1 for _ in range(len(content)) for _ in range(len(content)))

    def holds(content: bytes) -> list[bytes]:
        return [bytes(len(content)) for _ in range(len(content))]

    for read in (copies, runs, holds):
        with pytest.raises(AssertionError):
            assert_grows_with_its_input(read, bytes, 200)


def test_a_namespace_that_expat_would_repeat_in_every_name_is_refused() -> None:
    """It copies it in C code, where nothing here sees it: half a megabyte for each of 100,000 elements."""
    findings = Findings()
    read_xmp(b'<a xmlns="' + b"n" * 500_000 + b'">' + b"<b/>" * 100_000 + b"</a>", findings)
    assert findings.errors == ["XMP: the name of a namespace is too long"]
