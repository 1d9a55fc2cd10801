"""Every format in every mode that it can hold, for a grey model and for one of colours, against formulas of its own.

What an image must look like is worked out here with numpy alone, from the samples that were written.
"""

from collections.abc import Callable

import numpy as np
import pytest
from images import FORMATS, encoded
from numpy.typing import NDArray
from PIL import Image

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import decode_image, raster_shape

WIDTH, HEIGHT = 64, 48
GREY = Preprocess(WIDTH, HEIGHT, 1)
COLOUR = Preprocess(WIDTH, HEIGHT, 3)
Samples = NDArray[np.float64]

ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
RED, GREEN, BLUE = COLUMNS * 4, ROWS * 5, 255 - COLUMNS * 2 - ROWS * 2
ALPHA = 255 - ROWS * 3
SHADE = (COLUMNS * 2 + ROWS * 2.5).astype(np.uint8)
RGB = np.stack([RED, GREEN, BLUE], axis=2).astype(np.uint8)
STEPS = (COLUMNS // 8 % 2 + ROWS // 8 % 2) % 2

MODES = {
    "AVIF": ("L", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "P"),
    "JPEG": ("1", "L", "RGB", "CMYK", "YCbCr"),
    "PNG": ("1", "L", "LA", "I;16", "P", "RGB", "RGBA"),
    "PPM": ("1", "L", "I;16", "RGB"),
    "TIFF": ("1", "L", "LA", "I;16", "I", "F", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB"),
    "WEBP": ("L", "RGB", "RGBA"),
}
CASES = [(image_format, mode) for image_format, modes in MODES.items() for mode in modes]
OPTIONS = {
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
}
LOSSY = {"AVIF": 5, "JPEG": 6}
"""How far one sample may be off; the mean of all is held to less than 2."""


def stacked(*channels: NDArray[np.integer]) -> NDArray[np.uint8]:
    return np.stack(channels, axis=2).astype(np.uint8)


def grey_to_rgb(grey: Samples) -> Samples:
    return np.repeat(grey[..., None], 3, axis=2)


def of_lightness() -> Samples:
    """CIE 1976 L* to sRGB: IEC 61966-2-1, and CIE 15."""
    lightness = SHADE / 255 * 100
    light = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def palette_image() -> Image.Image:
    image = Image.fromarray((SHADE // 32).astype(np.uint8), "L").convert("P")
    image.putdata((SHADE // 32).reshape(-1).tolist())
    image.putpalette(PALETTE.reshape(-1).astype(np.uint8).tolist())
    return image


PALETTE = np.array([[30 * step, 250 - 20 * step, 10 * step] for step in range(8)], dtype=float)
OVER_BLACK = ALPHA[..., None] / 255

WRITTEN: dict[str, tuple[Callable[[], Image.Image], Samples]] = {
    "1": (lambda: Image.fromarray((STEPS * 255).astype(np.uint8)).convert("1"), grey_to_rgb(STEPS * 255.0)),
    "L": (lambda: Image.fromarray(SHADE), grey_to_rgb(SHADE.astype(float))),
    "LA": (lambda: Image.fromarray(stacked(SHADE, ALPHA), "LA"), grey_to_rgb(SHADE * ALPHA / 255)),
    "I;16": (lambda: Image.fromarray(SHADE.astype(np.uint16) * 257), grey_to_rgb(SHADE.astype(float))),
    "I": (lambda: Image.fromarray(SHADE.astype(np.int32) * 257), grey_to_rgb(SHADE.astype(float))),
    "F": (lambda: Image.fromarray((SHADE / 255).astype(np.float32)), grey_to_rgb(SHADE.astype(float))),
    "P": (palette_image, PALETTE[SHADE // 32]),
    "PA": (lambda: with_alpha(palette_image()), PALETTE[SHADE // 32] * OVER_BLACK),
    "RGB": (lambda: Image.fromarray(RGB), RGB.astype(float)),
    "RGBA": (lambda: Image.fromarray(stacked(*np.moveaxis(RGB, 2, 0), ALPHA), "RGBA"), RGB * OVER_BLACK),
    "RGBX": (lambda: Image.fromarray(stacked(*np.moveaxis(RGB, 2, 0), ALPHA), "RGBX"), RGB.astype(float)),
    "CMYK": (
        lambda: Image.fromarray(stacked(RED, GREEN, BLUE, 255 - ALPHA), "CMYK"),
        (255.0 - RGB) * OVER_BLACK,
    ),
    "YCbCr": (lambda: Image.fromarray(RGB).convert("YCbCr"), RGB.astype(float)),
    "LAB": (
        lambda: Image.fromarray(stacked(SHADE, SHADE * 0, SHADE * 0), "LAB"),
        grey_to_rgb(of_lightness()),
    ),
}


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.convert("PA")
    image.putalpha(Image.fromarray(ALPHA.astype(np.uint8)))
    return image


def seen(content: bytes, preprocess: Preprocess) -> Samples:
    raster = decode_image(content, Limits(), preprocess).raster
    return np.frombuffer(raster, np.uint8).reshape(raster_shape(preprocess)).astype(float)


def luma(rgb: Samples) -> Samples:
    """ITU-R BT.601-2, as Pillow's documentation of `convert` names it."""
    return rgb @ np.array([0.299, 0.587, 0.114])


NO_ALPHA = ("BMP", "RGBA")
"""A BMP of 32 bits whose header does not say that the fourth byte is alpha, as Pillow writes them: it is opaque."""


def test_every_format_is_in_the_matrix() -> None:
    assert sorted(MODES) == sorted(FORMATS)
    assert {mode for modes in MODES.values() for mode in modes} == set(WRITTEN)


@pytest.mark.parametrize(("image_format", "mode"), CASES)
def test_in_colour_and_in_grey(image_format: str, mode: str) -> None:
    make, expected = WRITTEN[mode]
    if (image_format, mode) == NO_ALPHA:
        expected = RGB.astype(float)
    content = encoded(make(), image_format, **OPTIONS.get(image_format, {}))
    bound = LOSSY.get(image_format, 3)
    for preprocess, wanted in ((COLOUR, expected), (GREY, luma(expected))):
        distance = np.abs(seen(content, preprocess) - wanted)
        assert distance.max() <= bound
        assert distance.mean() < 2


@pytest.mark.parametrize(("image_format", "mode"), CASES)
def test_a_header_tells_its_size_and_format(image_format: str, mode: str) -> None:
    make, _ = WRITTEN[mode]
    decoded = decode_image(encoded(make(), image_format, **OPTIONS.get(image_format, {})), Limits(), GREY)
    assert (decoded.format, decoded.width, decoded.height) == (image_format, WIDTH, HEIGHT)
