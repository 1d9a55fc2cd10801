"""The same numbers from scikit-image, Pillow and scipy; and what turning an image must not change."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageStat
from scipy import ndimage
from skimage.color import deltaE_cie76, rgb2lab
from skimage.filters import threshold_otsu
from skimage.measure import label, shannon_entropy

from flumen.interceptor.statistics.colours import colour_name
from flumen.interceptor.statistics.light import cumulated, histograms, luminance, otsu
from flumen.interceptor.statistics.shapes import count_objects, foreground
from flumen.interceptor.statistics.step import measure

without_deadline = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

sides = st.integers(1, 24)
greys = st.tuples(sides, sides).flatmap(lambda shape: arrays(np.uint8, shape))
# Few shades, so that shapes and ties occur.
shapes = st.tuples(sides, sides).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 20, 200]))
)
colours = st.tuples(sides, sides, st.just(3)).flatmap(lambda shape: arrays(np.uint8, shape))


def measured(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    return {name: values[0] for name, values in measure(pixels[None]).items()}


@without_deadline
@given(colours)
def test_luminance_and_levels_are_those_of_pillow(pixels: NDArray[np.uint8]) -> None:
    image = Image.fromarray(pixels)
    assert np.array_equal(luminance(pixels[None])[0], np.asarray(image.convert("L")))
    stat, row = ImageStat.Stat(image), measured(pixels)
    for position, name in enumerate(("red", "green", "blue")):
        assert row[f"{name}_mean"] == pytest.approx(stat.mean[position], rel=1e-6)
        assert row[f"{name}_std"] == pytest.approx(stat.stddev[position], rel=1e-5, abs=1e-3)
        assert (row[f"{name}_min"], row[f"{name}_max"]) == tuple(stat.extrema[position])


@without_deadline
@given(greys | shapes)
def test_entropy_is_that_of_scikit_image(pixels: NDArray[np.uint8]) -> None:
    assert measured(pixels)["entropy"] == pytest.approx(shannon_entropy(pixels, base=2), abs=1e-5)


@without_deadline
@given((greys | shapes).filter(lambda pixels: pixels.min() < pixels.max()))
def test_otsu_is_that_of_scikit_image(pixels: NDArray[np.uint8]) -> None:
    """Where several thresholds are equally good both take the least; rounding may part ties, never classes."""
    ours = int(otsu(cumulated(histograms(pixels[None])))[0])
    theirs = int(threshold_otsu(pixels))
    assert between(pixels, ours) == pytest.approx(between(pixels, theirs), rel=1e-9)


def between(pixels: NDArray[np.uint8], threshold: int) -> float:
    """The between-class variance, by its definition."""
    low, high = pixels[pixels <= threshold], pixels[pixels > threshold]
    return float(low.size * high.size / pixels.size**2 * (low.mean() - high.mean()) ** 2)


@without_deadline
@given(st.lists(arrays(np.bool_, (9, 13)), min_size=1, max_size=5))
def test_objects_are_those_of_scikit_image(images: list[NDArray[np.bool_]]) -> None:
    expected = []
    for image in images:
        sizes = np.bincount(label(image, connectivity=2).ravel())[1:]
        expected.append(int((sizes >= 5).sum()))
    assert count_objects(np.stack(images)).tolist() == expected


@without_deadline
@given(greys.filter(lambda pixels: min(pixels.shape) >= 3))
def test_sharpness_is_that_of_scipy(pixels: NDArray[np.uint8]) -> None:
    inner = ndimage.laplace(pixels.astype(np.float64))[1:-1, 1:-1]
    assert measured(pixels)["sharpness"] == pytest.approx(inner.var(), rel=1e-5, abs=1e-3)


NAMES = {ImageColor.getrgb(name) for name in ImageColor.colormap}


@without_deadline
@given(st.integers(0, 0xFFFFFF))
def test_names_are_the_nearest_by_scikit_image(code: int) -> None:
    def lab(colour: tuple[int, ...]) -> NDArray[np.float64]:
        return rgb2lab(np.array(colour, dtype=np.float64) / 255)

    there = lab((code >> 16, code >> 8 & 255, code & 255))
    least = min(deltaE_cie76(there, lab(colour)) for colour in NAMES)
    named = lab(ImageColor.getrgb(colour_name(code)))
    assert deltaE_cie76(there, named) == pytest.approx(least, abs=0.02), "the matrix has four decimals"


@without_deadline
@given(greys | shapes)
def test_grey_and_the_same_in_rgb_agree(pixels: NDArray[np.uint8]) -> None:
    in_colour = measured(pixels[..., None].repeat(3, axis=-1))
    for name, expected in measured(pixels).items():
        assert in_colour[name] == expected, name


@without_deadline
@given(greys | shapes | colours, st.integers(0, 3), st.booleans())
def test_turning_an_image_changes_nothing_but_its_hash(
    pixels: NDArray[np.uint8], quarters: int, mirrored: bool
) -> None:
    turned = np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)
    found, expected = measured(np.ascontiguousarray(turned)), measured(pixels)
    assert (found.pop("perceptual_hash") is None) == (expected.pop("perceptual_hash") is None)
    assert found == expected


@without_deadline
@given(greys | shapes | colours)
def test_what_always_holds(pixels: NDArray[np.uint8]) -> None:
    row = measured(pixels)
    histogram, palette = json.loads(row["luminance_histogram"]), json.loads(row["palette"])
    assert len(histogram) == 16
    assert sum(histogram) == pytest.approx(1, abs=16 * 0.00005)
    assert row["luminance_min"] <= row["luminance_mean"] + 1e-4
    assert row["luminance_mean"] <= row["luminance_max"] + 1e-4
    assert 0 <= row["entropy"] <= 8
    assert 0 <= row["contrast"] <= 0.5
    assert 0 <= row["foreground"] <= 1
    assert 0 <= row["objects"] <= pixels.size // 5
    assert row["colorfulness"] >= 0
    assert 1 <= len(palette) <= 5
    assert sum(colour["share"] for colour in palette) <= 1.0005
    shares = [colour["share"] for colour in palette]
    assert shares == sorted(shares, reverse=True)
    assert row["dominant_color"] == palette[0]["name"] == row["dominant_colors"][0]


@without_deadline
@given(st.lists(arrays(np.uint8, (6, 7)), min_size=1, max_size=6))
def test_an_image_is_measured_the_same_alone_and_in_a_batch(images: list[NDArray[np.uint8]]) -> None:
    together = measure(np.stack(images))
    for position, image in enumerate(images):
        assert {name: values[position] for name, values in together.items()} == measured(image)


@without_deadline
@given(shapes)
def test_the_border_is_mostly_background(pixels: NDArray[np.uint8]) -> None:
    found = foreground(pixels[None], otsu(cumulated(histograms(pixels[None]))))[0]
    border = np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]])
    assert 2 * border.sum() <= border.size
