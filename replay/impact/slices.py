"""Slices of the images by the values of their columns, out of counts: how much two models differ on each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.models.evaluation.comparison import compare_counts
from flumen.replay.drift.counting import Counted, Counts, Numbers, Texts
from flumen.replay.impact.answered import Answered

BANDS = 4
"""A column of numbers is cut into so many bands with about as many images each."""

MOST_VALUES = 12
"""The most frequent values of a column of texts that are slices; all others are one."""

LEAST_IMAGES = 20
"""A slice of fewer images tells nothing, and is left out."""

OTHERS = "(others)"

SAME, CHANGED, BOTH_RIGHT, BOTH_WRONG, BOTH_WRONG_CHANGED, ONLY_OLD, ONLY_NEW = range(7)
"""Kinds of images: of the first two no label is known. By their numbers a slice is all that is told of it."""
KINDS = 7

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Slice:
    """The images of which a column has this value, or a value of this band.

    `changed`: how many the models answer otherwise. `labelled`, `old_right`, `new_right`: of those whose label is
    known. `p_value`: of the accuracy's difference where labels are known (McNemar), else of the share of changed ones
    being that of all other images (Fisher's exact test). `adjusted`: corrected for all slices (`adjust`).
    """

    column: str
    value: str
    images: int
    changed: int
    labelled: int
    old_right: int
    new_right: int
    p_value: float
    adjusted: float = 1.0

    @property
    def difference(self) -> float | None:
        """Accuracy of the new model less that of the old one; None where no label is known."""
        return (self.new_right - self.old_right) / self.labelled if self.labelled else None

    @property
    def change(self) -> float:
        """By what slices are sorted: the difference of accuracy, else the share that is answered otherwise."""
        return abs(self.difference) if self.difference is not None else self.changed / self.images


def kinds_of(answered: Answered) -> NDArray[np.intp]:
    """Return the kind of each image, n."""
    changed, labelled = answered.old != answered.new, answered.known >= 0
    old_right, new_right = answered.old == answered.known, answered.new == answered.known
    wrong = np.where(changed, BOTH_WRONG_CHANGED, BOTH_WRONG)
    right = np.where(old_right & new_right, BOTH_RIGHT, np.where(old_right, ONLY_OLD, ONLY_NEW))
    known = np.where(old_right | new_right, right, wrong)
    return np.asarray(np.where(labelled, known, np.where(changed, CHANGED, SAME)), np.intp)


def counts_for(kind: pa.DataType) -> Counts:
    """Return what counts a column of this type, in memory that does not grow with the images."""
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return Numbers() if is_number else Texts()


def as_counted(values: pa.Array) -> pa.Array:
    """Return the values that are counted: of times their days, as texts."""
    if not pa.types.is_timestamp(values.type):
        return values
    days = np.floor_divide(values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), _DAY_US)
    texts = days.astype("datetime64[D]").astype(str)
    return pa.array(texts, pa.string(), mask=values.is_null().to_numpy(zero_copy_only=False))


def slices(columns: Mapping[str, Counted]) -> Sequence[Slice]:
    """Return the slices of columns whose counts are by kinds of images, those that change most first."""
    found = [each for name, counted in columns.items() for each in _of_column(name, counted)]
    if not found:
        return []
    adjusted = adjust(np.array([each.p_value for each in found]))
    made = [replace(each, adjusted=float(value)) for each, value in zip(found, adjusted, strict=True)]
    return sorted(made, key=lambda each: (-each.change, each.column, each.value))


def adjust(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p-values for their number: float64, n in and out.

    Benjamini, Y. and Hochberg, Y. (1995): Controlling the false discovery rate. JRSS B 57, 289-300: of the slices that
    are below a level then, that share is by chance, at the most.
    """
    order = np.argsort(p_values)
    scaled = p_values[order] * len(p_values) / np.arange(1, len(p_values) + 1)
    lowest = np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(lowest, 1.0)
    return adjusted


def changed_of(kinds: NDArray[np.int64]) -> int:
    """Return how many images are answered otherwise, of so many of each kind."""
    return int(kinds[[CHANGED, BOTH_WRONG_CHANGED, ONLY_OLD, ONLY_NEW]].sum())


def labelled_of(kinds: NDArray[np.int64]) -> int:
    """Return of how many images a label is known."""
    return int(kinds[BOTH_RIGHT:].sum())


def _of_column(name: str, counted: Counted) -> Iterator[Slice]:
    everything = counted.counts.sum(axis=1)
    for value, kinds in _bands(counted) if counted.bounds is not None else _values(counted):
        images, labelled = int(kinds.sum()), labelled_of(kinds)
        if images < LEAST_IMAGES or images == everything.sum():
            continue
        if labelled:
            p_value = compare_counts(labelled, int(kinds[ONLY_NEW]), int(kinds[ONLY_OLD])).p_value
        else:
            p_value = _fisher(changed_of(kinds), images, changed_of(everything), int(everything.sum()))
        yield Slice(
            name,
            value,
            images,
            changed_of(kinds),
            labelled,
            int(kinds[BOTH_RIGHT] + kinds[ONLY_OLD]),
            int(kinds[BOTH_RIGHT] + kinds[ONLY_NEW]),
            p_value,
        )


def _values(counted: Counted) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the most frequent values with their images by kind, and then all others."""
    there = counted.counts[:, 1:]
    totals = there.sum(axis=0)
    named = sorted(range(len(totals) - 1), key=lambda slot: (-totals[slot], counted.names[slot]))
    frequent = [slot for slot in named[:MOST_VALUES] if totals[slot]]
    for slot in frequent:
        yield counted.names[slot], there[:, slot]
    rest = np.delete(there, frequent, axis=1).sum(axis=1)
    if rest.any():
        yield OTHERS, rest


def _bands(counted: Counted) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield bands of numbers with their images by kind: each value, where there are but a few."""
    there = counted.counts[:, 1:]
    totals = there.sum(axis=0)
    used = np.flatnonzero(totals)
    before = np.cumsum(totals[used]) - totals[used]
    few = len(used) <= BANDS
    bands = np.arange(len(used)) if few else before * BANDS // max(int(totals.sum()), 1)
    for band in np.unique(bands).tolist():
        slots = used[bands == band]
        name = counted.names[slots[0]] if few else f"{counted.names[slots[0]]} to {counted.names[slots[-1]]}"
        yield name, there[:, slots].sum(axis=1)


def _fisher(differ: int, images: int, total: int, everything: int) -> float:
    from scipy.stats import fisher_exact

    others = everything - images
    table = [[differ, images - differ], [total - differ, others - (total - differ)]]
    return float(fisher_exact(table).pvalue)
