"""Write the corpus's seeds: one small image a format, with metadata of every kind. Run once; what it wrote is kept."""

import io
import struct
import sys
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from exif_blocks import block
from test_metadata_exif import everything
from test_metadata_texts import IPTC, PACKET, icc

CORPUS = Path(__file__).parent / "corpus"


def saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


def main() -> None:
    exif = block(everything())
    packet = PACKET.encode()
    profile = icc(b"desc" + bytes(4) + struct.pack(">L", 5) + b"sRGB\0")
    image = Image.linear_gradient("L").resize((12, 8)).convert("RGB")
    grey, deep = image.convert("L"), Image.new("I;16", (5, 4), 40_000)
    pages = [Image.new("P", (6, 6), shade) for shade in (1, 2)]
    seeds = {
        "jpeg": saved(image, "JPEG", exif=exif, xmp=packet, icc_profile=profile),
        "jpeg-grey": saved(grey, "JPEG", quality=20),
        "png": saved(grey, "PNG", exif=exif),
        "png-plain": saved(grey, "PNG"),
        "png-plain-colour": saved(image, "PNG"),
        "jpeg-progressive": saved(image, "JPEG", progressive=True),
        "png-16": saved(deep, "PNG"),
        "png-palette": saved(image.quantize(4), "PNG", transparency=1),
        "gif": saved(pages[0], "GIF", save_all=True, append_images=pages[1:]),
        "webp": saved(image, "WEBP", lossless=True, exif=exif, xmp=packet),
        "avif": saved(image, "AVIF", exif=exif),
        "tiff": saved(grey, "TIFF", tiffinfo={315: "Ada", 33723: IPTC, 700: packet}),
        "tiff-float": saved(Image.new("F", (4, 4), 0.5), "TIFF"),
        "bmp": saved(image, "BMP"),
        "ppm": b"P5\n3 2\n65535\n" + bytes(range(12)),
    }
    CORPUS.mkdir(exist_ok=True)
    for name, content in seeds.items():
        (CORPUS / name).write_bytes(content)


if __name__ == "__main__":
    main()
