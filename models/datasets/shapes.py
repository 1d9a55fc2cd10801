"""A second data set, drawn here: shapes in colour before a background, of five kinds.

It stands for photos where the article has digits: colour, any size, any proportions. Nothing of it is taken from
anybody's pictures.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from flumen.interceptor.classifier import Preprocess
from flumen.models.datasets.dataset import Dataset, Labelled

LABELS = ("circle", "square", "triangle", "star", "ring")
PREPROCESS = Preprocess(
    width=32,
    height=32,
    channels=3,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    layout="nchw",
    resize="crop",
)
TRAINING_IMAGES = 4_000
TEST_IMAGES = 1_000

_SCALE = 4
"""Shapes are drawn so many times as large and averaged: ImageDraw has no smooth edges."""
_NOISE = 6.0


def draw_dataset(train: int = TRAINING_IMAGES, test: int = TEST_IMAGES, seed: int = 2024) -> Dataset:
    """Draw images to learn from and to test on, at the model's size. The same numbers give the same images."""
    return Dataset(
        train=_labelled(train, np.random.default_rng([seed, 0]), "shapes-train"),
        test=_labelled(test, np.random.default_rng([seed, 1]), "shapes"),
        labels=LABELS,
        preprocess=PREPROCESS,
    )


def draw_photo(label: int, width: int, height: int, random: np.random.Generator) -> Image.Image:
    """Draw one image in RGB of this size, with the shape in its middle square."""
    side = min(width, height)
    background = _background(width, height, random)
    centre = np.array([width, height]) / 2 + random.uniform(-0.08, 0.08, 2) * side
    radius = random.uniform(0.28, 0.4) * side
    mask = Image.new("L", (width, height), 0)
    _draw(ImageDraw.Draw(mask), LABELS[label], centre, radius, random.uniform(-0.25, 0.25))
    background.paste(_colour(random, 150, 256), mask=mask)
    noisy = np.asarray(background) + _NOISE * random.standard_normal((height, width, 3), np.float32)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _labelled(count: int, random: np.random.Generator, stem: str) -> Labelled:
    labels = (np.arange(count) % len(LABELS)).astype(np.uint8)
    large = (PREPROCESS.width * _SCALE, PREPROCESS.height * _SCALE)
    pixels = [np.asarray(draw_photo(label, *large, random).reduce(_SCALE)) for label in labels.tolist()]
    return Labelled(np.stack(pixels), labels, [f"{stem}-{row:05d}" for row in range(count)])


def _background(width: int, height: int, random: np.random.Generator) -> Image.Image:
    """Return a gradient between two dark colours."""
    slope = Image.linear_gradient("L").rotate(random.choice([0, 90, 180, 270])).resize((width, height))
    one, other = (Image.new("RGB", (width, height), _colour(random, 0, 100)) for _ in range(2))
    return Image.composite(one, other, slope)


def _colour(random: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = random.integers(low, high, 3).tolist()
    return red, green, blue


def _draw(
    draw: ImageDraw.ImageDraw, shape: str, centre: NDArray[np.float64], radius: float, turn: float
) -> None:
    match shape:
        case "circle":
            draw.circle(tuple(centre), radius, fill=255)
        case "ring":
            draw.circle(tuple(centre), radius, fill=255)
            draw.circle(tuple(centre), radius * 0.55, fill=0)
        case "square":
            draw.polygon(_corners(centre, [radius], 4, turn + math.pi / 4), fill=255)
        case "triangle":
            draw.polygon(_corners(centre, [radius], 3, turn), fill=255)
        case "star":
            draw.polygon(_corners(centre, [radius, radius * 0.4], 10, turn), fill=255)


def _corners(
    centre: NDArray[np.float64], radii: Sequence[float], count: int, turn: float
) -> list[tuple[float, float]]:
    """Return corners on circles of these radii in turn, the first one at the top."""
    angles = [turn + 2 * math.pi * number / count for number in range(count)]
    return [
        (
            centre[0] + radii[number % len(radii)] * math.sin(angle),
            centre[1] - radii[number % len(radii)] * math.cos(angle),
        )
        for number, angle in enumerate(angles)
    ]
