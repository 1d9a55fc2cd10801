"""What `decode` makes of images, the unusual ones included."""

import io

import numpy as np
import pytest
from images import (
    FORMATS,
    animation,
    batch,
    context,
    encoded,
    gradient,
    grey,
    sample,
)
from PIL import Image

from flumen.interceptor import Batch, Preprocess
from flumen.interceptor.decode import Decode

COLOUR = Preprocess(width=8, height=8, channels=3)


def pixels_of(content: bytes, preprocess: Preprocess | None = None) -> np.ndarray:
    """What the classifier sees of one image that is not rejected."""
    step = Decode().intercept(batch(content), context(preprocess))
    assert [reject.error for reject in step.errs] == []
    return step.oks.columns["pixels"][0]


def test_columns():
    step = Decode().intercept(batch(encoded(Image.fromarray(gradient())), sample("JPEG")), context())
    columns = step.oks.columns
    assert columns["format"] == ["PNG", "JPEG"]
    assert columns["width"].tolist() == [28, 40]
    assert columns["height"].tolist() == [28, 24]
    assert columns["width"].dtype == columns["height"].dtype == np.int32
    assert columns["pixels"].dtype == np.uint8
    assert columns["pixels"].shape == (2, 28, 28)
    assert np.array_equal(columns["pixels"][0], gradient())
    assert columns["image_as_pgm"][0] == b"P5\n28 28\n255\n" + gradient().tobytes()


def test_columns_of_a_colour_model():
    columns = Decode().intercept(batch(*map(sample, FORMATS)), context(COLOUR)).oks.columns
    assert columns["format"] == list(FORMATS)
    assert columns["pixels"].shape == (8, 8, 8, 3)
    for view, pixels in zip(columns["image_as_pgm"], columns["pixels"], strict=True):
        assert view.startswith(b"P6\n8 8\n255\n")
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(view))), pixels)


def test_an_empty_batch_has_every_column():
    columns = Decode().intercept(Batch([]), context()).oks.columns
    assert {name: len(values) for name, values in columns.items()} == dict.fromkeys(
        ["format", "width", "height", "image_as_pgm", "pixels", "views", "measured", "metadata"], 0
    )


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_is_shrunk_to_the_model(image_format):
    expected = np.asarray(Image.fromarray(gradient(40, 24)).resize((28, 28), Image.Resampling.BILINEAR))
    assert np.abs(pixels_of(sample(image_format)).astype(int) - expected).max() <= 8, (
        "some formats lose a little"
    )


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(1000, 700), (2001, 333), (90, 3000), (841, 841)])
def test_a_large_image_looks_as_if_resampled_at_once(image_format, size):
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    large = Image.fromarray((128 + (rows / size[1] - columns / size[0]) * 127).astype(np.uint8))
    expected = np.asarray(large.resize((28, 28), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(pixels_of(encoded(large, image_format)) - expected).max() <= 1


def test_strips_leave_no_seams():
    """1,500 x 1,500 pixels are converted in three strips."""
    noise = Image.fromarray(np.random.default_rng(5).integers(0, 256, (1500, 1500, 3), dtype=np.uint8))
    expected = np.asarray(noise.convert("L").resize((28, 28), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(pixels_of(encoded(noise)) - expected).max() <= 1


def test_one_pixel():
    assert (pixels_of(grey(200, (1, 1))) == 200).all()


def test_sixteen_bit_grey_is_scaled_not_clipped():
    values = np.array([[0, 128, 129, 385, 386, 511, 32768, 65535]], dtype=np.uint16)
    deep = Image.fromarray(values)
    for content in (
        encoded(deep),
        encoded(deep, "TIFF"),
        b"P5\n8 1\n65535\n" + values.astype(">u2").tobytes(),
    ):
        seen = pixels_of(content, Preprocess(width=8, height=1))
        assert seen.tolist() == [[0, 0, 1, 1, 2, 2, 128, 255]]


def test_floating_point_grey_from_black_to_white():
    image = Image.fromarray((gradient() / 255).astype(np.float32))
    assert np.array_equal(pixels_of(encoded(image, "TIFF")), gradient())


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_transparency_lies_over_black(mode):
    image = Image.new("RGBA", (28, 28), (200, 200, 200, 0))
    image.paste((200, 200, 200, 255), (0, 0, 14, 28))
    image.paste((200, 200, 200, 128), (0, 0, 1, 28))
    image_format = "TIFF" if mode == "PA" else "PNG"
    pixels = pixels_of(encoded(image.convert(mode), image_format))
    assert pixels[5, [0, 5, 13, 14, 27]].tolist() == [100, 200, 200, 0, 0]


def test_palette_with_alpha():
    image = Image.new("P", (28, 28), 1)
    image.putpalette([0, 0, 0, 250, 250, 250, 90, 90, 90])
    image.paste(2, (14, 0, 28, 28))
    opaque, clear = pixels_of(encoded(image, transparency=bytes([0, 128, 255])))[0, [0, 20]].tolist()
    assert (opaque, clear) == (125, 90)
    assert pixels_of(encoded(image, transparency=1))[0, [0, 20]].tolist() == [0, 90]
    assert pixels_of(encoded(image))[0, [0, 20]].tolist() == [250, 90]


def test_grey_with_a_transparent_shade():
    half = Image.new("L", (28, 28), 77)
    half.paste(180, (0, 0, 14, 28))
    assert pixels_of(encoded(half, transparency=77))[0, [0, 20]].tolist() == [180, 0]


@pytest.mark.parametrize(
    ("mode", "colour", "image_format", "expected"),
    [
        ("1", 1, "PNG", (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), "TIFF", (255, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "JPEG", (254, 0, 0)),
        ("YCbCr", (255, 128, 128), "TIFF", (255, 255, 255)),
        ("LAB", (136, 128, 128), "TIFF", (127, 127, 127)),
        ("RGBX", (10, 20, 30, 0), "TIFF", (10, 20, 30)),
    ],
)
def test_colour_spaces(mode, colour, image_format, expected):
    seen = pixels_of(encoded(Image.new(mode, (8, 8), colour), image_format), COLOUR)
    assert np.abs(seen.astype(int) - expected).max() <= 1


def test_red_is_luma_for_a_grey_model():
    assert pixels_of(encoded(Image.new("RGB", (28, 28), "red")))[0, 0] == 76


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_first_frame_of_an_animation(image_format):
    assert pixels_of(animation(image_format)).min() >= 254
