"""Training the article's network: 784-500-100-10, ReLU, softmax, gradient descent with Nesterov momentum.

Other images and other layers make other networks of its kind.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Dataset
from flumen.models.errors import TrainingFailed

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

HIDDEN_LAYERS = (500, 100)
MOMENTUM = 0.98
L2_PER_RATE = 0.005
THRESHOLD = 30
BLAS_THREADS = 1


@dataclass(frozen=True, slots=True)
class Parameters:
    """What one training differs in from another; all else is the article's.

    `rate`: the learning rate; 0.01 is the best of those in the article's table of results.
    `batch_size`: images a step. The article names neither its batch size nor its number of epochs.
    `hidden`: the neurons of each hidden layer.
    """

    rate: float = 0.01
    seed: int = 123
    epochs: int = 15
    batch_size: int = 200
    hidden: tuple[int, ...] = HIDDEN_LAYERS

    @property
    def l2(self) -> float:
        """The factor of the L2 penalty, `l2 / 2 * sum(weights ** 2)`, added to a batch's mean loss."""
        return self.rate * L2_PER_RATE


@dataclass(frozen=True, slots=True)
class Epoch:
    """How training stands after an epoch. `loss`: mean over the epoch. `seconds`: since the start."""

    number: int
    loss: float
    test_accuracy: float
    seconds: float


def preprocess_of(dataset: Dataset) -> Preprocess:
    """Return the data set's own preprocessing, else the article's: grey, value > 30 -> 1.0, else 0.0."""
    _, height, width = dataset.train.pixels.shape[:3]
    return dataset.preprocess or Preprocess(width, height, threshold=THRESHOLD)


def train(dataset: Dataset, parameters: Parameters, on_epoch: Callable[[Epoch], None]) -> "MLPClassifier":
    """Train the network; `on_epoch` is called after each epoch.

    The same data, parameters and processor give the same weights, bit for bit, with any number of cores: the
    sums are made by one thread, because several would add them up in another order.

    The article's Xavier initialisation draws weights from a normal distribution of variance
    2 / (fan_in + fan_out); scikit-learn draws them, and the biases, uniformly within
    +-sqrt(6 / (fan_in + fan_out)), which has the same variance. Source: Glorot and Bengio, Understanding the
    difficulty of training deep feedforward neural networks, AISTATS 2010, equations 12 and 16.

    Raises:
        TrainingFailed: the weights left the range of numbers.
    """
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    preprocess = preprocess_of(dataset)
    tensor, test_tensor = (
        to_tensor(part.pixels, preprocess).reshape(len(part.pixels), -1)
        for part in (dataset.train, dataset.test)
    )
    classes = np.arange(int(dataset.train.labels.max()) + 1, dtype=np.uint8)
    batch_size = min(parameters.batch_size, len(tensor))
    network = MLPClassifier(
        parameters.hidden,
        activation="relu",
        solver="sgd",
        learning_rate_init=parameters.rate,
        momentum=MOMENTUM,
        nesterovs_momentum=True,
        # scikit-learn divides alpha by the number of images in a batch (_compute_loss_grad).
        alpha=parameters.l2 * batch_size,
        batch_size=batch_size,
        # A seed would be sown anew at each epoch, and every epoch would shuffle alike; a generator goes on.
        random_state=np.random.RandomState(parameters.seed),
    )
    started = time.perf_counter()
    with threadpool_limits(BLAS_THREADS, user_api="blas"):
        for number in range(1, parameters.epochs + 1):
            _one_epoch(network, tensor, dataset.train.labels, classes, parameters)
            accuracy = float(np.mean(network.predict(test_tensor) == dataset.test.labels))
            on_epoch(Epoch(number, float(network.loss_), accuracy, time.perf_counter() - started))
    return network


def _one_epoch(
    network: "MLPClassifier",
    tensor: NDArray[np.float32],
    labels: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    parameters: Parameters,
) -> None:
    try:
        # Overflow is reported by the error below, not by warnings before it.
        with np.errstate(all="ignore"):
            network.partial_fit(tensor, labels, classes=classes)
    except ValueError as error:
        raise TrainingFailed(f"training failed: {error}. Choose a rate below {parameters.rate}") from error
    if not np.isfinite(network.loss_):
        raise TrainingFailed(
            f"training failed: the loss is {network.loss_}. Choose a rate below {parameters.rate}"
        )
