"""An image that its EXIF says to be turned is turned: for the classifier, for statistics, and in width and height."""

import numpy as np
import pytest
from exif_blocks import ASCII, DOUBLE, FLOAT, RATIONAL, SHORT, Raw, block, value
from images import batch, context, encoded
from PIL import Image, ImageOps

from flumen.interceptor import Preprocess
from flumen.interceptor.decode import Decode

LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}
LOSSY = {"JPEG": {"quality": 95, "subsampling": 0}, "AVIF": {"quality": 95, "subsampling": "4:4:4"}}


def corners(width: int, height: int) -> Image.Image:
    """Four quarters of four colours: no two ways of turning it look the same."""
    image = Image.new("RGB", (width, height), "black")
    image.paste("red", (0, 0, width // 2, height // 2))
    image.paste("lime", (width // 2, 0, width, height // 2))
    image.paste("blue", (0, height // 2, width // 2, height))
    return image


def with_orientation(number: int, image: Image.Image, image_format: str, **options: object) -> bytes:
    exif = Image.Exif()
    exif[274] = number
    return encoded(image, image_format, exif=exif.tobytes(), **options)


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("image_format", [*LOSSLESS, *LOSSY])
def test_every_orientation_in_every_format_that_has_one(image_format: str, turned: int) -> None:
    stored = corners(60, 40)
    content = with_orientation(
        turned, stored, image_format, **LOSSLESS.get(image_format, LOSSY.get(image_format))
    )
    exif = Image.Exif()
    exif[274] = turned
    stored.getexif().load(exif.tobytes())
    expected = ImageOps.exif_transpose(stored)
    columns = Decode().intercept(batch(content), context(Preprocess(*expected.size, channels=3))).oks.columns
    assert (columns["width"][0], columns["height"][0]) == expected.size
    tolerance = 0 if image_format in LOSSLESS else 12
    for seen in (columns["pixels"][0], columns["views"][0]):
        assert np.abs(seen.astype(int) - np.asarray(expected)).max() <= tolerance


@pytest.mark.parametrize("turned", [6, 7])
def test_a_large_photo_lying_on_its_side(turned: int) -> None:
    """It is shrunk first and turned then: the same as turning it first, but for rounding."""
    stored = corners(1600, 1200)
    content = with_orientation(turned, stored, "JPEG", quality=95)
    upright = stored.transpose(Image.Transpose.ROTATE_270 if turned == 6 else Image.Transpose.TRANSVERSE)
    columns = Decode().intercept(batch(content), context(Preprocess(30, 40, channels=3))).oks.columns
    assert (columns["width"][0], columns["height"][0]) == (1200, 1600)
    assert columns["views"][0].shape == (400, 300, 3)
    expected = np.asarray(upright.resize((30, 40), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(columns["pixels"][0] - expected).max() <= 12


@pytest.mark.parametrize(
    ("entry", "turns"),
    [
        (value("<", SHORT, 0), False),
        (value("<", SHORT, 9), False),
        (value("<", ASCII, b"6\0"), False),
        (value("<", RATIONAL, (6, 0)), False),
        (Raw(SHORT, b"", count=2**31, offset=8), False),
        (value("<", DOUBLE, float("nan")), False),
        (value("<", SHORT, 6, 6), True),
        (value("<", FLOAT, 6.0), True),
        (value("<", RATIONAL, (12, 2)), True),
    ],
)
def test_what_can_be_read_as_an_orientation(entry: Raw, turns: bool) -> None:
    for image_format in ("JPEG", "PNG", "WEBP"):
        content = encoded(corners(60, 40), image_format, exif=block({0: {274: entry}}))
        step = Decode().intercept(batch(content), context())
        assert not step.errs
        assert step.oks.columns["width"].tolist() == [40 if turns else 60]
