"""The limits of a model in the presence of changing input: its accuracy as images are disturbed ever more."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Classifier
from flumen.models.errors import AnswersInvalid
from flumen.models.evaluation.answers import ask
from flumen.models.evaluation.disturbances import DISTURBANCES, Disturbance
from flumen.models.evaluation.intervals import Interval, wilson

IMAGES = 1000
"""Images that each step is measured with, unless there are fewer."""

_BYTES_AT_ONCE = 16 * 1024 * 1024
"""Pixels that are disturbed at once: arrays of numbers many times as large are made of them."""


@dataclass(frozen=True, slots=True)
class Point:
    """The accuracy at one step, with Wilson's interval."""

    step: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Curve:
    """The accuracy under one disturbance, from its mildest step to its strongest; `unit` says what a step is in."""

    disturbance: str
    unit: str
    points: tuple[Point, ...]

    @property
    def mean(self) -> float:
        """The mean accuracy over its steps."""
        return sum(point.accuracy for point in self.points) / len(self.points)


@dataclass(frozen=True, slots=True)
class Robustness:
    """A model's curves on the same `images` images, and its accuracy on these undisturbed."""

    images: int
    seed: int
    undisturbed: float
    interval: Interval
    curves: tuple[Curve, ...]

    @property
    def mean(self) -> float:
        """The mean of the curves' means: one number to compare models of the same images by.

        As the mean corruption error of Hendrycks and Dietterich (2019): Benchmarking neural network robustness to
        common corruptions and perturbations. ICLR; of accuracies, and not divided by another model's.
        """
        return sum(curve.mean for curve in self.curves) / len(self.curves)


def steps_of(disturbances: Mapping[str, Disturbance] = DISTURBANCES) -> int:
    """Return how many times `measure_robustness` classifies its images."""
    return 1 + sum(len(each.steps) for each in disturbances.values())


def measure_robustness(
    classifier: Classifier,
    pixels: NDArray[np.uint8],
    known: NDArray[np.int64],
    *,
    seed: int = 0,
    images: int = IMAGES,
    disturbances: Mapping[str, Disturbance] = DISTURBANCES,
    on_step: Callable[[str], None] = lambda _: None,
) -> Robustness:
    """Classify images disturbed in every way and step, and return the accuracies.

    Args:
        classifier: the model.
        pixels: uint8, n x height x width [x 3], at the model's size: as they are before `to_tensor`.
        known: int64, n positions in the classifier's labels.
        seed: of all chance: which images, their noise, and to which side they are moved. The same in each step.
        images: to take, at random, where there are more.
        disturbances: by name.
        on_step: called after each step with the disturbance's name; first, undisturbed, with "".

    Raises:
        AnswersInvalid: there are no images, or they are of another size than the model's.
        InferenceFailed: it could not classify a batch.
    """
    if not len(pixels):
        raise AnswersInvalid("there are no images to disturb; choose a data set or a selection with some")
    random = np.random.default_rng(seed)
    rows = np.sort(random.choice(len(pixels), min(images, len(pixels)), replace=False))
    taken, labels = pixels[rows], known[rows]

    def right(parts: Iterable[NDArray[np.uint8]], name: str) -> int:
        answers = np.concatenate([ask(classifier, part).argmax(axis=1) for part in parts])
        on_step(name)
        return int(np.sum(answers == labels))

    undisturbed = right(_parts(taken), "")
    curves: list[Curve] = []
    for name, disturbance in disturbances.items():
        points = []
        for step in disturbance.steps:
            chance = np.random.default_rng([seed, len(curves)])
            changed = (disturbance.apply(part, step, chance) for part in _parts(taken))
            count = right(changed, name)
            points.append(Point(step, count / len(labels), wilson(count, len(labels))))
        curves.append(Curve(name, disturbance.unit, tuple(points)))
    return Robustness(
        len(labels), seed, undisturbed / len(labels), wilson(undisturbed, len(labels)), tuple(curves)
    )


def _parts(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    rows = max(1, _BYTES_AT_ONCE // max(1, pixels[:1].nbytes))
    for start in range(0, len(pixels), rows):
        yield pixels[start : start + rows]
