"""Photos, drawn from a seed: 800x600 JPEGs of about 65 KB that give a decoder as much to do as a camera's do.

Noise at several scales, each half as strong as the one twice as coarse, is what landscapes and clouds look like to a
frequency transform (the spectrum of photos falls with the frequency): neither flat, which would be too easy, nor
white noise, which no camera makes. A shape as the shipped model `shapes` reads it lies on it.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flumen.models.datasets.shapes import LABELS, draw_photo
from flumen.streams.wire import SourceImage

SIZE = (800, 600)
_COARSEST = (12, 9)
_OCTAVES = 6
_STRENGTH = 46.0
_QUALITY = 80
_SHARES = ((slice(None), 1.0), (slice(0, 1), 0.3), (slice(2, 3), 0.3))
"""Of light, which all channels have in common, and of colour: red and blue beside it."""
_DIFFERENT = 60
"""So many different photos; after them they come again, under other ids."""


def draw(label: int, random: np.random.Generator) -> Image.Image:
    """Draw one photo in RGB."""
    shape = np.asarray(draw_photo(label, *SIZE, random), dtype=np.float32)
    return Image.fromarray((shape + _clouds(random)).clip(0, 255).astype(np.uint8))


def encoded(count: int, seed: int = 1) -> list[tuple[int, bytes]]:
    """Return so many photos as JPEG, each with its label."""
    random = np.random.default_rng(seed)
    photos = []
    for number in range(count):
        label = number % len(LABELS)
        content = io.BytesIO()
        draw(label, random).save(content, "JPEG", quality=_QUALITY)
        photos.append((label, content.getvalue()))
    return photos


def source_images(count: int) -> Iterator[SourceImage]:
    """Yield so many photos to publish."""
    different = encoded(min(count, _DIFFERENT))
    for number in range(count):
        label, content = different[number % len(different)]
        name = f"{number:06d}.jpg"
        yield SourceImage(f"photos/{name}", content, name, "bench", "image/jpeg", label, datetime.now(UTC))


def _clouds(random: np.random.Generator) -> NDArray[np.float32]:
    total = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.float32)
    for octave in range(_OCTAVES):
        width, height = (side << octave for side in _COARSEST)
        for channel, share in _SHARES:
            noise = random.standard_normal((height, width), np.float32) * (share * _STRENGTH / 2**octave)
            finer = np.asarray(Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC))
            total[..., channel] += finer[..., None]
    return total
