"""A model that is not loaded, for interceptors that need no answer of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess


@dataclass(frozen=True, slots=True)
class Unloaded:
    """`flumen.interceptor.classifier.Classifier` as far as images are made for it; nothing can be asked of it."""

    preprocess: Preprocess
    name: str = ""
    version: int = 0
    labels: Sequence[str] = ()

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raise."""
        raise NotImplementedError("this model is not loaded")
