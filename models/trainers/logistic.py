"""The trainer `logistic`: logistic regression of several classes, which is a network without a hidden layer.

By gradient descent rather than by scikit-learn's L-BFGS, which knows no rounds to show, to stop at or to go back to.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.models.trainers.dense import Schedule, TrainedLayers, train_layers
from flumen.models.trainers.descent import Rule
from flumen.models.trainers.parameters import check_bounds, parameter
from flumen.models.trainers.tensors import flat_preprocess
from flumen.models.trainers.trainer import Task


@dataclass(frozen=True, slots=True)
class Parameters:
    """What one training differs in from another."""

    rate: float = parameter(0.01, "Learning rate", low=1e-9, high=1e12)
    epochs: int = parameter(15, "Times through the images", low=1, high=10_000)
    batch_size: int = parameter(200, "Images a step", low=1, high=100_000)
    momentum: float = parameter(0.9, "Momentum of Nesterov's rule", low=0.01, high=0.999)
    l2: float = parameter(1e-4, "Factor of the penalty l2 / 2 * sum(weights ** 2)", low=0, high=10)
    patience: int = parameter(
        3, "Epochs without a better accuracy on the validation part before it stops; 0: never", low=0
    )

    def __post_init__(self) -> None:
        check_bounds(self)


class Logistic:
    """Logistic regression."""

    name = "logistic"
    summary = "Logistic regression: what can be had without a hidden layer, in seconds"
    parameters = Parameters
    packages = ("numpy", "scipy", "onnx", "onnxruntime")

    def preprocess(self, pixels: NDArray[np.uint8]) -> Preprocess:
        """Return the article's way: a grey value above 30 becomes 1.0, any other 0.0."""
        return flat_preprocess(pixels)

    def schedule(self, parameters: Any) -> Schedule:
        """Return how it learns."""
        rule = Rule(parameters.rate, parameters.momentum, parameters.l2)
        return Schedule((), rule, parameters.epochs, parameters.batch_size, parameters.patience)

    def train(self, task: Task, parameters: Any) -> TrainedLayers:
        """Learn."""
        return train_layers(task, self.schedule(parameters))


LOGISTIC = Logistic()
