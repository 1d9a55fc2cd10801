"""How much two models differ, for better or worse, in all and by slices."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flumen.models.evaluation.comparison import Comparison, compare_right
from flumen.models.evaluation.intervals import Interval, wilson
from flumen.replay.errors import NothingToCompare
from flumen.replay.impact.answered import Answered

BANDS = 4
"""A column of numbers is cut into so many bands with as many images each."""

MOST_VALUES = 12
"""The most frequent values of a column of texts that are slices; all others are one."""

LEAST_IMAGES = 20
"""A slice of fewer images tells nothing, and is left out."""

OTHERS = "(others)"

HASH = "perceptual_hash"
"""The column by which images that look alike are shown once; it makes no slices."""

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Transition:
    """How many images the old model takes for one class, and the new one for another."""

    old: str
    new: str
    images: int


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Impact:
    """What would be different.

    `agreement`: how many the models answer alike, with the interval of that share. `transitions`: the most frequent
    first. `comparison`: of the new model (first) with the old one, None without labels. `affected`: rows that are
    answered otherwise, the surest answers of the new model first. `would_change`: of the whole population, how many
    would be answered otherwise, with its interval.
    """

    images: int
    population: int
    agreement: int
    agreement_interval: Interval
    transitions: Sequence[Transition]
    labelled: int
    old_right: int
    new_right: int
    comparison: Comparison | None
    slices: Sequence[Slice]
    affected: Sequence[int]

    @property
    def would_change(self) -> tuple[int, Interval]:
        """How many of the population would be answered otherwise, and between which bounds (95 %)."""
        changed = self.images - self.agreement
        low, high = 1 - self.agreement_interval.high, 1 - self.agreement_interval.low
        if self.images >= self.population:  # all were asked
            low = high = changed / self.images
        return round(self.population * changed / self.images), Interval(
            self.population * low, self.population * high
        )


def measure(answered: Answered) -> Impact:
    """Measure what two models' answers come to.

    Raises:
        NothingToCompare: there is no image that both have answered.
    """
    count = len(answered.ids)
    if not count:
        why = "; ".join(f"{images:,} {reason}" for reason, images in answered.skipped.items())
        raise NothingToCompare(
            "there is no image that both models answer"
            + (f": {why}" if why else "")
            + ". Choose others with --where and --days, or publish some"
        )
    changed = answered.old != answered.new
    labelled = answered.known >= 0
    old_right, new_right = (labelled & (each == answered.known) for each in (answered.old, answered.new))
    agreement = count - int(changed.sum())
    comparison = compare_right(new_right[labelled], old_right[labelled]) if labelled.any() else None
    rows = np.flatnonzero(changed)
    return Impact(
        images=count,
        population=max(answered.population, count),
        agreement=agreement,
        agreement_interval=wilson(agreement, count),
        transitions=_transitions(answered, changed),
        labelled=int(labelled.sum()),
        old_right=int(old_right.sum()),
        new_right=int(new_right.sum()),
        comparison=comparison,
        slices=_adjusted(list(_slices(answered, changed, labelled, old_right, new_right))),
        affected=rows[np.argsort(-answered.new_confidence[rows], kind="stable")].tolist(),
    )


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


def _transitions(answered: Answered, changed: NDArray[np.bool_]) -> list[Transition]:
    pairs = Counter(zip(answered.old[changed].tolist(), answered.new[changed].tolist(), strict=True))
    return [
        Transition(answered.labels[old], answered.labels[new], images)
        for (old, new), images in sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _adjusted(slices: Sequence[Slice]) -> list[Slice]:
    if not slices:
        return []
    adjusted = adjust(np.array([each.p_value for each in slices]))
    made = [replace(each, adjusted=float(value)) for each, value in zip(slices, adjusted, strict=True)]
    return sorted(made, key=lambda each: (-each.change, each.column, each.value))


def _slices(
    answered: Answered,
    changed: NDArray[np.bool_],
    labelled: NDArray[np.bool_],
    old_right: NDArray[np.bool_],
    new_right: NDArray[np.bool_],
) -> Iterator[Slice]:
    confidence = pa.array(answered.old_confidence)
    label = pa.array([answered.labels[each] for each in answered.old.tolist()], pa.string())
    columns: dict[str, pa.Array] = {
        "label of the old model": label,
        "confidence of the old model": confidence,
        **answered.columns,
    }
    columns.pop(HASH, None)
    total = int(changed.sum())
    for name, values in columns.items():
        for value, rows in _parts(values):
            images, differ = int(rows.sum()), int((changed & rows).sum())
            if images < LEAST_IMAGES or images == len(changed):
                continue
            known = rows & labelled
            if known.any():
                p_value = compare_right(new_right[known], old_right[known]).p_value
            else:
                p_value = _fisher(differ, images, total, len(changed))
            yield Slice(
                name,
                value,
                images,
                differ,
                int(known.sum()),
                int(old_right[rows].sum()),
                int(new_right[rows].sum()),
                p_value,
            )


def _parts(values: pa.Array) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield what a column's values are called, and which rows have them."""
    if pa.types.is_timestamp(values.type):
        days = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
        values = pa.array(
            [
                None if math.isnan(day) else str(np.datetime64(int(day // _DAY_US), "D"))
                for day in days.astype(float)
            ]
        )
    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        yield from _bands(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
        return
    texts = values.cast(pa.string())
    counts = pc.value_counts(texts.drop_null())
    frequent = sorted(counts.to_pylist(), key=lambda each: (-each["counts"], each["values"]))
    named = [each["values"] for each in frequent[:MOST_VALUES]]
    for name in named:
        yield name, pc.equal(texts, name).fill_null(False).to_numpy(zero_copy_only=False)
    if len(frequent) > len(named):
        rest = pc.invert(pc.is_in(texts, pa.array(named))).to_numpy(zero_copy_only=False)
        yield OTHERS, rest & texts.is_valid().to_numpy(zero_copy_only=False)


def _bands(numbers: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    there = np.isfinite(numbers)
    if not there.any():
        return
    distinct = np.unique(numbers[there])
    if len(distinct) <= BANDS:
        for value in distinct:
            yield f"{value:.6g}", numbers == value
        return
    edges = np.unique(np.quantile(numbers[there], np.linspace(0, 1, BANDS + 1)))
    for low, high in itertools.pairwise(edges):
        last = high == edges[-1]
        within = (numbers >= low) & ((numbers <= high) if last else (numbers < high))
        yield f"{low:.6g} to {high:.6g}", within & there


def _fisher(differ: int, images: int, total: int, everything: int) -> float:
    from scipy.stats import fisher_exact

    others = everything - images
    table = [[differ, images - differ], [total - differ, others - (total - differ)]]
    return float(fisher_exact(table).pvalue)
