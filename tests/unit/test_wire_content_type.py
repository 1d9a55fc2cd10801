from io import BytesIO

import pytest
from PIL import Image

from flumen.interceptor.formats import formats, media_type
from flumen.streams.wire import content_type_of


@pytest.mark.parametrize(
    ("image_format", "media_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("TIFF", "image/tiff"),
        ("BMP", "image/bmp"),
        ("PPM", "image/x-portable-anymap"),
        ("AVIF", "image/avif"),
    ],
)
def test_an_image_is_known_by_its_first_bytes(image_format: str, media_type: str) -> None:
    encoded = BytesIO()
    Image.new("RGB", (8, 8), "red").save(encoded, image_format)
    assert content_type_of(encoded.getvalue()) == media_type


@pytest.mark.parametrize("content", [b"", b"P", b"BM, the firm, was founded in 1901.", b"<svg/>"])
def test_anything_else_is_bytes(content: bytes) -> None:
    assert content_type_of(content) == "application/octet-stream"


def test_a_publisher_and_a_worker_tell_formats_by_the_same_table() -> None:
    assert media_type(b"/* XPM */\nstatic", formats(frozenset({"XBM", "XPM"}))) == "image/xpm"
    assert content_type_of(b"II+\0\x08\0\0\0" + bytes(8)) == "image/tiff", "BigTIFF"
