"""What `decode` rejects, and the reason it gives."""

import numpy as np
import pytest
from images import FORMATS, batch, context, encoded, grey, png_of_header, sample, with_size
from PIL import Image

from flumen.interceptor import Limits
from flumen.interceptor.decode import Decode
from flumen.interceptor.errors import (
    BrokenImage,
    FormatNotAllowed,
    ImageTooManyPixels,
    InterceptorError,
    NotAnImage,
    Unclassifiable,
)


def error_of(content: bytes, limits: Limits | None = None) -> Exception:
    """Why one image is rejected; images beside it are not touched by it."""
    step = Decode().intercept(batch(grey(1), content, grey(2)), context(limits=limits))
    assert [image.id for image in step.oks.images] == ["image-0", "image-2"]
    assert step.oks.columns["pixels"][:, 0, 0].tolist() == [1, 2]
    (reject,) = step.errs
    assert (reject.image.id, reject.stage) == ("image-1", "decode")
    assert str(reject.error).startswith("image 'image-1': ")
    return reject.error


@pytest.mark.parametrize("content", [b"hello, I am a text", b"<!DOCTYPE html>", b"\0", b"", b"%PDF-1.7\n"])
def test_not_an_image(content):
    error = error_of(content)
    assert type(error) is NotAnImage
    start = repr(content[:8])[1:]
    assert f"its first bytes {start} are of no known image; publish one of AVIF, BMP" in str(error)


def test_a_format_that_is_not_allowed_is_named():
    error = error_of(encoded(Image.new("RGB", (32, 32)), "ICO"))
    assert type(error) is FormatNotAllowed
    assert str(error) == (
        "image 'image-1': it starts as ICO, which is not allowed; "
        "publish it as one of AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP"
    )


def test_only_allowed_formats_are_tried():
    error = error_of(sample("TIFF"), Limits(formats=frozenset({"PNG"})))
    assert type(error) is FormatNotAllowed
    assert "it starts as TIFF, which is not allowed; publish it as one of PNG" in str(error)


def test_a_format_that_pillow_does_not_tell_is_a_wrong_setting():
    with pytest.raises(InterceptorError, match="image_formats holds JPG, TGA, which Pillow cannot tell"):
        Decode().intercept(batch(), context(limits=Limits(formats=frozenset({"JPG", "PNG", "TGA"}))))


@pytest.mark.parametrize("image_format", FORMATS)
def test_truncated(image_format):
    content = sample(image_format)
    error = error_of(content[: len(content) // 2])
    assert type(error) is BrokenImage
    assert image_format in str(error)
    assert str(error).endswith("; publish it again from the original")


def test_truncated_in_its_pixels_says_so():
    noise = np.random.default_rng(1).integers(0, 256, (28, 28), dtype=np.uint8)
    error = error_of(encoded(Image.fromarray(noise))[:400])
    assert str(error).startswith(
        "image 'image-1': it starts as PNG and cannot be decoded to its end (it is truncated); "
    )


@pytest.mark.parametrize("image_format", ["BMP", "JPEG", "PNG", "PPM", "TIFF"])
@pytest.mark.parametrize("size", [(0, 0), (0, 10), (10, 0)])
def test_no_pixels(image_format, size):
    error = error_of(with_size(image_format, *size))
    assert type(error) is BrokenImage
    assert f"its {image_format} header cannot be read or announces no pixels" in str(error)


@pytest.mark.parametrize(
    ("image_format", "size"),
    [
        ("BMP", (100_000, 100_000)),
        ("GIF", (65_535, 65_535)),
        ("JPEG", (65_500, 65_500)),
        ("PNG", (100_000, 100_000)),
        ("PNG", (2_147_483_647, 2_147_483_647)),
        ("PPM", (100_000, 100_000)),
        ("TIFF", (100_000, 100_000)),
        ("WEBP", (8_001, 8_000)),
    ],
)
def test_a_bomb_is_refused_by_its_header(image_format, size):
    error = error_of(with_size(image_format, *size))
    assert type(error) is ImageTooManyPixels
    width, height = size
    assert f"its header announces {width:,} x {height:,} pixels and max_image_pixels is 64,000,000" in str(
        error
    )


def test_pillow_refuses_a_webp_of_its_own_accord():
    error = error_of(with_size("WEBP", 16_000, 16_000), Limits(max_image_pixels=10**9))
    assert type(error) is ImageTooManyPixels
    assert "its header announces 256,000,000 pixels, which Pillow refuses to decode" in str(error)


def test_the_pixel_limit_is_inclusive():
    limits = Limits(max_image_pixels=40 * 24)
    step = Decode().intercept(batch(sample("PNG")), context(limits=limits))
    assert len(step.oks) == 1
    assert type(error_of(sample("PNG"), Limits(max_image_pixels=40 * 24 - 1))) is ImageTooManyPixels


def test_a_limit_above_pillows_own_holds():
    """Pillow warns above 89 million pixels and refuses above 178 million; the setting alone decides."""
    content = png_of_header(20_000, 10_000)
    error = error_of(content, Limits(max_image_pixels=200_000_000))
    assert type(error) is BrokenImage
    assert Image.MAX_IMAGE_PIXELS is not None
    assert 2 * Image.MAX_IMAGE_PIXELS < 20_000 * 10_000


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((4, 4), 70_000, np.int32), "run from 70000 to 70000, and white is taken to be 65535"),
        (np.full((4, 4), -1, np.int32), "run from -1 to -1, and white is taken to be 65535"),
        (np.full((4, 4), 200.0, np.float32), "run from 200.0 to 200.0, and white is taken to be 1.0"),
        (np.full((4, 4), np.nan, np.float32), "run from nan to nan, and white is taken to be 1.0"),
    ],
)
def test_grey_values_of_unknown_scale(values, reason):
    error = error_of(encoded(Image.fromarray(values), "TIFF"))
    assert type(error) is Unclassifiable
    assert reason in str(error)
