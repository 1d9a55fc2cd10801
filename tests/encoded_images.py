"""Pictures as files."""

import io
from typing import Any

from PIL import Image


def encoded(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    """The bytes of a file of this format."""
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()
