"""The perceptual hash: what it stands, what it tells apart, and the transform that it is made of."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from scipy.fft import dctn

from flumen.interceptor.statistics.hashes import distances, frequencies, perceptual_hashes
from flumen.models.datasets.idx import read_idx

DATA = Path(__file__).parents[2] / "data"
DIGITS = DATA / "mnist" / "t10k-images-idx3-ubyte.gz"

Pixels = NDArray[np.uint8]

dim = st.tuples(st.integers(8, 150), st.integers(8, 150)).flatmap(
    lambda size: arrays(np.uint8, size, elements=st.integers(0, 100), fill=st.just(50))
)


def hash_of(pixels: Pixels) -> int | None:
    return perceptual_hashes(frequencies(pixels[None]))[0]


def of_picture(image: Image.Image) -> int:
    found = hash_of(np.asarray(image.convert("L")))
    assert found is not None
    return found


def bits_apart(one: Image.Image, other: Image.Image) -> int:
    return (of_picture(one) ^ of_picture(other)).bit_count()


def photos() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(DATA.glob("textures/*/*.jpg"))]


def encoded_anew(image: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out)


@settings(deadline=None)
@given(dim)
def test_brighter_or_of_more_contrast_it_is_the_same(pixels: Pixels) -> None:
    assert hash_of(pixels + np.uint8(155)) == hash_of(pixels)
    assert hash_of(pixels * np.uint8(2)) == hash_of(pixels)


@settings(deadline=None)
@given(dim)
def test_only_an_image_of_one_shade_has_no_hash(pixels: Pixels) -> None:
    found = hash_of(np.full_like(pixels, pixels[0, 0]))
    assert found is None
    half = np.zeros_like(pixels)
    half[: len(half) // 2] = 1
    assert hash_of(half) is not None
    assert hash_of(half[:7]) is None, "too small"


@pytest.mark.parametrize("size", [(28, 28), (64, 100), (128, 128)])
def test_frequencies_are_those_of_scipy(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, *size), dtype=np.uint8)
    expected = dctn(pixels.astype(float), axes=(1, 2))[:, :8, :8] / 4
    expected[:, 0, 0] = 0
    found = frequencies(pixels).reshape(3, 8, 8) / 500**2
    assert np.abs(found - expected).max() < 0.01 * np.abs(expected).max()


def test_photos_encoded_anew_scaled_and_made_darker_are_found_and_others_are_not() -> None:
    images = photos()
    for image in images:
        width, height = image.size
        assert bits_apart(image, encoded_anew(image, 50)) <= 7
        assert bits_apart(image, image.resize((width * 3 // 2, height * 3 // 2))) <= 7
        assert bits_apart(image, image.resize((width // 2, height // 2))) <= 7
        assert bits_apart(image, ImageEnhance.Brightness(image).enhance(0.7)) <= 7
        assert bits_apart(image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) > 7
    hashes = np.array([of_picture(image) for image in images])
    for row, value in enumerate(hashes.tolist()):
        assert np.flatnonzero(distances(hashes, value) <= 7).tolist() == [row]


def test_digits_are_as_good_as_all_different() -> None:
    hashes = np.asarray(perceptual_hashes(frequencies(read_idx(DIGITS)[:2000])))
    near = sum(int((distances(hashes, value) <= 3).sum()) - 1 for value in hashes.tolist())
    assert 0 < near / (2000 * 1999) < 2e-4
    assert hashes.min() >= 0
