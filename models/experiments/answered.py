"""What a run answered to each test image, small enough to stand in its record."""

import binascii
import zlib
from base64 import b64decode, b64encode

import numpy as np
from numpy.typing import NDArray

from flumen.models.errors import RunUnreadable
from flumen.models.evaluation.comparison import Comparison, compare_right
from flumen.models.experiments.run import Run


def packed_answers(known: NDArray[np.uint8], predicted: NDArray[np.int64]) -> str:
    """Return n known labels and n predicted ones, below 256 each, as a text: base64 of zlib of 2n bytes."""
    both = np.concatenate([known, predicted]).astype(np.uint8)
    return b64encode(zlib.compress(both.tobytes(), 9)).decode()


def right_answers(run: Run) -> NDArray[np.bool_] | None:
    """Return of each test image whether the run predicted its label (bool, n); None where it kept no answers.

    Raises:
        RunUnreadable: they are damaged.
    """
    if not run.answers:
        return None
    try:
        both = np.frombuffer(zlib.decompress(b64decode(run.answers, validate=True)), np.uint8)
        known, predicted = both.reshape(2, -1)
    except (zlib.error, binascii.Error, ValueError) as error:
        raise RunUnreadable(f"the answers of run {run.run_id!r} cannot be read: {error}") from error
    return np.asarray(known == predicted)


def compare_runs(one: Run, other: Run) -> Comparison | None:
    """Return what McNemar's test says of two runs; None where one kept no answers, or they are to other images.

    Raises:
        RunUnreadable: the answers of one are damaged.
    """
    if one.data_sha256 != other.data_sha256:
        return None
    first, second = right_answers(one), right_answers(other)
    return None if first is None or second is None else compare_right(first, second)
