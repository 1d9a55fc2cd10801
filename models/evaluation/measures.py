"""How good a classifier is on images whose labels are known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Classifier
from flumen.models.evaluation.answers import ask
from flumen.models.evaluation.intervals import DRAWS, Interval, percentiles


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class did. None where nothing was predicted (precision) or known (recall) as that class."""

    label: str
    images: int
    precision: float | None
    recall: float | None
    f1: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a classifier answered, and how right it was.

    `predictions`: int64, n. `confusion`: int64, labels x labels; `confusion[known][predicted]` counts images.
    `precision` and `recall`: the mean over the classes where they are defined. `f1`: their harmonic mean.
    The article counts so: its table has a model that always answers 1, with 0.1135, 0.1 and 0.1063.
    `macro_precision`, `macro_recall`, `macro_f1`: the usual averages, as scikit-learn takes them: over the classes that
    occur as a label or as an answer, with 0 where one is not defined; `macro_f1` is the mean of the classes' F1.
    """

    images: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    classes: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]
    predictions: NDArray[np.int64]


def evaluate(
    classifier: Classifier, pixels: NDArray[np.uint8], labels: NDArray[np.uint8], batch_size: int = 500
) -> Evaluation:
    """Classify images in batches, and compare the answers with their labels.

    Args:
        classifier: the model.
        pixels: uint8, n x height x width [x 3], at the classifier's size.
        labels: n positions in the classifier's labels.
        batch_size: images in one call of the classifier.
    """
    predictions = ask(classifier, pixels, batch_size=batch_size).argmax(axis=1)
    return score(predictions, labels.astype(np.int64), tuple(classifier.labels))


def score(predictions: NDArray[np.int64], known: NDArray[np.int64], labels: tuple[str, ...]) -> Evaluation:
    """Compare n predictions with n known labels, both positions in `labels`; n is 1 or more.

    Raises:
        ValueError: there are none, or not as many of one as of the other.
    """
    if not len(known) or len(known) != len(predictions):
        raise ValueError(f"{len(predictions)} predictions for {len(known)} known labels cannot be compared")
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (known, predictions), 1)
    classes = tuple(_class_score(confusion, position, label) for position, label in enumerate(labels))
    precision = float(np.mean([one.precision for one in classes if one.precision is not None]))
    recall = float(np.mean([one.recall for one in classes if one.recall is not None]))
    seen = [one for one in classes if one.precision is not None or one.recall is not None]
    return Evaluation(
        images=len(known),
        accuracy=float(np.mean(predictions == known)),
        precision=precision,
        recall=recall,
        f1=_harmonic_mean(precision, recall),
        macro_precision=float(np.mean([one.precision or 0.0 for one in seen])),
        macro_recall=float(np.mean([one.recall or 0.0 for one in seen])),
        macro_f1=float(np.mean([one.f1 for one in seen])),
        classes=classes,
        confusion=confusion,
        predictions=predictions,
    )


def macro_f1_interval(confusion: NDArray[np.int64], seed: int = 0, draws: int = DRAWS) -> Interval:
    """Return the bootstrap's percentile interval of the macro F1 of a confusion matrix (known x predicted).

    To draw n images with replacement is to draw from the cells that they lie in: multinomial counts of the cells.
    """
    known, predicted = np.nonzero(confusion)
    counts = confusion[known, predicted]
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), size=draws)
    classes = np.arange(len(confusion))
    right, labelled, answered = (
        drawn @ (cells[:, None] == classes).astype(np.float64)
        for cells in (np.where(known == predicted, known, -1), known, predicted)
    )
    # F1 = 2 * right / (labelled + answered); a class that does not occur in a draw is not in its mean.
    both = labelled + answered
    f1 = 2 * right / np.maximum(both, 1)
    return percentiles(f1.sum(axis=1) / (both > 0).sum(axis=1))


def _class_score(confusion: NDArray[np.int64], position: int, label: str) -> ClassScore:
    right = int(confusion[position, position])
    known = int(confusion[position].sum())
    predicted = int(confusion[:, position].sum())
    precision = right / predicted if predicted else None
    recall = right / known if known else None
    return ClassScore(label, known, precision, recall, _harmonic_mean(precision or 0.0, recall or 0.0))


def _harmonic_mean(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
