"""Which variant of its format an image is, where that is one that no decoder here reads.

Asked only about images that could not be decoded: whether they are broken or unsupported decides what to do.
"""

import re
import struct
from collections.abc import Callable
from types import MappingProxyType

from flumen.interceptor.metadata.directory import open_tiff, read_directory
from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.segments import jpeg_segments

_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_BMP_BITS = frozenset({1, 4, 8, 16, 24, 32})
_BMP_COMPRESSIONS = range(4)
"""None, run lengths of 8 and of 4 bits, bit masks."""
_OS2_HEADER = 12

_JPEG_PROCESSES = MappingProxyType(
    {
        0xC5: "hierarchical",
        0xC6: "hierarchical",
        0xC7: "hierarchical",
        0xCB: "lossless with arithmetic coding",
        0xCD: "hierarchical",
        0xCE: "hierarchical",
        0xCF: "hierarchical",
    }
)
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA}) | _JPEG_PROCESSES.keys()
_JPEG_BITS = 8
_JPEG_LAYERS = frozenset({1, 3, 4})

_COMPRESSION, _PHOTOMETRIC, _BITS, _SAMPLES, _FORMAT = 259, 262, 258, 277, 339
_TIFF_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946, 34925, 50000})
_TIFF_NAMES = MappingProxyType(
    {
        9: "JBIG",
        10: "JBIG",
        32766: "NeXT",
        32809: "ThunderScan",
        34661: "JBIG",
        34676: "SGI LogLuv",
        34677: "SGI LogLuv",
        34712: "JPEG 2000",
        34887: "LERC",
        34892: "lossy JPEG of DNG",
        34933: "PNG",
        34934: "JPEG XR",
        50001: "WebP",
        50002: "JPEG XL",
        52546: "JPEG XL",
    }
)
_MOST_SAMPLES = 6
_TIFF_KINDS = frozenset({0, 1, 2, 3, 4, 5, 6, 8})

_SAYS_UNSUPPORTED = re.compile(
    r"unsupported|not (yet )?supported|not implemented|cannot handle|no codec|unknown pixel mode",
    re.IGNORECASE,
)


def unsupported_variant(content: bytes, name: str, said: str) -> str | None:
    """Return in words what about this image of Pillow's format `name` is not supported; None where nothing is known.

    `said` is what Pillow said when it failed.
    """
    look = _LOOKS.get(name)
    found = look(content) if look else None
    if found is None and _SAYS_UNSUPPORTED.search(said):
        return "of a rare kind"
    return found


def _bmp(content: bytes) -> str | None:
    try:
        (size,) = struct.unpack_from("<L", content, 14)
        if size not in _BMP_HEADERS:
            return f"with a header of {size:,} bytes"
        if size == _OS2_HEADER:
            bits, compression = struct.unpack_from("<H", content, 24)[0], 0
        else:
            bits, compression = struct.unpack_from("<HL", content, 28)
    except struct.error:
        return None
    if compression not in _BMP_COMPRESSIONS:
        return f"with the compression {compression}"
    return None if bits in _BMP_BITS else f"with {bits} bits a pixel"


def _jpeg(content: bytes) -> str | None:
    for segment in jpeg_segments(content):
        if segment.marker not in _JPEG_FRAMES:
            continue
        if segment.marker in _JPEG_PROCESSES:
            return _JPEG_PROCESSES[segment.marker]
        try:
            bits, components = struct.unpack_from(">B4xB", content, segment.start + 4)
        except struct.error:
            return None
        if bits != _JPEG_BITS:
            return f"with {bits} bits a sample"
        return None if components in _JPEG_LAYERS else f"with {components} colour components"
    return None


def _tiff(content: bytes) -> str | None:
    try:
        tiff = open_tiff(content)
        wanted = (_COMPRESSION, _PHOTOMETRIC, _BITS, _SAMPLES, _FORMAT)
        entries = read_directory(tiff, tiff.first, wanted).entries
        said = {tag: int(entry.numbers()[0]) for tag, entry in entries.items()}
    except Unreadable:
        return None
    compression = said.get(_COMPRESSION, 1)
    if compression not in _TIFF_COMPRESSIONS:
        known = _TIFF_NAMES.get(compression)
        return f"with the compression {compression}" + (f" ({known})" if known else "")
    if said.get(_SAMPLES, 1) > _MOST_SAMPLES:
        return f"with {said[_SAMPLES]:,} samples a pixel"
    if said.get(_PHOTOMETRIC, 0) not in _TIFF_KINDS:
        return f"with the photometric interpretation {said[_PHOTOMETRIC]}"
    return None


def _png(content: bytes) -> str | None:
    return "in Apple's own variant (CgBI)" if content[12:16] == b"CgBI" else None


_LOOKS: dict[str, Callable[[bytes], str | None]] = {"BMP": _bmp, "JPEG": _jpeg, "PNG": _png, "TIFF": _tiff}
