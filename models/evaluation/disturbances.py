"""What may happen to an image before it is classified, in steps: the article's "changing input".

Everything works on a batch of pixels as they are before `to_tensor`: uint8, n x height x width for grey, n x height x
width x 3 for RGB, of any size. What is measured in pixels is given as a share of the image's side, so that a step
means the same at 28x28 and at 224x224. Where an image is moved, its outermost pixels go on beyond its edge.
"""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Apply = Callable[[Pixels, float, np.random.Generator], Pixels]

GREY_DIMENSIONS = 3
_MIDDLE = 127.5


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One way to change images: its steps from the mildest to the strongest, and what their numbers mean."""

    unit: str
    steps: tuple[float, ...]
    apply: Apply


def _noise(pixels: Pixels, std: float, random: np.random.Generator) -> Pixels:
    return _rounded(pixels + np.float32(std) * random.standard_normal(pixels.shape, np.float32))


def _blur(pixels: Pixels, share: float, _random: np.random.Generator) -> Pixels:
    from scipy.ndimage import gaussian_filter

    sigma = [0, *(share * side for side in pixels.shape[1:3]), *([0] * (pixels.ndim - GREY_DIMENSIONS))]
    return _rounded(gaussian_filter(pixels.astype(np.float32), sigma, mode="nearest"))


def _rotation(pixels: Pixels, degrees: float, random: np.random.Generator) -> Pixels:
    def turned(sign: float) -> NDArray[np.float64]:
        angle = np.deg2rad(sign * degrees)
        return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    return _by_group(pixels, random, [(turned(1), np.zeros(2)), (turned(-1), np.zeros(2))])


def _shift(pixels: Pixels, share: float, random: np.random.Generator) -> Pixels:
    distance = share * np.array(pixels.shape[1:3])
    directions = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    return _by_group(pixels, random, [(np.eye(2), distance * direction) for direction in directions])


def _scale(pixels: Pixels, factor: float, random: np.random.Generator) -> Pixels:
    return _by_group(pixels, random, [(np.eye(2) / factor, np.zeros(2))])


def _contrast(pixels: Pixels, factor: float, _random: np.random.Generator) -> Pixels:
    values = pixels.astype(np.float32)
    mean = values.mean(axis=tuple(range(1, values.ndim)), keepdims=True)
    return _rounded((values - mean) * np.float32(factor) + mean)


def _brightness(pixels: Pixels, levels: float, _random: np.random.Generator) -> Pixels:
    return _rounded(pixels + np.float32(levels))


def _inversion(pixels: Pixels, share: float, _random: np.random.Generator) -> Pixels:
    return _rounded((pixels - np.float32(_MIDDLE)) * np.float32(1 - 2 * share) + np.float32(_MIDDLE))


def _jpeg(pixels: Pixels, quality: float, _random: np.random.Generator) -> Pixels:
    return np.stack([_compressed(image, round(quality)) for image in pixels]) if len(pixels) else pixels


DISTURBANCES: Mapping[str, Disturbance] = {
    "noise": Disturbance("standard deviation, of 255", (8, 16, 32, 64, 96), _noise),
    "blur": Disturbance("standard deviation, share of a side", (0.01, 0.02, 0.04, 0.06, 0.1), _blur),
    "rotation": Disturbance("degrees, to either side", (5, 10, 20, 30, 45, 90), _rotation),
    "shift": Disturbance("share of a side, in one of four directions", (0.03, 0.06, 0.1, 0.15, 0.25), _shift),
    "scale smaller": Disturbance("factor", (0.9, 0.8, 0.7, 0.6, 0.5), _scale),
    "scale larger": Disturbance("factor", (1.1, 1.2, 1.4, 1.7, 2.0), _scale),
    "contrast": Disturbance("factor, around the image's mean", (0.8, 0.6, 0.4, 0.2, 0.1), _contrast),
    "brighter": Disturbance("levels added, of 255", (16, 32, 64, 96, 128), _brightness),
    "darker": Disturbance("levels added, of 255", (-16, -32, -64, -96, -128), _brightness),
    "inversion": Disturbance(
        "share; 0.5 is one grey, 1 the negative", (0.25, 0.4, 0.5, 0.75, 1.0), _inversion
    ),
    "jpeg": Disturbance("quality", (90, 70, 50, 30, 10, 5), _jpeg),
}
"""By name. The steps of each go one way, from the mildest on."""


def _by_group(
    pixels: Pixels, random: np.random.Generator, maps: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> Pixels:
    """Return the images, each moved by one of these maps (matrix, offset) at random."""
    chosen = random.integers(0, len(maps), len(pixels))
    moved = np.empty_like(pixels)
    for number, (matrix, offset) in enumerate(maps):
        moved[chosen == number] = _moved(pixels[chosen == number], matrix, offset)
    return moved


def _moved(pixels: Pixels, matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> Pixels:
    """Take each pixel from where the map leads, around the middle: row and column = matrix @ (row, column) + offset.

    Bilinear: every pixel of the result is a weighted mean of four, the same four in all images.
    """
    count, height, width = pixels.shape[:3]
    middle = np.array([height - 1, width - 1]) / 2
    grid = np.indices((height, width)).reshape(2, -1) - middle[:, None]
    places = matrix @ grid + (middle + offset)[:, None]
    places = np.clip(places, 0, np.array([[height - 1], [width - 1]]))
    below = np.floor(places).astype(np.intp)
    above = np.minimum(below + 1, [[height - 1], [width - 1]])
    part = (places - below).astype(np.float32)
    flat = pixels.reshape(count, height * width, math.prod(pixels.shape[3:]))
    total = np.zeros(flat.shape, np.float32)
    for rows, row_share in ((below[0], 1 - part[0]), (above[0], part[0])):
        for columns, column_share in ((below[1], 1 - part[1]), (above[1], part[1])):
            total += flat[:, rows * width + columns] * (row_share * column_share)[:, None]
    return _rounded(total).reshape(pixels.shape)


def _compressed(image: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as decoded:
        return np.asarray(decoded, dtype=np.uint8)


def _rounded(values: NDArray[np.float32]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
