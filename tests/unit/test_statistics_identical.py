"""Statistics of whole batches are those of the plain formulas, image by image, to the last bit."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from plain_statistics import measured_plainly
from skimage import data

from flumen.interceptor.batch import plain
from flumen.interceptor.statistics.step import measure
from flumen.models.idx import read_idx

DIGITS = Path(__file__).parents[2] / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"

without_deadline = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Pixels = NDArray[np.uint8]

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
        assert {name: column[position] for name, column in values.items()} == expected
    assert {rows[name].dtype for name in ("luminance_mean", "entropy", "sharpness")} == {np.dtype(np.float32)}
    assert {rows[name].dtype for name in ("luminance_min", "objects")} == {np.dtype(np.int32)}


@without_deadline
@given(batches)
def test_any_batch(images: Pixels) -> None:
    assert_the_same(images)


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


@pytest.mark.parametrize(
    "photo", [data.astronaut, data.coffee, data.chelsea, data.rocket, data.page, data.text]
)
def test_photos_and_scanned_pages(photo: "object") -> None:
    image = Image.fromarray(photo())  # type: ignore[operator]
    image.thumbnail((512, 512))
    assert_the_same(np.asarray(image)[None])
