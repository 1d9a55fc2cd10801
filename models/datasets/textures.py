"""Five groups of photos: patches of brick, grass, gravel, stars and tissue, out of photographs that scikit-image ships.

One photograph a class, from files of the package alone, nothing is downloaded. Brick, grass and gravel are CC0; the
stars are NASA's Hubble eXtreme Deep Field, in the public domain; the tissue, stained by immunohistochemistry, was taken
at the Center for Microscopy and Molecular Imaging (CMMI) and has no known copyright restrictions. Source of the
licences: the docstrings of `skimage.data`.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flumen.interceptor.classifier import Preprocess
from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.errors import ExtraMissing

LABELS = ("brick", "grass", "gravel", "stars", "tissue")
SIDE = 64
PREPROCESS = Preprocess(SIDE, SIDE, mean=(0.5,), std=(0.25,), layout="nchw", resize="crop")

_FILES = ("brick.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png")
_PICTURE = 512
"""Each photograph is seen as its upper left square of this side, which for four of the five is all of it."""

TRAINING_COLUMNS, VALIDATION_COLUMNS, TEST_COLUMNS = (0, 320), (320, 416), (416, 512)
"""Which columns of each photograph a part is cut from: no pixel is in two parts."""

_STEP = 16
_CONTRASTS = (0.5, 1.5)
_BRIGHTNESS = 40


def cut_dataset(seed: int = 2024) -> Dataset:
    """Cut patches of 64x64 grey values, 16 pixels apart; the same seed gives the same images.

    Each patch to learn from is there twice: as it is, and turned, mirrored, and with another contrast and brightness.

    Raises:
        ExtraMissing: scikit-image is not installed.
    """
    photographs = [photograph(label).convert("L") for label in range(len(LABELS))]
    train = _labelled(photographs, TRAINING_COLUMNS)
    random = np.random.default_rng(seed)
    varied = np.stack([_varied(pixels, random) for pixels in train.pixels])
    return Dataset(
        train=Labelled(np.concatenate([train.pixels, varied]), np.tile(train.labels, 2)),
        validation=_labelled(photographs, VALIDATION_COLUMNS),
        test=_labelled(photographs, TEST_COLUMNS),
        labels=LABELS,
        preprocess=PREPROCESS,
    )


def photograph(label: int) -> Image.Image:
    """Return the photograph of a class, grey or in RGB, 512x512.

    Raises:
        ExtraMissing: scikit-image is not installed.
    """
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise ExtraMissing(
            "these patches are cut from photographs of scikit-image, which is not installed: "
            "pip install 'flumen-ingest[textures]'"
        )
    with Image.open(Path(package.origin).with_name("data") / _FILES[label]) as image:
        return image.crop((0, 0, _PICTURE, _PICTURE))


def patches(picture: Image.Image, columns: tuple[int, int], step: int = _STEP) -> Iterator[Image.Image]:
    """Yield the patches within these columns, `step` pixels apart, row by row."""
    first, end = columns
    for top in range(0, _PICTURE - SIDE + 1, step):
        for left in range(first, end - SIDE + 1, step):
            yield picture.crop((left, top, left + SIDE, top + SIDE))


def _labelled(photographs: list[Image.Image], columns: tuple[int, int]) -> Labelled:
    cut = [np.stack([np.asarray(one) for one in patches(picture, columns)]) for picture in photographs]
    labels = np.repeat(np.arange(len(cut), dtype=np.uint8), [len(one) for one in cut])
    return Labelled(np.concatenate(cut), labels)


def _varied(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    turned = np.rot90(pixels, int(random.integers(4)))
    mirrored = turned[:, ::-1] if random.integers(2) else turned
    mean = pixels.mean()
    changed = (
        (mirrored - mean) * random.uniform(*_CONTRASTS) + mean + random.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    )
    varied: NDArray[np.uint8] = np.rint(changed).clip(0, 255).astype(np.uint8)
    return varied
