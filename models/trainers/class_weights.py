"""How much an image of each label counts."""

import numpy as np

from flumen.models.datasets.dataset import Labelled


def balanced_weights(labelled: Labelled) -> tuple[float, ...]:
    """Return for each label how much one image of it has to count for all labels to count alike: n / (labels * images).

    Labels are 0, 1, 2, ..., each there at least once.
    """
    counts = np.bincount(labelled.labels)
    return tuple((len(labelled.labels) / (len(counts) * counts)).tolist())
