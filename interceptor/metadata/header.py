"""What is taken from an opened image beside its pixels, before Pillow lets go of it."""

from dataclasses import dataclass

from PIL.ImageFile import ImageFile

from flumen.interceptor.metadata.directory import open_tiff, read_directory
from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.raw_profiles import raw_exif, raw_icc, raw_iptc, raw_xmp

ORIENTATION = 274

UPRIGHT = 1
"""The orientation of an image whose first row is its top and whose first column is its left side."""

_PNG_BIT_DEPTH_AT = 24
"""Where a PNG's bit depth stands: the first chunk is always IHDR (PNG specification, third edition, 11.2.1)."""
_TIFF_BITS_PER_SAMPLE = 258
_PHOTOSHOP_IPTC = 0x0404
_PNG_XMP = "XML:com.adobe.xmp"
_MODE_BITS = {"1": 1, "I": 32, "F": 32}


@dataclass(frozen=True, slots=True)
class Header:
    """What an image's file says beside its pixels. The blocks are bytes as they stand in the file, unread.

    `mode` is Pillow's name for the kind of pixels, `bit_depth` bits a sample as the file says; `frames` is None where
    they cannot be counted. The `exif` of a TIFF file is None: the file itself is the directory, XMP and IPTC included.
    `left_out` is whether Pillow opens the file only without some of its metadata, which are not among the blocks then.
    """

    mode: str
    bit_depth: int
    frames: int | None = 1
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    icc: bytes | None = None
    left_out: bool = False

    @property
    def has_blocks(self) -> bool:
        """Whether there is anything to be read."""
        blocks = (self.exif, self.xmp, self.iptc, self.icc)
        return self.left_out or any(block is not None for block in blocks)


def read_header(image: ImageFile, name: str, mode: str, content: bytes, frames: int | None) -> Header:
    """Return the header of an image that is loaded (a PNG's last chunks are read only then).

    Args:
        image: as Pillow's format `name` opened and loaded it.
        name: that format.
        mode: the image's mode before it was loaded: a JPEG may be loaded in another one.
        content: the file's bytes.
        frames: how many there are, None where they cannot be counted.
    """
    depth = _bit_depth(image, name, mode, content)
    info = image.info
    if not info:
        return Header(mode, depth, frames)
    photoshop = info.get("photoshop")
    iptc = _bytes(photoshop.get(_PHOTOSHOP_IPTC)) if isinstance(photoshop, dict) else None
    xmp = None if name == "TIFF" else _bytes(info.get("xmp"))
    icc = _bytes(info.get("icc_profile"))
    if name == "PNG":
        xmp = _either(xmp, _latin(info.get(_PNG_XMP)), raw_xmp(info))
        iptc = _either(iptc, raw_iptc(info))
        icc = _either(icc, raw_icc(info))
    return Header(mode, depth, frames, exif=exif_block(image, name), xmp=xmp, iptc=iptc, icc=icc)


def exif_block(image: ImageFile, name: str) -> bytes | None:
    """Return the EXIF block of a loaded image of Pillow's format `name`; None for TIFF, as `Header` says."""
    if name == "TIFF" or not image.info:
        return None
    exif = _bytes(image.info.get("exif"))
    return raw_exif(image.info) if exif is None and name == "PNG" else exif


def orientation(exif: bytes | None) -> int:
    """Return how the stored pixels have to be turned to stand upright: 1 to 8, as TIFF 6.0 numbers them.

    1 where the block does not say. A TIFF file has no block here: Pillow turns it itself.
    """
    if exif is None:
        return UPRIGHT
    try:
        tiff = open_tiff(exif)
        entry = read_directory(tiff, tiff.first, (ORIENTATION,)).entries.get(ORIENTATION)
        turned = UPRIGHT if entry is None else entry.numbers()[0]
    except Unreadable:
        return UPRIGHT
    return int(turned) if turned in range(1, 9) else UPRIGHT


def _bit_depth(image: ImageFile, name: str, mode: str, content: bytes) -> int:
    if name == "PNG":
        return content[_PNG_BIT_DEPTH_AT]
    if name == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE)
        if isinstance(bits, tuple) and bits and isinstance(bits[0], int):
            return bits[0]
    if mode.startswith("I;16") or (name == "PPM" and mode == "I"):
        return 16
    return _MODE_BITS.get(mode, 8)


def _either(*blocks: bytes | None) -> bytes | None:
    return next((block for block in blocks if block is not None), None)


def _latin(text: object) -> bytes | None:
    """Return the bytes of a PNG's text that Pillow took for Latin-1."""
    return text.encode("latin-1", "replace") if isinstance(text, str) else None


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) and value else None
