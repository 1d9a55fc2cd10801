"""Two models on the same images: whether one is better, or it was luck."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from flumen.models.errors import AnswersInvalid
from flumen.models.evaluation.answers import Answers
from flumen.models.evaluation.intervals import LEVEL, Interval

EXACT_BELOW = 25
"""So few images that only one model has right are counted exactly; the approximation needs more."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same images.

    `only_first`, `only_second`: images that only that one has right. `difference`: accuracy of the first less that of
    the second, with its interval. `p_value`: how often equally good models would differ as much or more, by chance.
    `exact`: whether it was counted, or approximated.
    """

    images: int
    only_first: int
    only_second: int
    difference: float
    interval: Interval
    p_value: float
    exact: bool


def compare(first: Answers, second: Answers) -> Comparison:
    """Compare two models' answers to the same images by McNemar's test.

    McNemar, Q. (1947): Note on the sampling error of the difference between correlated proportions or percentages.
    Psychometrika 12, 153-157. Below 25 images that only one has right, the two-sided binomial test with 1/2; else
    chi-squared with one degree of freedom and Edwards' correction for continuity, (|b - c| - 1)^2 / (b + c): Edwards
    (1948), Psychometrika 13, 185-187. The interval adds 1/2 to each cell of the table of both: Agresti and Min (2005):
    Simple improved confidence intervals for comparing matched proportions. Statistics in Medicine 24, 729-740.

    Raises:
        AnswersInvalid: they are not to the same images with the same labels.
    """
    check_same(first, second)
    return compare_right(first.right, second.right)


def compare_right(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Comparison:
    """Compare two models by which of the same images, in the same order, each has right (bool, n), as `compare` does.

    Raises:
        AnswersInvalid: they are not as many, or none.
    """
    images = len(first)
    if not images or images != len(second):
        raise AnswersInvalid(f"answers to {images:,} and to {len(second):,} images cannot be compared")
    return compare_counts(images, int(np.sum(first & ~second)), int(np.sum(second & ~first)))


def compare_counts(images: int, only_first: int, only_second: int) -> Comparison:
    """Compare two models by how many of so many images (1 or more) only one of them has right, as `compare` does."""
    exact = only_first + only_second < EXACT_BELOW
    return Comparison(
        images=images,
        only_first=only_first,
        only_second=only_second,
        difference=(only_first - only_second) / images,
        interval=_interval(only_first, only_second, images),
        p_value=(_counted if exact else _approximated)(only_first, only_second),
        exact=exact,
    )


def check_same(first: Answers, second: Answers) -> None:
    """Check that answers are to the same images, in the same order, with the same labels.

    Raises:
        AnswersInvalid: they are not.
    """
    if tuple(first.labels) != tuple(second.labels):
        raise AnswersInvalid(
            f"the models have different classes, {_listed(first)} and {_listed(second)}; compare two of the same"
        )
    if list(first.ids) != list(second.ids) or not np.array_equal(first.known, second.known):
        raise AnswersInvalid("the models answered to different images; ask both about the same ones")


def _counted(only_first: int, only_second: int) -> float:
    both, fewer = only_first + only_second, min(only_first, only_second)
    ways = sum(math.comb(both, count) for count in range(fewer + 1))
    return min(1.0, ways / 2.0 ** (both - 1))


def _approximated(only_first: int, only_second: int) -> float:
    distance = max(0, abs(only_first - only_second) - 1)
    # Of one degree of freedom: the square of a standard normal number.
    return math.erfc(math.sqrt(distance**2 / (only_first + only_second) / 2))


def _interval(only_first: int, only_second: int, images: int) -> Interval:
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    b, c, n = only_first + 0.5, only_second + 0.5, images + 2
    centre, half = (b - c) / n, z * math.sqrt(b + c - (b - c) ** 2 / n) / n
    return Interval(max(-1.0, centre - half), min(1.0, centre + half))


def _listed(answers: Answers) -> str:
    shown = ", ".join(list(answers.labels)[:5])
    return f"{shown}, ..." if len(answers.labels) > len(shown.split(", ")) else shown
