"""Answers of models that are made here: by hand, by chance, and for hypothesis."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from flumen.models.evaluation.answers import Answers

LETTERS = "abcdefghij"


def answers(probabilities: Any, known: Any, ids: Any = None) -> Answers:
    rows = np.asarray(probabilities, dtype=np.float32)
    return Answers(
        probabilities=rows,
        known=np.asarray(known, dtype=np.int64),
        ids=list(ids) if ids is not None else [f"image-{row:05}" for row in range(len(rows))],
        labels=tuple(LETTERS[: rows.shape[1]]) if rows.ndim == 2 else ("a", "b"),
    )


def random_answers(images: int, classes: int = 4, seed: int = 1, skill: float = 2.0) -> Answers:
    """Return a model's answers that are the better the larger `skill`; its confidence is what it deserves, nearly."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(images, classes))
    known = random.integers(0, classes, images)
    logits[np.arange(images), known] += skill
    return answers(softmax(logits), known)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@st.composite
def some_answers(draw: st.DrawFn, most: int = 40) -> Answers:
    classes = draw(st.integers(2, 4))
    count = draw(st.integers(1, most))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # Of few distinct values, so that ties occur.
    logits = np.round(random.normal(scale=draw(st.sampled_from([0.5, 3.0, 40.0])), size=(count, classes)))
    return answers(softmax(logits), random.integers(0, draw(st.integers(1, classes)), count))


def shuffled(made: Answers, seed: int) -> Answers:
    order = np.random.default_rng(seed).permutation(len(made))
    return Answers(
        made.probabilities[order], made.known[order], [made.ids[row] for row in order], made.labels
    )
