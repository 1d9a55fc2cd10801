"""The trainer `network`, the article's: 784-500-100-10, ReLU, softmax, gradient descent with Nesterov momentum.

Other images and other layers make other networks of its kind.
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

HIDDEN_LAYERS = (500, 100)
MOMENTUM = 0.98
L2_PER_RATE = 0.005


@dataclass(frozen=True, slots=True)
class Parameters:
    """What one training differs in from another; all else is the article's.

    0.01 is the best rate of those in the article's table of results. The article names neither its batch size nor its
    number of epochs.
    """

    rate: float = parameter(0.01, "Learning rate", low=1e-9, high=1e12)
    epochs: int = parameter(15, "Times through the images", low=1, high=10_000)
    batch_size: int = parameter(200, "Images a step", low=1, high=100_000)
    hidden: tuple[int, ...] = parameter(HIDDEN_LAYERS, "Neurons of each hidden layer", low=1, high=100_000)
    patience: int = parameter(
        0, "Epochs without a better accuracy on the validation part before it stops; 0: never", low=0
    )

    def __post_init__(self) -> None:
        check_bounds(self)

    @property
    def l2(self) -> float:
        """The factor of the L2 penalty, `l2 / 2 * sum(weights ** 2)`, added to a batch's mean loss."""
        return self.rate * L2_PER_RATE


SHAPES = Parameters(rate=0.002, epochs=6, batch_size=100, hidden=(32,))
"""What suits the shapes in colour of `flumen.models.datasets.shapes`, which are few, small and easy."""


class Network:
    """The article's network, by NumPy."""

    name = "network"
    summary = "The article's network of dense layers, by NumPy"
    parameters = Parameters
    packages = ("numpy", "scipy", "onnx", "onnxruntime")

    def preprocess(self, pixels: NDArray[np.uint8]) -> Preprocess:
        """Return the article's way: a grey value above 30 becomes 1.0, any other 0.0."""
        return flat_preprocess(pixels)

    def schedule(self, parameters: Any) -> Schedule:
        """Return how it learns."""
        rule = Rule(parameters.rate, MOMENTUM, parameters.l2)
        return Schedule(
            parameters.hidden, rule, parameters.epochs, parameters.batch_size, parameters.patience
        )

    def train(self, task: Task, parameters: Any) -> TrainedLayers:
        """Learn."""
        return train_layers(task, self.schedule(parameters))


NETWORK = Network()
