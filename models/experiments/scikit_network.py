"""The article's network as a trainer, until one is registered under that name."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.errors import BadParameters, TrainingFailed, UnknownTrainer
from flumen.models.manifest import tensor_shape
from flumen.models.trainers.network import BLAS_THREADS, HIDDEN_LAYERS, L2_PER_RATE, MOMENTUM, THRESHOLD
from flumen.models.trainers.trainer import Progress, Task, Trained, Trainer, find_trainer

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

NAME = "network"


def trainer_named(name: str) -> Trainer:
    """Return the trainer of that name.

    Raises:
        UnknownTrainer: there is none.
    """
    try:
        return find_trainer(name)
    except UnknownTrainer:
        if name != NAME:
            raise
        return ScikitNetwork()


@dataclass(frozen=True, slots=True)
class Parameters:
    """What one training differs in from another."""

    rate: float = 0.01
    epochs: int = 15
    batch_size: int = 200
    hidden: tuple[int, ...] = HIDDEN_LAYERS

    def __post_init__(self) -> None:
        if not (self.rate > 0 and min(self.epochs, self.batch_size, *self.hidden) > 0):
            raise BadParameters(f"{self}: all of them have to be above 0")


@dataclass(frozen=True, slots=True)
class Network:
    """A network that was trained."""

    classifier: "MLPClassifier"
    preprocess: Preprocess
    rounds: tuple[Progress, ...]

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer as scikit-learn does: n x labels."""
        answers: NDArray[np.float32] = self.classifier.predict_proba(tensor.reshape(len(tensor), -1))
        return answers

    def to_onnx(self) -> bytes:
        """Return it as ONNX."""
        from flumen.models.trainers.making import export

        return export(self.classifier, tensor_shape(self.preprocess))


class ScikitNetwork:
    """`flumen.models.trainers.trainer.Trainer` by scikit-learn; see `flumen.models.trainers.network.train`."""

    name = NAME
    summary = "The article's network, by scikit-learn"
    parameters = Parameters
    packages = ("numpy", "scikit-learn", "skl2onnx", "onnx")

    def preprocess(self, pixels: NDArray[np.uint8]) -> Preprocess:
        """Return the article's way: grey, value > 30 -> 1.0, else 0.0."""
        return Preprocess(pixels.shape[2], pixels.shape[1], threshold=THRESHOLD)

    def train(self, task: Task, parameters: Any) -> Trained:
        """Learn."""
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        tensor = to_tensor(task.train.pixels, task.preprocess).reshape(len(task.train.pixels), -1)
        batch_size = min(parameters.batch_size, len(tensor))
        classifier = MLPClassifier(
            parameters.hidden,
            solver="sgd",
            learning_rate_init=parameters.rate,
            momentum=MOMENTUM,
            alpha=parameters.rate * L2_PER_RATE * batch_size,
            batch_size=batch_size,
            random_state=np.random.RandomState(task.seed),
        )
        network = Network(classifier, task.preprocess, ())
        started = time.perf_counter()
        rounds: list[Progress] = []
        with threadpool_limits(BLAS_THREADS, user_api="blas"):
            for number in range(1, parameters.epochs + 1):
                self._epoch(classifier, tensor, task, parameters.rate)
                rounds.append(
                    Progress(
                        number,
                        parameters.epochs,
                        float(classifier.loss_),
                        _accuracy(network, task),
                        time.perf_counter() - started,
                    )
                )
                if not task.report(rounds[-1]):
                    break
        return replace(network, rounds=tuple(rounds))

    @staticmethod
    def _epoch(classifier: "MLPClassifier", tensor: NDArray[np.float32], task: Task, rate: float) -> None:
        classes = np.arange(len(task.labels), dtype=np.uint8)
        try:
            with np.errstate(all="ignore"):
                classifier.partial_fit(tensor, task.train.labels, classes=classes)
        except ValueError as error:
            raise TrainingFailed(f"training failed: {error}. Choose a rate below {rate}") from error
        if not np.isfinite(classifier.loss_):
            raise TrainingFailed(
                f"training failed: the loss is {classifier.loss_}. Choose a rate below {rate}"
            )


def _accuracy(network: Network, task: Task) -> float | None:
    if task.validation is None:
        return None
    answers = network.probabilities(to_tensor(task.validation.pixels, task.preprocess))
    return float(np.mean(answers.argmax(axis=1) == task.validation.labels))
