"""Windows against a reference: what has drifted, the worst first, and how well the model does in each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flumen.replay.drift.counting import Counted
from flumen.replay.drift.measures import ALPHA, Distances, distances, measured
from flumen.replay.drift.reference import Reference
from flumen.replay.drift.scanning import Counting, Scope, Window
from flumen.replay.errors import NothingToCompare, ReferenceUnusable

LEAST_IMAGES = 30
"""Images that a window needs to be judged."""
LEAST_REFERENCE = 100
"""And those of a reference."""

_MOST_OTHERS = 0.5
_NULL_SAYS_NOTHING = frozenset({"knownlabel"})
"""An image without a label is no other kind of image: only its label is not known."""

_MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class Found:
    """A column of a window against the reference. `start`: of the window, microseconds since the epoch."""

    start: int
    column: str
    distances: Distances
    images: int

    @property
    def drifted(self) -> bool:
        """Whether one of its measures is over its threshold."""
        return self.distances.ratio > 1


@dataclass(frozen=True, slots=True)
class Drift:
    """All that was found.

    `found`: the worst first, of every window that was judged and every column. `windows` in order of time, those
    without images too; `reference` is the window that they were compared with, None where profiles were. `remainders`
    say what was not compared, and why. `counted`: each column's counts, whose first row is the reference's; `places`
    has the row of each window by its start. `rows` were read.
    """

    scope: Scope
    text: str
    found: Sequence[Found]
    windows: Sequence[Window]
    reference: Window | None
    reference_accuracy: float | None
    remainders: Sequence[str]
    comparisons: int
    counted: Mapping[str, Counted]
    places: Mapping[int, int]
    rows: int

    @property
    def drifted(self) -> Sequence[Found]:
        """What is over a threshold, the worst first."""
        return [each for each in self.found if each.drifted]


def find_drift(counting: Counting, scope: Scope, reference: Reference) -> Drift:
    """Compare the windows of a scan with a reference.

    Raises:
        NothingToCompare: no window has images, or enough of them.
        ReferenceUnusable: the reference has too few.
    """
    if reference.span is not None and counting.windows[0].images < LEAST_REFERENCE:
        raise ReferenceUnusable(
            f"{reference.text} has {counting.windows[0].images:,} images that {scope.model}@{scope.version} answered, "
            f"and {LEAST_REFERENCE} are needed: name a longer time, or another one"
        )
    if len(counting.windows) == 1:
        which = "images that meet the condition" if scope.where else "images"
        which = "images that meet the condition" if scope.where else "images"
        raise NothingToCompare(
            f"there is no window of {which} that {scope.model}@{scope.version} answered; which models answered, and "
            "how many images, says flumen sql 'from images select model, model_version, count(*) group by all'"
        )
    judged = [row for row, window in enumerate(counting.windows) if row and window.images >= LEAST_IMAGES]
    if not judged:
        raise NothingToCompare(
            f"no window has {LEAST_IMAGES} images, which it needs to be judged; take longer ones, as by --window 1d"
        )
    remainders = [*reference.missing, *_too_few(counting.windows)]
    compared = dict(_comparable(_with_reference(counting, reference), remainders))
    comparisons = len(judged) * sum(map(measured, compared.values()))
    found = [
        Found(start, name, distances_of, counting.windows[row].images)
        for name, column in compared.items()
        for row in judged
        if (start := counting.windows[row].start) is not None
        and column.counts[row].sum() >= LEAST_IMAGES
        and (distances_of := distances(column, column.counts[0], column.counts[row], ALPHA / comparisons))
    ]
    places = {window.start: row for row, window in enumerate(counting.windows) if window.start is not None}
    return Drift(
        scope=scope,
        text=reference.text,
        found=sorted(found, key=lambda each: (-each.distances.ratio, each.start, each.column)),
        windows=_gapless(counting.windows[1:], scope.width_us),
        reference=counting.windows[0] if reference.span is not None else None,
        reference_accuracy=reference.accuracy,
        remainders=remainders,
        comparisons=comparisons,
        counted=compared,
        places=places,
        rows=counting.rows,
    )


def estimated_accuracy(window: Window) -> tuple[float, float] | None:
    """Return the accuracy that a window's confidences promise, and half the width of its interval; None without any.

    The mean of the probabilities of being right, which are independent Bernoulli variables; 1.96 standard errors.
    Guillory, D. et al. (2021): Predicting with confidence on unseen distributions. ICCV. It holds as far as the model
    is as right as it is sure: input of a kind that it has never seen can make it sure and wrong.
    """
    if not window.confident:
        return None
    return window.sure / window.confident, 1.96 * math.sqrt(window.variance) / window.confident


def _with_reference(counting: Counting, reference: Reference) -> Mapping[str, Counted]:
    """Return each column's counts, the first row of which is the reference's."""
    counted = dict(counting.counted())
    for name in _NULL_SAYS_NOTHING & counted.keys():
        counted[name].counts[:, 0] = 0
    for name, profile in reference.profiles.items():
        if name in counted:
            table = counted[name].counts.copy()
            table[0] = 0
            table[0, 1 : len(profile.counts) + 1] = profile.counts
            names, bounds = counted[name].names, counted[name].bounds
            counted[name] = Counted(table, names, bounds, counted[name].others)
    return counted


def _comparable(counted: Mapping[str, Counted], remainders: list[str]) -> Sequence[tuple[str, Counted]]:
    """Return the columns that can be compared, and note why the others cannot."""
    empty = [name for name, column in counted.items() if not column.counts[:, 1:].any()]
    if empty:
        remainders.append(f"{_listed(empty)}: null in every image")
    many = [name for name, column in counted.items() if column.others > _MOST_OTHERS]
    if many:
        remainders.append(f"{_listed(many)}: too many different values")
    alike = [
        name
        for name, column in counted.items()
        if name not in empty and np.count_nonzero(column.counts.sum(axis=0)) == 1
    ]
    if alike:
        remainders.append(f"{_listed(alike)}: the same in every image")
    few = [name for name, column in counted.items() if column.counts[0].sum() < LEAST_REFERENCE]
    if few:
        remainders.append(f"{_listed(few)}: the reference has fewer than {LEAST_REFERENCE} images")
    return [each for each in counted.items() if each[0] not in {*empty, *many, *alike, *few}]


def _too_few(windows: Sequence[Window]) -> Sequence[str]:
    few = sum(1 for window in windows[1:] if window.images < LEAST_IMAGES)
    return [f"{few} windows of fewer than {LEAST_IMAGES} images: they are not judged"] if few else []


def _gapless(windows: Sequence[Window], width_us: int) -> Sequence[Window]:
    """Return windows in order of time, and those between them that have no images, as far as there are not too many."""
    ordered = sorted(windows, key=lambda window: window.start or 0)
    filled: list[Window] = []
    for window in ordered:
        start = window.start or 0
        last = filled[-1].start if filled else None
        between = 0 if last is None else (start - last) // width_us - 1
        if last is not None and between <= len(ordered) + 31:
            filled += [Window(last + step * width_us) for step in range(1, between + 1)]
        filled.append(window)
    return filled


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
