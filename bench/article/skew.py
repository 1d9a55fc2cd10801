"""What it costs to serve images in another way than a model has learnt them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Labelled
from flumen.models.repository import Repository
from flumen.models.trainers.tensors import THRESHOLD

_ROWS_A_CALL = 1000
WAYS = ("grey", "binarised")


@dataclass(frozen=True, slots=True)
class Skew:
    """Mean accuracy over the seeds, 0 to 1, of models that learnt images in one of `WAYS`, by how they are served."""

    learnt: str
    models: int
    served: dict[str, float]

    @property
    def cost(self) -> float:
        """How much accuracy is lost where images are served in the other way."""
        (other,) = (way for way in WAYS if way != self.learnt)
        return self.served[self.learnt] - self.served[other]


def measure_skew(learnt: str, references: Sequence[str], repository: Repository, test: Labelled) -> Skew:
    """Ask models, as `NAME@VERSION`, for the test images, prepared in both ways.

    Raises:
        ModelNotFound: a model is not in the repository any more.
    """
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for reference in references:
        classifier = repository.load(*_parsed(reference))
        for way, accuracies in found.items():
            preprocess = _served(classifier.preprocess, way)
            right = 0
            for at in range(0, len(test.labels), _ROWS_A_CALL):
                tensor = to_tensor(test.pixels[at : at + _ROWS_A_CALL], preprocess)
                answers = classifier.probabilities(tensor).argmax(axis=1)
                right += int((answers == test.labels[at : at + _ROWS_A_CALL]).sum())
            accuracies.append(right / len(test.labels))
    return Skew(learnt, len(references), {way: statistics.fmean(each) for way, each in found.items()})


def _served(own: Preprocess, way: str) -> Preprocess:
    return replace(own, threshold=THRESHOLD if way == "binarised" else None)


def _parsed(reference: str) -> tuple[str, int]:
    name, _, version = reference.partition("@")
    return name, int(version)
