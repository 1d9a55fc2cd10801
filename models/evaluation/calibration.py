"""Whether a model is as sure as it may be: log loss, Brier score, reliability and calibration error."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flumen.models.evaluation.answers import Answers
from flumen.models.evaluation.intervals import DRAWS, LEVEL

BINS = 15
"""As Guo et al. (2017) have it."""

_SMALLEST = float(np.finfo(np.float32).eps)
"""A probability below it counts as this: float32 cannot tell it from 0, whose logarithm is infinite."""


class Binning(Enum):
    """How answers are put into bins by their confidence: bins as wide as one another, or as full."""

    EQUAL_WIDTH = "equal width"
    EQUAL_MASS = "equal mass"


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose confidence is above `low` and at most `high`; how sure they were, and how often right."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """The reliability curve: bins in order, those without an image left out.

    `error`: the expected calibration error, the mean of |accuracy - confidence| over the images.
    """

    bins: tuple[Bin, ...]
    error: float


def log_losses(answers: Answers) -> NDArray[np.float64]:
    """Return each image's log loss, float64, n: minus the natural logarithm of the known class's probability.

    Good, I. J. (1952): Rational decisions. Journal of the Royal Statistical Society B 14, 107-114.
    """
    return np.asarray(-np.log(np.clip(answers.of(answers.known), _SMALLEST, 1.0)))


def brier_scores(answers: Answers) -> NDArray[np.float64]:
    """Return each image's Brier score, float64, n: the squared differences of all classes, summed; 0 to 2.

    Brier, G. W. (1950): Verification of forecasts expressed in terms of probability. Monthly Weather Review 78, 1-3:
    the original, over all classes; the half of it is in use for two classes.
    """
    probabilities = answers.probabilities.astype(np.float64)
    known = answers.of(answers.known)
    return np.asarray(np.einsum("ij,ij->i", probabilities, probabilities) - 2 * known + 1)


def reliability(answers: Answers, binning: Binning = Binning.EQUAL_WIDTH, bins: int = BINS) -> Reliability:
    """Compare confidence with accuracy, bin by bin.

    Bins of equal width: Guo et al. (2017): On calibration of modern neural networks. ICML. Of equal mass, whose edges
    are quantiles of the confidence (fewer bins where many answers are equally sure): Nixon et al. (2019): Measuring
    calibration in deep learning. CVPR Workshops.
    """
    confidences = np.minimum(answers.confidences, 1.0)
    edges = _edges(confidences, binning, bins)
    binned = _place(confidences, edges)
    images = np.bincount(binned, minlength=len(edges) - 1)
    used = np.flatnonzero(images)
    counts = images[used]
    sure = np.bincount(binned, confidences, len(edges) - 1)[used] / counts
    right = np.bincount(binned, answers.right, len(edges) - 1)[used] / counts
    rows = zip(edges[used], edges[used + 1], counts, sure, right, strict=True)
    return Reliability(
        bins=tuple(
            Bin(float(low), float(high), int(count), float(mean), float(share))
            for low, high, count, mean, share in rows
        ),
        error=float(counts @ np.abs(right - sure) / len(answers)),
    )


def error_by_chance(answers: Answers, bins: int = BINS, seed: int = 0, draws: int = DRAWS) -> float:
    """Return the calibration error that a perfectly calibrated model would stay below 95 times of 100.

    Images are few, so it would not be 0. Each draw lets an answer be right with the probability it states, and takes
    the error in bins of equal width. Bröcker and Smith (2007): Increasing the reliability of reliability diagrams.
    Weather and Forecasting 22, 651-661. In a draw the number of right answers in a bin is a sum over its images of
    different probabilities; it is drawn as a normal number of the same mean and variance, bounded by the bin.
    """
    confidences = np.minimum(answers.confidences, 1.0)
    edges = _edges(confidences, Binning.EQUAL_WIDTH, bins)
    binned = _place(confidences, edges)
    images = np.bincount(binned, minlength=bins)
    mean = np.bincount(binned, confidences, bins)
    spread = np.sqrt(np.bincount(binned, confidences * (1 - confidences), bins))
    drawn = mean + spread * np.random.default_rng(seed).standard_normal((draws, bins))
    errors = np.abs(np.clip(np.rint(drawn), 0, images) - mean).sum(axis=1) / len(answers)
    return float(np.quantile(errors, LEVEL))


def _edges(confidences: NDArray[np.float64], binning: Binning, bins: int) -> NDArray[np.float64]:
    steps = np.linspace(0, 1, bins + 1)
    if binning is Binning.EQUAL_WIDTH:
        return steps
    edges = np.unique(np.quantile(confidences, steps))
    # The lowest one belongs into the first bin, as the bins are open below.
    return np.concatenate(([0.0], edges[1:] if len(edges) > 1 else edges))


def _place(confidences: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the position of each answer's bin; an edge belongs to the bin below it."""
    return np.clip(np.searchsorted(edges, confidences, side="left") - 1, 0, len(edges) - 2)
