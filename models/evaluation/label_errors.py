"""Labels that are probably wrong: by one model's confidence, or because several models say otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.models.errors import AnswersInvalid
from flumen.models.evaluation.answers import Answers
from flumen.models.evaluation.comparison import check_same


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image whose label is probably wrong: what it is labelled, what it seems to be, and both probabilities."""

    id: str
    known: str
    suggested: str
    known_probability: float
    suggested_probability: float


@dataclass(frozen=True, slots=True)
class Contested:
    """An image that several models classify otherwise than it is labelled: `votes` of `models` for `suggested`."""

    id: str
    known: str
    suggested: str
    votes: int
    models: int


def suspected_labels(answers: Answers) -> tuple[Suspect, ...]:
    """Return the images whose label is probably wrong, by confident learning; the most probable error first.

    A class's threshold is the mean probability of it over the images that are labelled so. An image counts as of the
    most probable class among those whose threshold it reaches; where that is not its label, the label is suspected. So
    a class that the model is never sure of needs less. Northcutt, Jiang and Chuang (2021): Confident learning:
    estimating uncertainty in dataset labels. JAIR 70, 1373-1411 (its equations 1 and 2: the confident joint, and what
    is off its diagonal). In order of the margin p(suggested) - p(known).

    It means something only where the model has not learnt these images: it believes the labels it was taught.
    """
    probabilities = answers.probabilities.astype(np.float64)
    thresholds = _thresholds(probabilities, answers.known)
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    suggested = reached.argmax(axis=1)
    suspected = (reached.max(axis=1) >= 0) & (suggested != answers.known)
    rows = np.flatnonzero(suspected)
    known, other = answers.of(answers.known), answers.of(suggested)
    order = sorted(rows.tolist(), key=lambda row: (known[row] - other[row], answers.ids[row]))
    return tuple(
        Suspect(
            answers.ids[row],
            answers.labels[int(answers.known[row])],
            answers.labels[int(suggested[row])],
            float(known[row]),
            float(other[row]),
        )
        for row in order
    )


def contested_labels(models: Sequence[Answers]) -> tuple[Contested, ...]:
    """Return the images that more than half of the models classify as one class which is not their label.

    The most votes first, then by id. Two models have to agree.

    Raises:
        AnswersInvalid: fewer than two models, or not about the same images.
    """
    if len(models) < 2:  # noqa: PLR2004 - what the message says
        raise AnswersInvalid("one model cannot disagree with a label more than once; name two or more")
    first = models[0]
    for other in models[1:]:
        check_same(first, other)
    votes = np.zeros((len(first), len(first.labels)), dtype=np.int64)
    for model in models:
        votes[np.arange(len(first)), model.predictions] += 1
    suggested, most = votes.argmax(axis=1), votes.max(axis=1)
    rows = np.flatnonzero((most * 2 > len(models)) & (suggested != first.known))
    order = sorted(rows.tolist(), key=lambda row: (-most[row], first.ids[row]))
    return tuple(
        Contested(
            first.ids[row],
            first.labels[int(first.known[row])],
            first.labels[int(suggested[row])],
            int(most[row]),
            len(models),
        )
        for row in order
    )


def _thresholds(probabilities: NDArray[np.float64], known: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's threshold, float64, classes; a class without an image is never reached."""
    classes = probabilities.shape[1]
    images = np.bincount(known, minlength=classes)
    own = np.bincount(known, probabilities[np.arange(len(known)), known], classes)
    return np.where(images > 0, own / np.maximum(images, 1), np.inf)
