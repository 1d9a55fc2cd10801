"""What a classifier answered to images whose labels are known: what every measure is taken from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.answers import no_distributions, without_numbers
from flumen.interceptor.classifier import Classifier
from flumen.interceptor.preprocess import to_tensor
from flumen.models.errors import AnswersInvalid

BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to n images, one or more.

    `probabilities`: float32, n x classes, each row a distribution. `known`: int64, n positions in `labels`. `ids`: n.
    """

    probabilities: NDArray[np.float32]
    known: NDArray[np.int64]
    ids: Sequence[str]
    labels: Sequence[str]

    def __post_init__(self) -> None:
        """Check that they can be measured.

        Raises:
            AnswersInvalid: there are none, they are no distributions, or labels, ids and answers do not fit each other.
        """
        shape, classes = self.probabilities.shape, len(self.labels)
        if not shape[0]:
            raise AnswersInvalid(
                "there are no images to evaluate with; choose a data set or a selection with some"
            )
        if shape != (len(self.known), classes) or len(self.ids) != shape[0]:
            raise AnswersInvalid(
                f"answers of shape {shape} do not fit {len(self.known):,} known labels and {len(self.ids):,} ids of "
                f"{classes} classes"
            )
        outside = (self.known < 0) | (self.known >= classes)
        if outside.any():
            raise AnswersInvalid(
                f"{_first(outside, self.ids)} is labelled {self.known[outside][0]}, and the model's labels are "
                f"0 to {classes - 1}. Leave such images out, or evaluate with the model's own classes"
            )
        for wrong, what in ((without_numbers, "NaN or infinite"), (no_distributions, "no distribution")):
            rows = wrong(self.probabilities)
            if rows.any():
                raise AnswersInvalid(
                    f"the model's answer to {_first(rows, self.ids)} is {what}: it cannot be measured, nor serve"
                )

    def __len__(self) -> int:
        return len(self.known)

    @property
    def predictions(self) -> NDArray[np.int64]:
        """int64, n: the class of the highest probability, the first of several."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def confidences(self) -> NDArray[np.float64]:
        """float64, n: the probability of the class that was predicted."""
        return np.asarray(self.probabilities.max(axis=1), dtype=np.float64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """bool, n: whether the prediction is the known label."""
        return np.asarray(self.predictions == self.known)

    def of(self, classes: NDArray[np.int64]) -> NDArray[np.float64]:
        """float64, n: each image's probability of the class at its row of `classes` (int64, n)."""
        return np.asarray(self.probabilities[np.arange(len(self)), classes], dtype=np.float64)


def ask(
    classifier: Classifier,
    pixels: NDArray[np.uint8],
    on_images: Callable[[int], None] = lambda _: None,
    batch_size: int = BATCH_SIZE,
) -> NDArray[np.float32]:
    """Return what a classifier answers to images, float32, n x labels, asked in batches.

    Args:
        classifier: the model.
        pixels: uint8, n x height x width [x 3], at the classifier's size.
        on_images: called after each batch with the number of its images.
        batch_size: images in one call of the classifier.

    Raises:
        AnswersInvalid: the images are not of the size that the classifier reads.
        InferenceFailed: it could not classify a batch.
    """
    answers = [np.empty((0, len(classifier.labels)), np.float32)]
    for start in range(0, len(pixels), batch_size):
        part = pixels[start : start + batch_size]
        try:
            tensor = to_tensor(part, classifier.preprocess)
        except ValueError as error:
            raise AnswersInvalid(f"{error}; take images of the model's size") from error
        answers.append(classifier.probabilities(tensor))
        on_images(len(part))
    return np.concatenate(answers)


def _first(rows: NDArray[np.bool_], ids: Sequence[str]) -> str:
    count = int(rows.sum())
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    return f"{ids[int(rows.argmax())]!r}{more}"
