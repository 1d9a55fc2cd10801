"""How far a measure may be from the truth because only so many images, or runs, were looked at."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
DRAWS = 1000
"""Resamples of a bootstrap, unless said otherwise."""

_DRAWN_AT_ONCE = 4_000_000
"""Images drawn in one step of a bootstrap: it bounds the memory of it."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true value lies with a confidence of 0.95, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Stability:
    """A measure over several runs that differ in their seed alone.

    `std`: of a sample, with n - 1; `interval`: of the mean. Both None for a single run, which says nothing of it.
    """

    runs: int
    mean: float
    std: float | None
    interval: Interval | None


def wilson(right: int, images: int) -> Interval:
    """Return the score interval of a share, `right` of `images` (1 or more).

    Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference. JASA 22, 209-212.
    Unlike the textbook's p +- z * sqrt(p(1-p)/n) it stays within 0..1 and is no point at 0 and 1.
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    share = right / images
    scale = 1 + z * z / images
    centre = (share + z * z / (2 * images)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    # At the ends the two terms are equal, but for rounding.
    return Interval(
        0.0 if right == 0 else max(0.0, centre - half), 1.0 if right == images else min(1.0, centre + half)
    )


def bootstrap(values: NDArray[np.float64], seed: int = 0, draws: int = DRAWS) -> Interval:
    """Return the percentile interval of a mean of values, one an image (float64, n; n is 1 or more).

    Each draw takes n images with replacement: their counts are multinomial weights, and all draws of a step are one
    matrix product. The interval is from the 2.5th to the 97.5th percentile of the draws.
    Efron, B. (1979): Bootstrap methods: another look at the jackknife. Annals of Statistics 7, 1-26.
    """
    # In one order, so that the order in which images came changes nothing.
    ordered = np.sort(values)
    means = np.concatenate([weights @ ordered for weights in _weights(len(values), seed, draws)])
    return percentiles(means / len(values))


def percentiles(draws: NDArray[np.float64]) -> Interval:
    """Return the interval between the 2.5th and the 97.5th percentile of a statistic's draws (float64, draws)."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def stability(values: NDArray[np.float64]) -> Stability:
    """Return mean, spread and interval of a measure over runs (float64, runs; 1 or more).

    The interval is Student's: mean +- t(runs - 1) * std / sqrt(runs). Student (1908): The probable error of a mean.
    Biometrika 6, 1-25.
    """
    from scipy.special import stdtrit

    runs, mean = len(values), float(np.mean(values))
    if runs == 1:
        return Stability(runs, mean, None, None)
    std = float(np.std(values, ddof=1))
    half = float(stdtrit(runs - 1, (1 + LEVEL) / 2)) * std / math.sqrt(runs)
    return Stability(runs, mean, std, Interval(mean - half, mean + half))


def _weights(images: int, seed: int, draws: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each draw took each image, float64, some draws x images at a time."""
    random = np.random.default_rng(seed)
    at_once = max(1, _DRAWN_AT_ONCE // images)
    for start in range(0, draws, at_once):
        rows = min(at_once, draws - start)
        taken = random.integers(0, images, (rows, images)) + np.arange(rows)[:, None] * images
        yield np.bincount(taken.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)
