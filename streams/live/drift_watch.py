"""Whether the stream is still as it was when this model began: a test that goes on for ever in a few numbers.

The first images of a model on this worker are the reference. From then on each statistic has two cumulative sums, one
for each direction: S = max(0, S + sum over the batch of (z - allowance)), z being a value less the reference's mean, in
its standard deviations. A change is told where one of them passes its threshold. Page, E. S. (1954): Continuous
inspection schemes. Biometrika 41, 100-115; Hinkley, D. V. (1971): Inference about the change-point from cumulative sum
tests. Biometrika 58, 509-523.

The threshold is ln(2 k A) / t for k statistics, where t solves E exp(t (z - allowance)) = 1 in the reference: then
t (z - allowance) is a logarithm of a likelihood ratio, and no fewer than A images pass, in the mean, between two false
alarms of all sums together. Lorden, G. (1971): Procedures for reacting to a change in distribution. Annals of
Mathematical Statistics 42, 1897-1908.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from flumen.interceptor import Batch, Classifier
from flumen.streams.control.records import DriftStatus, now
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.settings import DriftSettings

log = structlog.get_logger(__name__)

Numbers = NDArray[np.float64]

VALUES = ("confidence", "luminance_mean", "luminance_std")
CLASSES = "classes"
MOST_CLASSES = 64
"""Classes that are watched, the most frequent of the reference; all others are one."""

_LEAST_STD = np.array([0.001, 0.5, 0.5])
"""A reference in which a value hardly differs would call any other one a change."""

_OVER = 0.5
"""A change is over where all sums are below this share of their thresholds."""
_MOST = 2.0
"""And no sum grows above so many, so that it comes down again soon after a long change as well."""

_HALVINGS = 50
_MOST_SIGNS = 100


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What the reference was like; a value of each statistic: first `VALUES`, then the watched classes and the rest.

    `slots` has the place of each class among those. `up` and `down` are thresholds, of sums in standard deviations.
    """

    mean: Numbers
    std: Numbers
    up: Numbers
    down: Numbers
    slots: NDArray[np.intp]
    names: Sequence[str]


class DriftWatch:
    """Watches the batches of a worker, one after another; what it knows does not grow with them."""

    def __init__(self, settings: DriftSettings, metrics: Metrics, tell: Callable[[], None]) -> None:
        """Make one. `tell` is called where `status` has changed."""
        self._settings = settings
        self._metrics = metrics
        self._tell = tell
        self._lock = threading.Lock()
        self._status: DriftStatus | None = None
        self._is_over = False
        self._forget(None)

    @property
    def status(self) -> DriftStatus | None:
        """What has changed, or None. Safe to ask from any thread."""
        with self._lock:
            return self._status

    def look(self, batch: Batch, model: Classifier) -> None:
        """Look at a batch that one model answered. Another model begins with a reference of its own.

        Raises nothing: what an interceptor makes of a column ends the watch of this model, and not the worker.
        """
        if (
            not self._settings.drift_watch
            or not len(batch)
            or not {"confidence", "prediction"} <= batch.columns.keys()
        ):
            return
        if self._model != (model.name, model.version):
            self._forget((model.name, model.version))
            self._is_over = False
        if self._is_over:
            return
        try:
            self._look(batch, model)
        except Exception as error:  # noqa: BLE001 - whatever stands in a column, images are classified on
            self._forget(self._model)
            self._is_over = True
            log.warning(
                "what arrives is no longer watched; a column cannot be compared",
                columns=VALUES,
                model=model.name,
                version=model.version,
                error=str(error)[:_MOST_SIGNS],
            )

    def _look(self, batch: Batch, model: Classifier) -> None:
        values = np.full((len(VALUES), len(batch)), np.nan)
        for row, name in enumerate(VALUES):
            if name in batch.columns:
                found = np.asarray(batch.columns[name], np.float64)
                values[row] = np.where(np.isfinite(found), found, np.nan)
        classes = np.asarray(batch.columns["prediction"], np.intp)
        if self._learnt is None:
            self._learn(values, classes, model)
        else:
            self._add(values, classes, self._learnt, model)

    def _forget(self, model: tuple[str, int] | None) -> None:
        self._model = model
        self._learnt: _Learnt | None = None
        self._first: list[tuple[Numbers, NDArray[np.intp]]] = []
        self._seen = 0
        self._up = self._down = np.zeros(0)
        self._metrics.drift_score.clear()
        if self.status is not None:
            self._set(None)

    def _learn(self, values: Numbers, classes: NDArray[np.intp], model: Classifier) -> None:
        self._first.append((values, classes))
        self._seen += len(classes)
        if self._seen < self._settings.drift_reference_images:
            return
        self._learnt = _learnt(
            np.concatenate([each for each, _ in self._first], axis=1),
            np.concatenate([each for _, each in self._first]),
            model.labels,
            self._settings,
        )
        self._first = []
        self._up = self._down = np.zeros(len(self._learnt.mean))

    def _add(self, values: Numbers, classes: NDArray[np.intp], learnt: _Learnt, model: Classifier) -> None:
        there = ~np.isnan(values)
        counted = np.bincount(learnt.slots[classes], minlength=len(learnt.mean) - len(VALUES))
        sums = np.concatenate((np.where(there, values, 0.0).sum(axis=1), counted))
        images = np.full(len(sums), float(len(classes)))
        images[: len(VALUES)] = there.sum(axis=1)
        shift = (sums - images * learnt.mean) / learnt.std
        allowed = images * self._settings.drift_allowance
        self._up = np.clip(self._up + shift - allowed, 0, _MOST * learnt.up)
        self._down = np.clip(self._down - shift - allowed, 0, _MOST * learnt.down)
        scores = np.maximum(self._up / learnt.up, self._down / learnt.down)
        for name, score in zip(VALUES, scores.tolist(), strict=False):
            self._metrics.drift_score.labels(name).set(score)
        self._metrics.drift_score.labels(CLASSES).set(float(scores[len(VALUES) :].max()))
        self._judge(scores, learnt, model)

    def _judge(self, scores: Numbers, learnt: _Learnt, model: Classifier) -> None:
        former = self.status
        highest = float(scores.max())
        if former is None and highest > 1:
            changed = tuple(learnt.names[at] for at in np.flatnonzero(scores > 1).tolist())
            self._metrics.drift_alarms.inc()
            self._set(DriftStatus(changed, now()))
            log.warning(
                "what arrives is not as it was when this model began; `flumen drift` says more",
                changed=changed,
                model=model.name,
                version=model.version,
            )
        elif former is not None and highest < _OVER:
            self._set(None)
            log.info("what arrives is again as it was", since=former.since)

    def _set(self, status: DriftStatus | None) -> None:
        with self._lock:
            self._status = status
        self._tell()


def _learnt(
    values: Numbers, classes: NDArray[np.intp], labels: Sequence[str], settings: DriftSettings
) -> _Learnt:
    counts = np.bincount(classes, minlength=len(labels))
    watched = np.argsort(-counts, kind="stable")[:MOST_CLASSES]
    slots = np.full(len(counts), len(watched), np.intp)
    slots[watched] = np.arange(len(watched))
    found = np.bincount(slots[classes], minlength=len(watched) + 1)
    share = (found + 0.5) / (
        len(classes) + 0.5 * len(found)
    )  # a class that did not come may come, but is rare
    is_there = ~np.isnan(values)
    number = np.maximum(is_there.sum(axis=1), 1)
    mean = np.where(is_there, values, 0.0).sum(axis=1) / number
    centred = np.where(is_there, values - mean[:, None], 0.0)
    std = np.maximum(np.sqrt((centred**2).sum(axis=1) / number), _LEAST_STD)
    both = 2 * (len(VALUES) + len(found))
    allowance, wanted = settings.drift_allowance, np.log(both * settings.drift_false_alarm_images)
    exponents = [
        [
            _exponent(sign * row[there] / one, None, allowance)
            for row, there, one in zip(centred, is_there, std, strict=True)
        ]
        + [_exponent(*_bernoulli(p, sign), allowance) for p in share.tolist()]
        for sign in (1.0, -1.0)
    ]
    up, down = (wanted / np.array(each) for each in exponents)
    names = [f"class {labels[at]}"[:_MOST_SIGNS] for at in watched.tolist()]
    return _Learnt(
        mean=np.concatenate((mean, share)),
        std=np.concatenate((std, np.sqrt(share * (1 - share)))),
        up=up,
        down=down,
        slots=slots,
        names=(*VALUES, *names, "other classes"),
    )


def _bernoulli(p: float, sign: float) -> tuple[Numbers, Numbers]:
    """Return the two values of an indicator of share p, in its standard deviations from its mean; and their chances."""
    return sign * np.array([1 - p, -p]) / np.sqrt(p * (1 - p)), np.array([p, 1 - p])


def _exponent(values: Numbers, chances: Numbers | None, allowance: float) -> float:
    """Return t above 0 where E exp(t (z - allowance)) is 1, but at most that of a normal z, twice the allowance.

    `values` are those that z has, as often as one another or with these `chances`. Its logarithm is convex, 0 at 0, and
    falls there: below the root it is negative.
    """
    most = 2 * allowance

    def is_above_one(t: float) -> bool:
        return bool(np.average(np.exp(t * (values - allowance)), weights=chances) > 1)

    if not len(values) or not is_above_one(most):
        return most
    low, high = 0.0, most
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_above_one(middle) else (middle, high)
    return max(low, most * 1e-3)
