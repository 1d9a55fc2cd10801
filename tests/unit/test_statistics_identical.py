"""Statistics of whole batches are those of the plain formulas, image by image, to the last bit.

But for the colours of what has more than 65,536 pixels, and for a JPEG that is shrunk while it is decoded: these are
within the tolerances of docs/metadata.md.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from images import batch, context, encoded
from numpy.typing import NDArray
from PIL import Image
from plain_statistics import measured_plainly
from skimage import data

from flumen.interceptor.batch import plain
from flumen.interceptor.decode import Decode
from flumen.interceptor.decoding import decode_image, measured
from flumen.interceptor.statistics.colours import SAMPLE_PIXELS, WHOLE_PIXELS, sampled
from flumen.interceptor.statistics.step import Statistics, look_at, measure
from flumen.models.datasets.idx import read_idx

DIGITS = Path(__file__).parents[2] / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"

without_deadline = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Pixels = NDArray[np.uint8]

COLOURS = ("colorfulness", "dominant_color", "dominant_colors", "palette")

shades = st.one_of(st.just(st.integers(0, 255)), st.just(st.sampled_from([0, 31, 32, 200, 255])))
batches = st.builds(
    lambda count, height, width, channels: (count, height, width, *channels),
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([(), (3,)]),
).flatmap(lambda shape: shades.flatmap(lambda values: arrays(np.uint8, shape, elements=values)))


def assert_the_same(images: Pixels) -> None:
    rows = measure(images)
    values = {name: plain(column) for name, column in rows.items()}
    for position, image in enumerate(images):
        expected = {name: plain(np.asarray(value)) for name, value in measured_plainly(image).items()}
        found = {name: column[position] for name, column in values.items()}
        if image.ndim == 3 and image[..., 0].size > WHOLE_PIXELS:
            assert_colours_are_near(found, expected)
            expected |= {name: found[name] for name in COLOURS}
        assert found == expected
    assert {rows[name].dtype for name in ("luminance_mean", "entropy", "sharpness")} == {np.dtype(np.float32)}
    assert {rows[name].dtype for name in ("luminance_min", "objects")} == {np.dtype(np.int32)}


def assert_colours_are_near(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Colourfulness within a level and a fiftieth; shares within 0.02, and colours within two levels."""
    assert found["colorfulness"] == pytest.approx(expected["colorfulness"], rel=0.02, abs=1)
    for some, others in ((found, expected), (expected, found)):
        listed = [(code_of(colour), colour["share"]) for colour in json.loads(others["palette"])]
        for colour in json.loads(some["palette"])[:4]:
            assert colour["share"] <= 0.07 or any(
                abs(share - colour["share"]) <= 0.02 and np.abs(code - code_of(colour)).max() <= 2
                for code, share in listed
            ), (colour, others["palette"])


def code_of(colour: Mapping[str, Any]) -> NDArray[np.int64]:
    return np.array(list(bytes.fromhex(colour["color"][1:])), dtype=np.int64)


@without_deadline
@given(batches)
def test_any_batch(images: Pixels) -> None:
    assert_the_same(images)


@settings(without_deadline, max_examples=30)
@given(st.lists(st.tuples(batches, st.booleans()), min_size=1, max_size=4))
def test_any_images_some_of_which_were_looked_at(mixed: list[tuple[Pixels, bool]]) -> None:
    """Grey and in colour, of any sizes: the figures are those of each image alone."""
    views = [image for images, _ in mixed for image in images]
    looked = [
        look_at(image[None]) if is_looked_at else None for images, is_looked_at in mixed for image in images
    ]
    many = batch(*map(bytes, views)).with_columns(views=views, measured=looked)
    columns = Statistics().intercept(many, context()).oks.columns
    for position, image in enumerate(views):
        alone = {name: plain(values)[0] for name, values in measure(image[None]).items()}
        found = {name: plain(values)[position] for name, values in columns.items()}
        assert found == dict.fromkeys(columns) | alone


def test_digits_in_grey_and_in_colour() -> None:
    digits = read_idx(DIGITS)[:1_000]
    assert_the_same(digits[:500])
    assert_the_same(np.stack([digits[500:600], 255 - digits[600:700], digits[700:800] // 2], axis=-1))


def hostile(height: int, width: int) -> Iterable[Pixels]:
    """Noise, a checkerboard, lines one pixel wide, steps, one shade, and a spiral that is one piece."""
    random = np.random.default_rng(height)
    rows, columns = np.mgrid[:height, :width]
    yield random.integers(0, 256, (height, width), dtype=np.uint8)
    yield ((rows + columns) % 2 * 255).astype(np.uint8)
    yield (rows % 2 * 255).astype(np.uint8)
    yield (columns % 3 // 2 * 255).astype(np.uint8)
    yield (columns * 256 // width).astype(np.uint8)
    yield np.full((height, width), 255, dtype=np.uint8)
    rings = np.minimum.reduce([rows, columns, height - 1 - rows, width - 1 - columns]) % 4 < 2
    rings[height // 2] = True
    yield (rings * 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(512, 512), (384, 512), (257, 1), (1, 512), (300, 401)])
def test_hostile_pictures_of_a_views_size(size: tuple[int, int]) -> None:
    """Larger than what is counted, converted and added up at once."""
    pictures = list(hostile(*size))
    for picture, other in zip(pictures, reversed(pictures), strict=True):
        assert_the_same(picture[None])
        assert_the_same(np.stack([picture, other, 255 - picture], axis=-1)[None])


@pytest.mark.parametrize("page", [data.page, data.text])
def test_scanned_pages(page: Callable[[], Pixels]) -> None:
    assert_the_same(page()[None])


PHOTOS = tuple(
    map(cache, (data.astronaut, data.coffee, data.chelsea, data.rocket, data.retina, data.page, data.text))
)
"""Read once, not in every test; as what is `drawn`."""


@cache
def drawn(seed: int, finest: int) -> Pixels:
    """Return 600 x 800 x 3 of noise at several scales, each half as strong as the one twice as coarse, and a disc.

    `finest`: in pixels; of one pixel it is as hard as a photo of a camera at night.
    """
    random = np.random.default_rng(seed)
    total = np.full((600, 800, 3), 110, dtype=np.float32)
    for size in (100, 50, 25, 10, 5, 2, 1):
        if size >= finest:
            noise = random.standard_normal((600 // size, 800 // size), np.float32) * (0.45 * size + 3)
            total += np.asarray(Image.fromarray(noise).resize((800, 600)))[..., None]
    rows, columns = np.mgrid[:600, :800]
    total[(rows - 280) ** 2 + (columns - 420) ** 2 < 150**2] += np.array([90, 40, -40], dtype=np.float32)
    return total.clip(0, 255).astype(np.uint8)


DRAWN = (partial(drawn, 1, 10), partial(drawn, 2, 5), partial(drawn, 3, 2), partial(drawn, 4, 1))


@pytest.mark.parametrize("photo", [*PHOTOS, *DRAWN])
@pytest.mark.parametrize("size", [(400, 300), (512, 384)])
def test_colours_of_a_sample_are_those_of_all_pixels(
    photo: Callable[[], Pixels], size: tuple[int, int]
) -> None:
    """Of every 4 by 4 pixels, and of every 5 by 5."""
    pixels = np.asarray(Image.fromarray(photo()).convert("RGB").resize(size))
    assert_the_same(pixels[None])
    (sample,) = sampled(pixels[None]).transpose(1, 2, 0)
    assert SAMPLE_PIXELS <= len(sample) <= pixels[..., 0].size / 16


@pytest.mark.parametrize("size", [(129, 512), (235, 511), (512, 512)])
def test_a_narrow_frame_is_in_the_sample(size: tuple[int, int]) -> None:
    """On each edge by itself, as often as in all pixels: sides are no multiples of the squares'."""
    pixels = np.zeros((4, *size, 3), dtype=np.uint8)
    pixels[0, :3] = pixels[1, -3:] = pixels[2, :, :3] = pixels[3, :, -3:] = 1
    for frame, sample in zip(pixels, sampled(pixels)[0], strict=True):
        assert sample.mean() == pytest.approx(frame.mean(), rel=0.15)


@pytest.mark.parametrize("photo", [*PHOTOS, *DRAWN])
def test_photos_that_were_looked_at_one_by_one(photo: Callable[[], Pixels]) -> None:
    """Also between images of other sizes, and grey ones: the figures are those of the image alone."""
    image = Image.fromarray(photo()).convert("RGB").resize((800, 600))
    contents = [
        encoded(image, "JPEG", quality=80),
        encoded(image.convert("L").rotate(90, expand=True), "JPEG"),
        encoded(image.resize((300, 300))),
        encoded(image.resize((40, 30))),
    ]
    looked, alone = (
        Statistics().intercept(
            Decode().intercept(batch(*contents), replace(context(), decoder=decoder)).oks, context()
        )
        for decoder in (lambda *image: measured(decode_image(*image)), None)
    )
    for name, values in alone.oks.columns.items():
        assert plain(looked.oks.columns[name]) == plain(values), name


@pytest.mark.parametrize("photo", [*PHOTOS, *DRAWN])
def test_a_photo_that_is_shrunk_while_it_is_decoded(photo: Callable[[], Pixels]) -> None:
    """Its figures beside those of all its pixels, averaged two by two."""
    image = Image.fromarray(photo()).convert("RGB").resize((800, 600), Image.Resampling.BICUBIC)
    content = encoded(image, "JPEG", quality=80)
    (view,) = Decode().intercept(batch(content), context()).oks.columns["views"]
    averaged = np.asarray(Image.open(io.BytesIO(content)).reduce(2))
    assert view.shape == averaged.shape
    found, expected = (
        {name: plain(values)[0] for name, values in measure(pixels[None]).items()}
        for pixels in (view, averaged)
    )
    assert_colours_are_near(found, expected)
    for name in ("luminance", "red", "green", "blue"):
        assert found[f"{name}_mean"] == pytest.approx(expected[f"{name}_mean"], abs=0.5)
        assert found[f"{name}_std"] == pytest.approx(expected[f"{name}_std"], abs=0.5)
        assert abs(found[f"{name}_min"] - expected[f"{name}_min"]) <= 8
        assert abs(found[f"{name}_max"] - expected[f"{name}_max"]) <= 8
    shares, expected_shares = (json.loads(row["luminance_histogram"]) for row in (found, expected))
    assert shares == pytest.approx(expected_shares, abs=0.02)
    assert found["entropy"] == pytest.approx(expected["entropy"], abs=0.05)
    assert found["contrast"] == pytest.approx(expected["contrast"], abs=0.002)
    assert found["foreground"] == pytest.approx(expected["foreground"], abs=0.02)
    assert abs(found["objects"] - expected["objects"]) <= 3
    assert found["sharpness"] == pytest.approx(expected["sharpness"], rel=0.05)
    assert (found["perceptual_hash"] ^ expected["perceptual_hash"]).bit_count() <= 2
