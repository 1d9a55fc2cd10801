"""The trainer `network-scikit`: the article's network by scikit-learn, which made the first models that are shipped.

What `network` is held to by the tests: from the same seed both end at the same weights but for the rounding. It takes
about twice the time, and is kept because it gives the shipped models again, bit for bit, on the processor that made
them.
"""

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.errors import Diverged, TrainingFailed
from flumen.models.manifest import tensor_shape
from flumen.models.trainers.dense import BLAS_THREADS, descent_facts
from flumen.models.trainers.descent import Layers, Rule
from flumen.models.trainers.network import MOMENTUM, Parameters
from flumen.models.trainers.rounds import Rounds
from flumen.models.trainers.tensors import INPUT_TENSOR, OPSET, OUTPUT_TENSOR, flat_preprocess
from flumen.models.trainers.trainer import Progress, Task

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier


@dataclass(frozen=True, slots=True)
class TrainedByScikit:
    """A network that has learnt. `fitted`: scikit-learn's. `shape`: of one image's tensor."""

    fitted: "MLPClassifier"
    shape: tuple[int, ...]
    rounds: tuple[Progress, ...]
    facts: dict[str, int | float | str]

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify; float32, n x `shape` in, n x labels out."""
        answers: NDArray[np.float32] = self.fitted.predict_proba(tensor.reshape(len(tensor), -1))
        return answers

    def to_onnx(self) -> bytes:
        """Return it as ONNX."""
        return scikit_onnx(self.fitted, self.shape)


class ScikitNetwork:
    """The article's network, by scikit-learn."""

    name = "network-scikit"
    summary = "The same network by scikit-learn, as the shipped models were made; about half as fast"
    parameters = Parameters
    packages = ("numpy", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")

    def preprocess(self, pixels: NDArray[np.uint8]) -> Preprocess:
        """Return the article's way: a grey value above 30 becomes 1.0, any other 0.0."""
        return flat_preprocess(pixels)

    def train(self, task: Task, parameters: Any) -> TrainedByScikit:
        """Learn. A penalty that does not divide the last, shorter batch of an epoch is scikit-learn's own."""
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        if task.class_weights is not None:
            raise TrainingFailed(f"the trainer {self.name!r} knows no class weights; `network` does")
        tensor = _vectors(task, task.train.pixels)
        validation = None if task.validation is None else _vectors(task, task.validation.pixels)
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
            random_state=np.random.RandomState(task.seed),
        )
        rounds: Rounds[MLPClassifier] = Rounds(task, parameters.epochs, parameters.patience)
        goes_on = True
        with threadpool_limits(BLAS_THREADS, user_api="blas"):
            while goes_on:
                if reason := _one_epoch(network, tensor, task):
                    before = _trained(task, parameters, rounds, rounds.best) if rounds.best else None
                    raise Diverged(
                        f"training failed: {reason}. Choose a rate below {parameters.rate}", before
                    )
                accuracy = None
                if validation is not None and task.validation is not None:
                    accuracy = float(np.mean(network.predict(validation) == task.validation.labels))
                goes_on = rounds.take(float(network.loss_), accuracy, lambda: _copy(network))
        return _trained(task, parameters, rounds, rounds.result())


def layers_of(network: "MLPClassifier") -> Layers:
    """Return a network of scikit-learn's as layers."""
    return Layers([one.copy() for one in network.coefs_], [one.copy() for one in network.intercepts_])


def _copy(network: "MLPClassifier") -> "MLPClassifier":
    kept = copy.copy(network)
    layers = layers_of(network)
    kept.coefs_, kept.intercepts_ = layers.weights, layers.biases
    return kept


def _vectors(task: Task, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return to_tensor(pixels, task.preprocess).reshape(len(pixels), -1)


def _trained(
    task: Task, parameters: Parameters, rounds: "Rounds[MLPClassifier]", fitted: "MLPClassifier"
) -> TrainedByScikit:
    facts = descent_facts(Rule(parameters.rate, MOMENTUM, parameters.l2), rounds.best_number)
    return TrainedByScikit(fitted, tensor_shape(task.preprocess), tuple(rounds.all), facts)


def _one_epoch(network: "MLPClassifier", tensor: NDArray[np.float32], task: Task) -> str:
    """Learn from every image once; return what is no number any more, or nothing."""
    classes = np.arange(len(task.labels), dtype=np.uint8)
    try:
        # Overflow is reported by the error below, not by warnings before it.
        with np.errstate(all="ignore"):
            network.partial_fit(tensor, task.train.labels, classes=classes)
    except ValueError as error:
        return str(error)
    return "" if np.isfinite(network.loss_) else f"the loss is {network.loss_}"


def scikit_onnx(network: "MLPClassifier", shape: tuple[int, ...]) -> bytes:
    """Return a network as ONNX: `image` float32 [n, *shape] in, `probabilities` float32 [n, labels] out."""
    from onnx.utils import Extractor
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    whole = to_onnx(
        network,
        initial_types=[(INPUT_TENSOR, FloatTensorType([None, math.prod(shape)]))],
        options={"zipmap": False, "output_class_labels": False},
        target_opset={"": OPSET, "ai.onnx.ml": 1},
    )
    # It also answers with the label as an integer, by operators of another domain: cut that branch off.
    model = Extractor(whole).extract_model([INPUT_TENSOR], [OUTPUT_TENSOR])
    del model.opset_import[:]
    model.opset_import.add(domain="", version=OPSET)
    if len(shape) > 1:
        _flatten_first(model.graph, shape)
    return bytes(model.SerializeToString(deterministic=True))


def _flatten_first(graph: Any, shape: tuple[int, ...]) -> None:
    """Let a network of vectors read images of this shape, whose values follow one another in that order."""
    from onnx import TensorProto, helper

    flat = "flat"
    for node in graph.node:
        node.input[:] = [flat if name == INPUT_TENSOR else name for name in node.input]
    graph.node.insert(0, helper.make_node("Flatten", [INPUT_TENSOR], [flat], axis=1))
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(INPUT_TENSOR, TensorProto.FLOAT, ["n", *shape]))


SCIKIT_NETWORK = ScikitNetwork()
