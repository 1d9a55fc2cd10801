"""How an image of any proportions comes into the model's picture."""

from dataclasses import replace

import numpy as np
import pytest
from images import encoded
from numpy.typing import NDArray
from PIL import Image

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import decode_image, raster_shape
from flumen.interceptor.framing import Frame, frame

STRETCH = Preprocess(width=40, height=20, channels=3)
CROP = replace(STRETCH, resize="crop")
PAD = replace(STRETCH, resize="pad", fill=99)


def seen(
    image: Image.Image, preprocess: Preprocess, image_format: str = "PNG", **options: object
) -> NDArray[np.uint8]:
    decoded = decode_image(encoded(image, image_format, **options), Limits(), preprocess)
    return np.frombuffer(decoded.raster, np.uint8).reshape(raster_shape(preprocess))


def bands(width: int, height: int) -> Image.Image:
    """Red on the left, green in the middle half, blue on the right."""
    image = Image.new("RGB", (width, height), (0, 200, 0))
    image.paste((200, 0, 0), (0, 0, width // 4, height))
    image.paste((0, 0, 200), (width - width // 4, 0, width, height))
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ((80, 40), Frame((40, 20), (40, 20), (0, 0, 1, 1))),
        ((80, 80), Frame((40, 20), (40, 20), (0, 0.25, 1, 0.75))),
        ((160, 40), Frame((40, 20), (40, 20), (0.25, 0, 0.75, 1))),
    ],
)
def test_the_largest_part_in_the_middle_is_cropped(image: tuple[int, int], expected: Frame) -> None:
    assert frame(image, (40, 20), CROP) == expected


def test_a_share_of_it() -> None:
    """224 out of a shorter side of 256, as many networks are trained."""
    of_256 = Preprocess(224, 224, 3, resize="crop", crop=224 / 256)
    left, top, right, bottom = frame((640, 480), (224, 224), of_256).box
    assert (right - left) * 640 == pytest.approx(420)
    assert (bottom - top) * 480 == pytest.approx(420)
    assert (left + right, top + bottom) == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("image", "inner", "offset"),
    [
        ((80, 40), (40, 20), (0, 0)),
        ((20, 20), (20, 20), (10, 0)),
        ((400, 50), (40, 5), (0, 7)),
        ((1, 9000), (1, 20), (19, 0)),
    ],
)
def test_all_of_it_is_padded(image: tuple[int, int], inner: tuple[int, int], offset: tuple[int, int]) -> None:
    framed = frame(image, (40, 20), PAD)
    assert (framed.inner, framed.offset, framed.box) == (inner, offset, (0, 0, 1, 1))


def test_an_unknown_way_is_an_error() -> None:
    with pytest.raises(ValueError, match="resize is 'squeeze'; it is one of stretch, crop, pad"):
        frame((4, 4), (4, 4), replace(STRETCH, resize="squeeze"))


@pytest.mark.parametrize("size", [(80, 20), (800, 200), (1600, 400), (4000, 1000)])
@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_what_each_way_sees_of_a_wide_image(size: tuple[int, int], image_format: str) -> None:
    """Also where a JPEG is shrunk while it is decoded, and where an image is shrunk in strips."""
    options = {"quality": 95} if image_format == "JPEG" else {}
    image = bands(*size)
    stretched, cropped, padded = (seen(image, way, image_format, **options) for way in (STRETCH, CROP, PAD))

    def is_near(pixel: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
        return bool(np.abs(pixel.astype(int) - colour).max() <= 12)

    assert is_near(stretched[10, 4], (200, 0, 0))
    assert is_near(stretched[10, 20], (0, 200, 0))
    assert is_near(stretched[10, 35], (0, 0, 200))
    # Half of the width is left: the green band alone.
    assert all(is_near(cropped[10, column], (0, 200, 0)) for column in (2, 20, 37))
    # The whole of it stands in rows 5 to 14.
    assert all((padded[row] == 99).all() for row in (0, 4, 15, 19))
    assert is_near(padded[10, 4], (200, 0, 0))
    assert is_near(padded[10, 35], (0, 0, 200))


@pytest.mark.parametrize("way", [CROP, PAD])
def test_a_turned_image_is_framed_upright(way: Preprocess) -> None:
    image = bands(200, 50)
    exif = Image.Exif()
    exif[274] = 6  # stored on its side: to be turned by 90 degrees clockwise
    on_its_side = image.transpose(Image.Transpose.ROTATE_90)
    for image_format in ("PNG", "JPEG"):
        upright = seen(image, way, image_format).astype(int)
        turned = seen(on_its_side, way, image_format, exif=exif).astype(int)
        assert np.abs(upright - turned).max() <= 24
        assert np.abs(upright - turned).mean() < 2


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 13)])
@pytest.mark.parametrize("way", [STRETCH, CROP, replace(CROP, crop=0.01), PAD])
@pytest.mark.parametrize("resampling", ["bilinear", "bicubic", "nearest"])
def test_odd_sizes(size: tuple[int, int], way: Preprocess, resampling: str) -> None:
    image = Image.new("RGB", size, (10, 20, 30))
    for image_format in ("PNG", "JPEG"):
        picture = seen(image, replace(way, resampling=resampling, fill=0), image_format)
        assert picture.shape == (20, 40, 3)
        assert np.abs(picture.astype(int) - (10, 20, 30)).max(axis=2).min() <= 4


def test_resampling_is_pillows() -> None:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (50, 90, 3), dtype=np.uint8))
    for name in ("bilinear", "bicubic", "nearest"):
        expected = np.asarray(noise.resize((40, 20), Image.Resampling[name.upper()]))
        assert np.array_equal(seen(noise, replace(STRETCH, resampling=name)), expected)


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "RGBA", "CMYK"])
def test_the_nearest_value_is_one_of_the_images_in_every_mode(mode: str) -> None:
    """Two shades in a checkerboard: no third one may come of it."""
    shades = np.kron(np.indices((9, 9)).sum(axis=0) % 2, np.ones((5, 5), np.uint8))
    if mode == "I;16":
        image = Image.fromarray((shades * 65535).astype(np.uint16))
    else:
        image = Image.fromarray((shades * 255).astype(np.uint8)).convert("RGB").convert(mode)
    picture = seen(image, Preprocess(7, 11, resampling="nearest"), "TIFF")
    assert set(np.unique(picture)) == {0, 255}


def test_models_share_pixels_where_they_see_the_same_picture() -> None:
    """A challenger in shadow takes the champion's pixels then, and has the image decoded again if not."""
    numbers = replace(STRETCH, mean=(0.5,), std=(0.25,), scale=1.0, threshold=3, layout="nchw")
    assert numbers.picture == STRETCH.picture
    others = [
        CROP,
        PAD,
        replace(CROP, crop=0.5),
        replace(STRETCH, resampling="nearest"),
        replace(STRETCH, width=41),
    ]
    pictures = {way.picture for way in (STRETCH, *others, replace(STRETCH, channels=1))}
    assert len(pictures) == len(others) + 2
