"""What is refused before anything is learnt: images and labels that no trainer can learn from."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from flumen.interceptor.classifier import Preprocess
from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.errors import BadParameters, DatasetInvalid

MOST_LABEL_SIGNS = 256
"""As many as a manifest keeps of one label."""

_GREY, _COLOUR = 3, 4
"""Dimensions of an array of images."""


def check_arrays(dataset: Dataset) -> None:
    """Check that the images are arrays of bytes and the labels arrays of whole numbers, as many of each.

    Raises:
        DatasetInvalid: they are not.
    """
    for part, images in _parts(dataset):
        if not isinstance(images.pixels, np.ndarray) or not isinstance(images.labels, np.ndarray):
            raise DatasetInvalid(
                f"the images to {part} are {type(images.pixels).__name__} with labels of "
                f"{type(images.labels).__name__}; both have to be arrays of NumPy"
            )
        if images.pixels.dtype != np.uint8 or images.labels.dtype.kind not in "ui":
            raise DatasetInvalid(
                f"the images to {part} are {images.pixels.dtype} with labels of {images.labels.dtype}; pixels have to "
                "be uint8, 0 to 255, and labels whole numbers"
            )
        if images.pixels.ndim not in (_GREY, _COLOUR) or images.labels.ndim != 1:
            raise DatasetInvalid(
                f"the images to {part} are arrays of {images.pixels.shape} with labels of {images.labels.shape}; "
                "images have to be n x height x width, or n x height x width x 3 in colour, and labels n"
            )
        if len(images.pixels) != len(images.labels):
            raise DatasetInvalid(
                f"there are {len(images.pixels):,} images to {part}, and {len(images.labels):,} labels for them"
            )


def check_labels(dataset: Dataset) -> tuple[str, ...]:
    """Return the labels' names, of those without any their numbers.

    Raises:
        DatasetInvalid: they are not 0 to n, each at least once to learn from and once to test on, or there is one
            only, or there are names of another number, or such as a manifest does not keep.
    """
    learnt, tested = np.unique(dataset.train.labels).tolist(), np.unique(dataset.test.labels).tolist()
    if not learnt == tested == list(range(len(learnt))):
        raise DatasetInvalid(
            f"the labels to learn from are {learnt}, those to test on {tested}; both must be 0, 1, 2, ..."
            f"{_lacking(dataset.labels, learnt, tested)}"
        )
    if len(learnt) < 2:  # noqa: PLR2004 - nothing to tell apart
        raise DatasetInvalid(
            f"all {len(dataset.train.labels):,} images are of one class; to learn takes two, so select others as well"
        )
    if dataset.labels and len(dataset.labels) != len(learnt):
        raise DatasetInvalid(f"there are {len(learnt)} labels, and {len(dataset.labels)} names for them")
    _check_names(dataset.labels)
    if dataset.validation is not None and (len(dataset.validation.labels) == 0):
        raise DatasetInvalid("the validation part has no images; have a larger share, or none")
    if dataset.validation is not None and dataset.validation.labels.max() >= len(learnt):
        raise DatasetInvalid(
            f"the validation part has the label {dataset.validation.labels.max()}, and the labels to learn from end "
            f"with {len(learnt) - 1}"
        )
    return dataset.labels or tuple(map(str, learnt))


def check_sizes(dataset: Dataset, preprocess: Preprocess) -> None:
    """Check that all images are of the size that a model reads.

    Raises:
        DatasetInvalid: they are not.
    """
    shape: tuple[int, ...] = (preprocess.height, preprocess.width)
    if preprocess.channels > 1:
        shape = (*shape, preprocess.channels)
    for part, images in _parts(dataset):
        if images.pixels.shape[1:] != shape:
            raise DatasetInvalid(
                f"the images to {part} are arrays of {images.pixels.shape[1:]}, and the model reads {shape} (height, "
                "width, and 3 for colour); bring them to one size"
            )


def check_weights(weights: tuple[float, ...] | None, labels: Sequence[str]) -> None:
    """Check how much an image of each label is to count.

    Raises:
        BadParameters: there are not as many weights as labels, or they are not above 0.
    """
    if weights is None:
        return
    if len(weights) != len(labels):
        raise BadParameters(f"there are {len(labels)} labels and {len(weights)} class weights; give one each")
    if not all(np.isfinite(weights)) or min(weights) <= 0:
        raise BadParameters(f"the class weights are {', '.join(map(str, weights))}; each has to be above 0")


def _parts(dataset: Dataset) -> Iterator[tuple[str, Labelled]]:
    yield "learn from", dataset.train
    if dataset.validation is not None:
        yield "choose by", dataset.validation
    yield "test on", dataset.test


def _lacking(names: Sequence[str], learnt: Sequence[Any], tested: Sequence[Any]) -> str:
    """Say which classes have no image in a part, and what to do; nothing where the labels are no such numbers."""
    if not names:
        return ""
    said = [
        f"none of the images to {part} is of {', '.join(map(repr, lacking))}"
        for part, found in (("learn from", learnt), ("test on", tested))
        if (lacking := [name for number, name in enumerate(names) if number not in found])
    ]
    return f"\n{', and '.join(said)}: take more of them, or a larger share to test on, or leave the class out"


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise DatasetInvalid(f"two classes have the name {twice!r}; name each by a name of its own")
    for name in names:
        if not name or not name.isprintable() or len(name) > MOST_LABEL_SIGNS:
            raise DatasetInvalid(
                f"a class has the name {name[:MOST_LABEL_SIGNS]!r}; a name has 1 to {MOST_LABEL_SIGNS} signs that can "
                "be printed"
            )
