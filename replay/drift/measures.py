"""How far a window is from a reference, and how far it may be by chance.

Each threshold follows from the number of images on both sides, n and m, and from the chance alpha that is allowed to
one comparison. Of c comparisons each is allowed alpha / c (Bonferroni): whatever depends on what, in a run in which
nothing has changed none of them is over its threshold but with a chance of alpha at most.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from flumen.replay.drift.counting import Counted

Counts = NDArray[np.int64]

ALPHA = 0.05
"""The chance of a false alarm in a whole run: of all windows, columns and measures together."""

QUANTILES = 10
"""Bins of numbers: as full as one another in the reference, as far as its values allow."""

_MOST_VALUES = 20
_LEAST_EXPECTED = 10.0
"""Images that a bin must be expected to hold on either side (Cochran 1952 asks for 5; far tails ask for more)."""


@dataclass(frozen=True, slots=True)
class Distance:
    """A measure, and its threshold."""

    value: float
    threshold: float

    @property
    def ratio(self) -> float:
        """The value in multiples of the threshold: above 1 it has drifted."""
        return self.value / self.threshold if self.threshold > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Distances:
    """What was measured of one column in one window, of which there were so many images on either side.

    `stability` is the population stability index, `divergence` the Jensen-Shannon distance to base 2, 0 to 1; `largest`
    the Kolmogorov-Smirnov statistic, 0 to 1, None of what has no order.
    """

    stability: Distance
    divergence: Distance
    largest: Distance | None

    @property
    def ratio(self) -> float:
        """The largest ratio of the three."""
        found = (self.stability, self.divergence, self.largest)
        return max(distance.ratio for distance in found if distance is not None)


def groups_of(column: Counted, reference: Counts, window: Counts) -> NDArray[np.intp]:
    """Return the bin of each slot of a column: what is missing is bin 0.

    Numbers: deciles of the reference. Texts: the most frequent values of both sides together, and one bin for all
    others. What is frequent in the reference alone is so by chance as well, where there are many rare values, and
    would be found to be rarer in every window.
    """
    there = reference[1:]
    if column.bounds is None:
        both = there + window[1:]
        groups = np.full(len(reference), min(len(there), _MOST_VALUES) + 1)
        # The last slot is that of all other values.
        frequent = np.argsort(-both[:-1], kind="stable")[:_MOST_VALUES]
        frequent = frequent[both[frequent] > 0]
        groups[frequent + 1] = np.arange(1, len(frequent) + 1)
    else:
        before = np.cumsum(there) - there
        groups = np.concatenate(([0], 1 + before * QUANTILES // max(int(there.sum()), 1)))
        groups = np.minimum(groups, QUANTILES)
    groups[0] = 0
    return groups.astype(np.intp)


def distances(column: Counted, reference: Counts, window: Counts, alpha: float) -> Distances | None:
    """Compare a window with a reference: counts of the same slots. None where there is but one bin on both sides.

    Args:
        column: which slots these are.
        reference: images of the reference, int64, one a slot.
        window: likewise, of the window.
        alpha: the chance of a false alarm that each measure is allowed.
    """
    groups = groups_of(column, reference, window)
    binned = _well_filled(_binned(groups, reference), _binned(groups, window))
    if len(binned[0]) < 2:  # noqa: PLR2004 - one bin has nothing to be compared with
        return None
    first, second = binned
    chance = _one_over(first.sum(), second.sum()) * float(chdtri(len(first) - 1, alpha))
    ks = None
    if column.bounds is not None and reference[1:].sum() and window[1:].sum():
        ks = Distance(
            largest_difference(reference[1:], window[1:]),
            math.sqrt(-math.log(alpha / 2) / 2 * _one_over(reference[1:].sum(), window[1:].sum())),
        )
    return Distances(
        stability=Distance(stability_index(first, second), chance),
        divergence=Distance(jensen_shannon(first, second), min(1.0, math.sqrt(chance / (8 * math.log(2))))),
        largest=ks,
    )


def measured(column: Counted) -> int:
    """Return how many measures there are of a column."""
    return 2 if column.bounds is None else 3


def stability_index(reference: NDArray[np.float64], window: NDArray[np.float64]) -> float:
    """Return the population stability index of counts in the same bins: the sum of (p - q) ln(p / q).

    Siddiqi, N. (2006): Credit risk scorecards. Half an image more in each bin keeps it finite. Where nothing has
    changed it is distributed as (1/n + 1/m) times chi-squared with one degree of freedom less than bins: Yurdakul, B.
    and Naranjo, J. (2020): Statistical properties of the population stability index. Journal of Risk Model Validation
    14(4).
    """
    p, q = _shares(reference), _shares(window)
    return float(((p - q) * np.log(p / q)).sum())


def jensen_shannon(reference: NDArray[np.float64], window: NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon distance of counts in the same bins, to base 2: 0 to 1.

    The root of the divergence: Endres, D. M. and Schindelin, J. E. (2003): A new metric for probability distributions.
    IEEE Transactions on Information Theory 49. Divergences are near 1/8 of the sum of (p - q)^2 / p where p and q are
    near one another, as the statistic G is near chi-squared (Lin 1991, ibidem 37): so 8 ln 2 times its square is
    distributed as the population stability index.
    """
    p, q = _shares(reference), _shares(window)
    middle = (p + q) / 2
    return math.sqrt(max(0.0, float((p * np.log2(p / middle) + q * np.log2(q / middle)).sum() / 2)))


def largest_difference(reference: Counts, window: Counts) -> float:
    """Return the Kolmogorov-Smirnov statistic of counts in the same slots, ascending: the largest difference of shares.

    Its threshold is the root of -ln(alpha / 2) / 2 (1/n + 1/m): Smirnov, N. (1948): Table for estimating the goodness
    of fit of empirical distributions. Annals of Mathematical Statistics 19. Values that share a slot make it smaller,
    never larger.
    """
    difference = np.cumsum(reference) / reference.sum() - np.cumsum(window) / window.sum()
    return float(np.abs(difference).max())


def _binned(groups: NDArray[np.intp], counts: Counts) -> NDArray[np.float64]:
    return np.bincount(groups, counts).astype(np.float64)


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))


def _one_over(n: float, m: float) -> float:
    return 1 / float(n) + 1 / float(m)


def _well_filled(
    reference: NDArray[np.float64], window: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Put bins together that are expected to hold too few images on either side, the emptiest first."""
    order = np.argsort(reference + window, kind="stable")
    first, second = reference[order], window[order]
    used = first + second > 0
    first, second = first[used], second[used]
    pooled = first + second
    share = min(first.sum(), second.sum()) / max(pooled.sum(), 1.0)
    enough = np.cumsum(pooled) * share
    few = int((pooled * share < _LEAST_EXPECTED).sum())
    if not few:
        return first, second
    while few < len(pooled) and enough[few - 1] < _LEAST_EXPECTED:
        few += 1
    return (
        np.concatenate(([first[:few].sum()], first[few:])),
        np.concatenate(([second[:few].sum()], second[few:])),
    )
