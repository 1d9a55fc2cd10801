"""How good a classifier is on images whose labels are known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Classifier
from flumen.interceptor.preprocess import to_tensor


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
    """

    images: int
    accuracy: float
    precision: float
    recall: float
    f1: float
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
    answers = [
        classifier.probabilities(to_tensor(pixels[start : start + batch_size], classifier.preprocess))
        for start in range(0, len(pixels), batch_size)
    ]
    predictions = np.concatenate([answer.argmax(axis=1) for answer in answers])
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
    return Evaluation(
        images=len(known),
        accuracy=float(np.mean(predictions == known)),
        precision=precision,
        recall=recall,
        f1=_harmonic_mean(precision, recall),
        classes=classes,
        confusion=confusion,
        predictions=predictions,
    )


def _class_score(confusion: NDArray[np.int64], position: int, label: str) -> ClassScore:
    right = int(confusion[position, position])
    known = int(confusion[position].sum())
    predicted = int(confusion[:, position].sum())
    precision = right / predicted if predicted else None
    recall = right / known if known else None
    return ClassScore(label, known, precision, recall, _harmonic_mean(precision or 0.0, recall or 0.0))


def _harmonic_mean(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
