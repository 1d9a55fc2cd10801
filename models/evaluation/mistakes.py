"""Where a model is wrong: the most confident mistakes, and the confusion matrix as the article prints it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.models.evaluation.answers import Answers


@dataclass(frozen=True, slots=True)
class Mistake:
    """One image that was classified wrongly.

    `confidence`: the probability of what was predicted; `known_probability`: that of what is known.
    """

    id: str
    known: str
    predicted: str
    confidence: float
    known_probability: float


def most_confident_mistakes(answers: Answers, at_most: int = 20) -> tuple[Mistake, ...]:
    """Return the mistakes that the model was surest of, the surest first; equally sure ones by id."""
    wrong = np.flatnonzero(~answers.right)
    predicted, sure = answers.predictions, answers.confidences
    known = answers.of(answers.known)
    order = sorted(wrong.tolist(), key=lambda row: (-sure[row], answers.ids[row]))
    return tuple(
        Mistake(
            answers.ids[row],
            answers.labels[int(answers.known[row])],
            answers.labels[int(predicted[row])],
            float(sure[row]),
            float(known[row]),
        )
        for row in order[:at_most]
    )


def as_the_article_prints(confusion: NDArray[np.int64], labels: Sequence[str]) -> str:
    """Return a confusion matrix (int64, known x predicted) in the article's words.

    One line for each pair that occurs, `Examples labeled as 0 classified by model as 0: 968 times`, and an empty line
    between two known labels.
    """
    return "\n\n".join(filter(None, map("\n".join, _lines(confusion, labels))))


def _lines(confusion: NDArray[np.int64], labels: Sequence[str]) -> Iterator[list[str]]:
    for known, row in zip(labels, confusion.tolist(), strict=True):
        yield [
            f"Examples labeled as {known} classified by model as {predicted}: {count} times"
            for predicted, count in zip(labels, row, strict=True)
            if count
        ]
