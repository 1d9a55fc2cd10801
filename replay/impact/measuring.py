"""How much two models differ, for better or worse, in all and by slices: counted as answers come, none is kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.models.evaluation.comparison import Comparison, compare_counts
from flumen.models.evaluation.intervals import Interval, wilson
from flumen.replay.drift.counting import Counts
from flumen.replay.errors import NothingToCompare
from flumen.replay.impact.answered import NO_LABEL, Answered
from flumen.replay.impact.slices import (
    BOTH_RIGHT,
    KINDS,
    ONLY_NEW,
    ONLY_OLD,
    Slice,
    as_counted,
    changed_of,
    counts_for,
    kinds_of,
    labelled_of,
    slices,
)

HASH = "perceptual_hash"
"""The column by which images that look alike are shown once; it makes no slices."""

MOST_AFFECTED = 1000
"""Images that are answered otherwise and are named, those of which the new model is surest."""


@dataclass(frozen=True, slots=True)
class Transition:
    """How many images the old model takes for one class, and the new one for another."""

    old: str
    new: str
    images: int


@dataclass(frozen=True, slots=True)
class Affected:
    """An image that is answered otherwise: both answers, the known label, how sure the new one is, its hash."""

    id: str
    old: str
    new: str
    known: str | None
    confidence: float
    hash_: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """Which images were asked about: of how many, when (microseconds since the epoch), and what had no answer, why.

    `newest_us`: when the newest of all that were to be chosen from had arrived; None where that is not known. `stored`:
    how many answers of the old model and of the new one were there already.
    """

    population: int
    snapshot_us: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    newest_us: int | None = None
    stored: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Impact:
    """What would be different.

    `agreement`: how many the models answer alike, with the interval of that share. `transitions`: the most frequent
    first. `comparison`: of the new model (first) with the old one, None without labels. `affected`: images that are
    answered otherwise, the surest answers of the new model first; the first of them. `would_change`: of the whole
    population, how many would be answered otherwise, with its interval. `pictures`: what the new model saw of some of
    the affected, uint8, by id.
    """

    reading: Reading
    images: int
    agreement: int
    agreement_interval: Interval
    transitions: Sequence[Transition]
    labelled: int
    old_right: int
    new_right: int
    comparison: Comparison | None
    slices: Sequence[Slice]
    affected: Sequence[Affected]
    pictures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def population(self) -> int:
        """How many images there were to be chosen from."""
        return max(self.reading.population, self.images)

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


class Tally:
    """Counts answers as they come; what it keeps does not grow with the images."""

    def __init__(self, labels: Sequence[str]) -> None:
        """Make one. `labels`: those of both models, which answers are positions of."""
        self._labels = labels
        self._text = pa.array(list(labels), pa.string())
        self._kinds: NDArray[np.int64] = np.zeros(KINDS, np.int64)
        self._transitions: Counter[tuple[int, int]] = Counter()
        self._columns: dict[str, Counts] = {}
        self._affected: list[Affected] = []

    @property
    def affected(self) -> Sequence[Affected]:
        """Images that are answered otherwise, the surest first."""
        return self._affected

    def add(self, answered: Answered) -> None:
        """Count some images; the columns are the same each time."""
        kinds = kinds_of(answered)
        self._kinds += np.bincount(kinds, minlength=KINDS)
        changed = np.flatnonzero(answered.old != answered.new)
        self._transitions.update(
            zip(answered.old[changed].tolist(), answered.new[changed].tolist(), strict=True)
        )
        columns = {
            "label of the old model": self._text.take(pa.array(answered.old)),
            "confidence of the old model": pa.array(answered.old_confidence),
            **{name: values for name, values in answered.columns.items() if name != HASH},
        }
        for name, values in columns.items():
            if name not in self._columns:
                self._columns[name] = counts_for(values.type)
            self._columns[name].add(kinds, as_counted(values))
        self._keep(answered, changed)

    def impact(self, reading: Reading, pictures: Mapping[str, NDArray[np.uint8]] | None = None) -> Impact:
        """Return what the answers come to.

        Raises:
            NothingToCompare: there is no image that both have answered.
        """
        count = int(self._kinds.sum())
        if not count:
            why = "; ".join(f"{images:,} {reason}" for reason, images in reading.skipped.items())
            raise NothingToCompare(
                "there is no image that both models answer"
                + (f": {why}" if why else "")
                + ". Choose others with --where and --days, or publish some"
            )
        agreement, labelled = count - changed_of(self._kinds), labelled_of(self._kinds)
        only_old, only_new = int(self._kinds[ONLY_OLD]), int(self._kinds[ONLY_NEW])
        both = int(self._kinds[BOTH_RIGHT])
        return Impact(
            reading=reading,
            images=count,
            agreement=agreement,
            agreement_interval=wilson(agreement, count),
            transitions=[
                Transition(self._labels[old], self._labels[new], images)
                for (old, new), images in sorted(
                    self._transitions.items(), key=lambda pair: (-pair[1], pair[0])
                )
            ],
            labelled=labelled,
            old_right=both + only_old,
            new_right=both + only_new,
            comparison=compare_counts(labelled, only_new, only_old) if labelled else None,
            slices=slices({name: counts.counted(KINDS) for name, counts in self._columns.items()}),
            affected=self._affected,
            pictures=pictures or {},
        )

    def _keep(self, answered: Answered, changed: NDArray[np.intp]) -> None:
        hashes = answered.columns.get(HASH)
        found = [
            Affected(
                answered.ids[row],
                self._labels[answered.old[row]],
                self._labels[answered.new[row]],
                self._labels[answered.known[row]] if answered.known[row] != NO_LABEL else None,
                float(answered.new_confidence[row]),
                None if hashes is None else hashes[row].as_py(),
            )
            for row in changed.tolist()
        ]
        self._affected = sorted([*self._affected, *found], key=lambda each: (-each.confidence, each.id))[
            :MOST_AFFECTED
        ]
