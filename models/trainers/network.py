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
L2 = 7.8125e-7
"""0.005 * (1 - momentum) / 128 images: as strong, in the long run, as the article's `l2(rate * 0.005)`.

Its library (Deeplearning4j of 2016, `BaseUpdater.postApply`) adds that times the weights behind the momentum, and then
divides by the batch size. A penalty of the loss is multiplied by the rate, and momentum adds it up 1 / (1 - momentum)
times. It matters at rates that are too high: at 0.1 no network dies with one that is a hundred times as strong.
"""


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
    l2: float = parameter(
        L2, "Factor of the penalty l2 / 2 * sum(weights ** 2) of a batch's mean loss", low=0, high=10
    )
    patience: int = parameter(
        0, "Epochs without a better accuracy on the validation part before it stops; 0: never", low=0
    )

    def __post_init__(self) -> None:
        check_bounds(self)


SHAPES = Parameters(rate=0.002, epochs=6, batch_size=100, hidden=(32,), l2=1e-5)
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
