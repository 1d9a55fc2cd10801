"""Makers of images, good and hostile, and a small classifier whose answers can be worked out by hand."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from encoded_images import encoded as encoded  # noqa: PLC0414 - so that tests have it from here as well
from numpy.typing import NDArray
from PIL import Image

from flumen.interceptor import Batch, Context, ImageMessage, Limits, Preprocess

CLASSIFIED_AT = 1_700_000_000_000_000
ARRIVED_AT = 1_699_999_999_000_000

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


class Brightness:
    """Ten classes of brightness: the mean of an image's tensor, 0 to 1, cut into tenths."""

    name = "brightness"
    version = 3
    labels: Sequence[str] = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

    def __init__(self, preprocess: Preprocess | None = None) -> None:
        self.preprocess = preprocess or Preprocess(width=28, height=28)
        self.batches: list[int] = []

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        self.batches.append(len(tensor))
        means = tensor.reshape(len(tensor), -1).mean(axis=1)
        answers = np.full((len(tensor), len(self.labels)), 0.5 / 9, dtype=np.float32)
        answers[np.arange(len(tensor)), np.minimum(means * 10, 9).astype(int)] = 0.5
        return answers


def context(preprocess: Preprocess | None = None, limits: Limits | None = None) -> Context:
    return Context(Brightness(preprocess), CLASSIFIED_AT, limits or Limits())


def batch(*contents: bytes) -> Batch:
    """A batch of these contents, with the ids image-0, image-1 and so on."""
    return Batch([ImageMessage(f"image-{row}", content, ARRIVED_AT) for row, content in enumerate(contents)])


def gradient(width: int = 28, height: int = 28) -> NDArray[np.uint8]:
    """Grey values that differ along both axes."""
    rows, columns = np.mgrid[0:height, 0:width]
    return ((rows * 5 + columns * 3) % 256).astype(np.uint8)


def grey(value: int, size: tuple[int, int] = (28, 28)) -> bytes:
    """A PNG of one shade."""
    return encoded(Image.new("L", size, value))


def sample(image_format: str) -> bytes:
    """A small valid image of that format."""
    return encoded(Image.fromarray(gradient(40, 24)).convert("RGB"), image_format)


def png_of_header(width: int, height: int, rows: bytes = b"", colour_type: int = 0) -> bytes:
    """A PNG that announces this size, whatever its rows (with filter bytes) are. Type 0 is grey, 6 RGBA."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, data) for name, data in chunks)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_size(image_format: str, width: int, height: int) -> bytes:
    """A small valid image of that format, its header changed to announce another size."""
    content = bytearray(sample(image_format))
    match image_format:
        case "PNG":
            return png_of_header(width, height, bytes(41 * 24))
        case "BMP":
            struct.pack_into("<ii", content, 18, width, height)
        case "GIF":
            struct.pack_into("<HH", content, 6, width, height)
        case "JPEG":
            start_of_frame = content.index(b"\xff\xc0")
            struct.pack_into(">HH", content, start_of_frame + 5, height, width)
        case "PPM":
            return f"P5\n{width} {height}\n255\n".encode() + bytes(100)
        case "TIFF":
            _set_tiff_tag(content, 256, width)
            _set_tiff_tag(content, 257, height)
        case "WEBP":
            content = bytearray(animation("WEBP"))
            content[24:27] = (width - 1).to_bytes(3, "little")
            content[27:30] = (height - 1).to_bytes(3, "little")
    return bytes(content)


def _set_tiff_tag(content: bytearray, tag: int, value: int) -> None:
    directory = struct.unpack_from("<I", content, 4)[0]
    for entry in range(struct.unpack_from("<H", content, directory)[0]):
        at = directory + 2 + entry * 12
        if struct.unpack_from("<H", content, at)[0] == tag:
            struct.pack_into("<HHII", content, at, tag, 4, 1, value)  # type 4 is a 32-bit number


def animation(image_format: str) -> bytes:
    """Three frames: white, then two black ones."""
    frames = [Image.new("RGB", (28, 28), shade) for shade in ("white", "black", "black")]
    frames[2].putpixel((3, 3), (255, 0, 0))  # equal frames would be merged
    return encoded(frames[0], image_format, save_all=True, append_images=frames[1:], duration=100)
