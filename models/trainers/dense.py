"""Learning dense layers from a task: the article's network, and logistic regression, which has none but the last."""

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.preprocess import to_tensor
from flumen.models.errors import Diverged
from flumen.models.manifest import tensor_shape
from flumen.models.trainers.descent import Descent, Examples, Floats, Layers, Rule
from flumen.models.trainers.rounds import Rounds
from flumen.models.trainers.tensors import INPUT_TENSOR, OPSET, OUTPUT_TENSOR
from flumen.models.trainers.trainer import Progress, Task

BLAS_THREADS = 1
"""Several would add the same numbers up in another order, which gives other weights."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How layers learn. `hidden`: neurons of each hidden layer. `epochs`, `batch_size`, `patience`: of rounds."""

    hidden: tuple[int, ...]
    rule: Rule
    epochs: int
    batch_size: int
    patience: int


@dataclass(frozen=True, slots=True)
class TrainedLayers:
    """Dense layers that have learnt. `shape`: of one image's tensor."""

    layers: Layers
    shape: tuple[int, ...]
    rounds: tuple[Progress, ...]
    facts: dict[str, int | float | str]

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify; float32, n x `shape` in, n x labels out."""
        return self.layers.probabilities(tensor.reshape(len(tensor), -1))

    def to_onnx(self) -> bytes:
        """Return it as ONNX."""
        return dense_onnx(self.layers, self.shape)


@runtime_checkable
class TrainerOfLayers(Protocol):
    """A trainer of dense layers, whose parameters say no more than how these learn."""

    @property
    def name(self) -> str:
        """What `--trainer` calls it."""

    def schedule(self, parameters: Any) -> Schedule:
        """Return how layers learn with these parameters."""


def train_layers(task: Task, schedule: Schedule) -> TrainedLayers:
    """Learn; the same task, schedule and processor give the same weights, bit for bit.

    Chance is NumPy's `RandomState`, whose numbers are the same in every version of NumPy, which its newer generators
    do not promise.

    Raises:
        Diverged: the weights left the range of numbers; what the rounds before have left goes with it.
    """
    import scipy.linalg.blas  # noqa: F401 - its threads are limited only once it is there
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    data = Examples(_vectors(task, task.train.pixels), task.train.labels, shares(task))
    validation = None if task.validation is None else _vectors(task, task.validation.pixels)
    random = np.random.RandomState(task.seed)
    sizes = (data.tensor.shape[1], *schedule.hidden, len(task.labels))
    # What overflows is reported by the error below, not by warnings before it.
    with threadpool_limits(BLAS_THREADS, user_api="blas"), np.errstate(all="ignore"):
        descent = Descent(
            Layers.drawn(sizes, random), schedule.rule, data, min(schedule.batch_size, len(data.labels))
        )
        del data  # whose tensor is large, and not the one that is learnt from if inputs are left out
        rounds: Rounds[Layers] = Rounds(task, schedule.epochs, schedule.patience)
        goes_on = True
        while goes_on:
            loss = descent.epoch(random)
            layers = descent.layers
            if reason := _divergence(loss, layers):
                before = _trained(task, schedule, rounds, rounds.best) if rounds.best else None
                raise Diverged(f"training failed: {reason}. Choose a rate below {schedule.rule.rate}", before)
            goes_on = rounds.take(loss, _accuracy(layers, validation, task), lambda kept=layers: kept)  # type: ignore[misc]
    return _trained(task, schedule, rounds, rounds.result())


def _trained(task: Task, schedule: Schedule, rounds: Rounds[Layers], layers: Layers) -> TrainedLayers:
    facts = descent_facts(schedule.rule, rounds.best_number)
    return TrainedLayers(layers, tensor_shape(task.preprocess), tuple(rounds.all), facts)


def descent_facts(rule: Rule, best_epoch: int) -> dict[str, int | float | str]:
    """Return what a manifest says of how layers have learnt."""
    return {
        "momentum": rule.momentum,
        "l2": rule.l2,
        "updater": "nesterov",
        "activation": "relu",
        "loss": "negative log likelihood of softmax",
        "init": "glorot uniform",
        "best_epoch": best_epoch,
    }


def shares(task: Task) -> Floats | None:
    """Return how much each image to learn from counts, 1 on average; None for all alike."""
    if task.class_weights is None:
        return None
    weights = np.asarray(task.class_weights, np.float64)[task.train.labels]
    weights /= weights.mean()
    return np.asarray(weights, np.float32)


def dense_onnx(layers: Layers, shape: tuple[int, ...]) -> bytes:
    """Return layers as ONNX: `image` float32 [n, *shape] in, `probabilities` float32 [n, labels] out."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    weights: list[Any] = []
    values = INPUT_TENSOR
    if len(shape) > 1:
        values = "flat"
        nodes.append(helper.make_node("Flatten", [INPUT_TENSOR], [values], axis=1))
    last = len(layers.weights) - 1
    for position, (matrix, biases) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        names = {name: f"{name}{position}" for name in ("weights", "biases", "product", "sum", "hidden")}
        weights += [
            numpy_helper.from_array(np.ascontiguousarray(matrix), names["weights"]),
            numpy_helper.from_array(np.ascontiguousarray(biases), names["biases"]),
        ]
        nodes += [
            helper.make_node("MatMul", [values, names["weights"]], [names["product"]]),
            helper.make_node("Add", [names["product"], names["biases"]], [names["sum"]]),
        ]
        values = names["sum"]
        if position < last:
            nodes.append(helper.make_node("Relu", [values], [names["hidden"]]))
            values = names["hidden"]
    nodes.append(helper.make_node("Softmax", [values], [OUTPUT_TENSOR], axis=1))
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info(INPUT_TENSOR, TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info(OUTPUT_TENSOR, TensorProto.FLOAT, ["n", len(layers.biases[-1])])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return bytes(model.SerializeToString(deterministic=True))


def _vectors(task: Task, pixels: NDArray[np.uint8]) -> Floats:
    return to_tensor(pixels, task.preprocess).reshape(len(pixels), -1)


def _accuracy(layers: Layers, tensor: Floats | None, task: Task) -> float | None:
    if tensor is None or task.validation is None:
        return None
    return float(np.mean(layers.probabilities(tensor).argmax(axis=1) == task.validation.labels))


def _divergence(loss: float, layers: Layers) -> str:
    """Return what is no number any more, or nothing."""
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    if not all(np.isfinite(one).all() for one in (*layers.weights, *layers.biases)):
        return "the weights left the range of numbers"
    return ""
