"""Is what a model answers an answer? Asked of every batch, and of a model before it is taken."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SUM_TOLERANCE = 1e-3
"""How far the sum of a distribution in float32 may be from 1, and each of its values below 0."""

Tensor = NDArray[np.float32]
Answers = NDArray[np.float32]
Checked = tuple[Answers, dict[int, str]]
"""Answers, images x labels, and what is wrong with those that are none, by row."""


def without_numbers(found: Answers) -> NDArray[np.bool_]:
    """Return for each row whether a value in it is NaN or infinite."""
    return np.asarray(~np.isfinite(found).all(axis=1))


def no_distributions(found: Answers) -> NDArray[np.bool_]:
    """Return for each row whether it is no distribution: a value below 0, or a sum that is not 1."""
    with np.errstate(all="ignore"):  # of NaN, and of sums that leave the range of numbers
        good = (found.min(axis=1) >= -SUM_TOLERANCE) & (np.abs(found.sum(axis=1) - 1) <= SUM_TOLERANCE)
    return np.asarray(~good)


def checked(found: Answers, images: int, labels: int) -> Checked:
    """Return the answers to so many images."""
    if found.shape != (images, labels) or found.dtype.kind != "f":
        return no_answer(
            images, labels, f"{found.dtype} of shape {found.shape} to {images} images, of {labels} classes"
        )
    if not images:
        return found, {}
    bad = no_distributions(found)
    if not bad.any():
        return found, {}
    mute = without_numbers(found)
    return found, {
        row: "NaN or infinity" if mute[row] else _described(found[row])
        for row in np.flatnonzero(bad).tolist()
    }


def joined(parts: Iterable[Checked]) -> Checked:
    """Return the answers to the parts of a batch as those to the whole."""
    answers: list[Answers] = []
    flaws: dict[int, str] = {}
    start = 0
    for found, wrong in parts:
        answers.append(found)
        flaws |= {start + row: flaw for row, flaw in wrong.items()}
        start += len(found)
    return np.concatenate(answers), flaws


def no_answer(images: int, labels: int, flaw: str) -> Checked:
    """Return what stands for the answers to images that got none."""
    return np.full((images, labels), np.nan, np.float32), dict.fromkeys(range(images), flaw)


def _described(row: Answers) -> str:
    return (
        f"values that are not probabilities: from {row.min():.4g} to {row.max():.4g}, of sum {row.sum():.4g}"
    )
