"""The trainer `neighbours`: an image is what the images most like it are.

Distances are taken between the decoded pixels as whole numbers, in float64, where every sum is exact: two images that
are equally far away are so on every machine, and the earlier one of the training images is the nearer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.models.errors import TrainingFailed
from flumen.models.manifest import tensor_shape
from flumen.models.trainers.parameters import check_bounds, parameter
from flumen.models.trainers.rounds import Rounds
from flumen.models.trainers.tensors import INPUT_TENSOR, OPSET, OUTPUT_TENSOR, flat_preprocess
from flumen.models.trainers.trainer import Progress, Task

_ROWS_A_CALL = 500
_BLAS_THREADS = 1

_MOST_VOTES = 2**13
"""Of one image: those of 1,000 neighbours add up to a whole number that float32 has."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What one training differs in from another."""

    neighbours: int = parameter(5, "How many of the most similar images vote", low=1, high=1000)
    images: int = parameter(
        10_000,
        "Training images that are kept, drawn by the seed: all of them are in the model",
        low=1,
        high=200_000,
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class Kept:
    """Images that vote.

    `pixels`: uint8, n x values, 0 and 1 where the model sees them binarised. `votes`: float32, n x labels.
    `to_pixels`: factor and summand a value that turn a tensor into pixels again, float64.
    """

    pixels: NDArray[np.uint8]
    votes: NDArray[np.float32]
    to_pixels: tuple[NDArray[np.float64], NDArray[np.float64]]
    neighbours: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TrainedNeighbours:
    """What was kept."""

    kept: Kept
    rounds: tuple[Progress, ...]
    facts: dict[str, int | float | str]

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify; float32, n x shape in, n x labels out: the share of the votes."""
        return vote(self.kept, tensor)

    def to_onnx(self) -> bytes:
        """Return it as ONNX."""
        return neighbours_onnx(self.kept)


class Neighbours:
    """k nearest neighbours."""

    name = "neighbours"
    summary = "k nearest neighbours: no training, and a large and slow model"
    parameters = Parameters
    packages = ("numpy", "onnx", "onnxruntime")

    def preprocess(self, pixels: NDArray[np.uint8]) -> Preprocess:
        """Return the article's way: a grey value above 30 becomes 1.0, any other 0.0."""
        return flat_preprocess(pixels)

    def train(self, task: Task, parameters: Any) -> TrainedNeighbours:
        """Keep images."""
        if parameters.neighbours > min(parameters.images, len(task.train.pixels)):
            raise TrainingFailed(
                f"there are {len(task.train.pixels):,} images to learn from, of which {parameters.images:,} are kept: "
                f"{parameters.neighbours:,} neighbours cannot be had of them. Choose fewer"
            )
        kept = _keep(task, parameters)
        rounds: Rounds[Kept] = Rounds(task, 1, 0)
        accuracy = None
        if task.validation is not None:
            from flumen.interceptor.preprocess import to_tensor

            answers = vote(kept, to_tensor(task.validation.pixels, task.preprocess))
            accuracy = float(np.mean(answers.argmax(axis=1) == task.validation.labels))
        rounds.take(None, accuracy, lambda: kept)
        return TrainedNeighbours(rounds.result(), tuple(rounds.all), {"kept": len(kept.pixels)})


def vote(kept: Kept, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of the votes for each label; float32, n x shape in, n x labels out."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    factor, summand = kept.to_pixels
    others = kept.pixels.astype(np.float64)
    squares = (others**2).sum(axis=1)
    parts = [np.empty((0, kept.votes.shape[1]), np.float32)]
    with threadpool_limits(_BLAS_THREADS, user_api="blas"):
        for start in range(0, len(tensor), _ROWS_A_CALL):
            rows = tensor[start : start + _ROWS_A_CALL]
            pixels = np.rint(rows.reshape(len(rows), -1).astype(np.float64) * factor + summand)
            # The square of the image itself is the same for all others.
            distances = squares - 2 * (pixels @ others.T)
            nearest = np.argsort(distances, axis=1, kind="stable")[:, : kept.neighbours]
            votes = kept.votes[nearest].sum(axis=1)
            parts.append(votes / votes.sum(axis=1, keepdims=True))
    return np.concatenate(parts)


def neighbours_onnx(kept: Kept) -> bytes:
    """Return it as ONNX: `image` float32 [n, *shape] in, `probabilities` float32 [n, labels] out."""
    from onnx import TensorProto, helper, numpy_helper

    factor, summand = kept.to_pixels
    squares = (kept.pixels.astype(np.float64) ** 2).sum(axis=1)
    constants = {
        "others": np.ascontiguousarray(kept.pixels.T),
        "squares": squares,
        "votes": kept.votes,
        "factor": factor,
        "summand": summand,
        "minus_two": np.array(-2.0),
        "count": np.array([kept.neighbours], np.int64),
        "one": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Flatten", [INPUT_TENSOR], ["flat"], axis=1),
        node("Cast", ["flat"], ["exact"], to=TensorProto.DOUBLE),
        node("Mul", ["exact", "factor"], ["scaled"]),
        node("Add", ["scaled", "summand"], ["moved"]),
        node("Round", ["moved"], ["pixels"]),
        node("Cast", ["others"], ["exact_others"], to=TensorProto.DOUBLE),
        node("MatMul", ["pixels", "exact_others"], ["products"]),
        node("Mul", ["products", "minus_two"], ["doubled"]),
        node("Add", ["squares", "doubled"], ["distances"]),
        # Of equal distances it takes the one that comes first.
        node("TopK", ["distances", "count"], ["least", "nearest"], axis=1, largest=0, sorted=1),
        node("Gather", ["votes", "nearest"], ["each"], axis=0),
        node("ReduceSum", ["each", "one"], ["sums"], keepdims=0),
        node("ReduceSum", ["sums", "one"], ["all"], keepdims=1),
        node("Div", ["sums", "all"], [OUTPUT_TENSOR]),
    ]
    graph = helper.make_graph(
        nodes,
        "neighbours",
        [helper.make_tensor_value_info(INPUT_TENSOR, TensorProto.FLOAT, ["n", *kept.shape])],
        [helper.make_tensor_value_info(OUTPUT_TENSOR, TensorProto.FLOAT, ["n", kept.votes.shape[1]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return bytes(model.SerializeToString(deterministic=True))


def _keep(task: Task, parameters: Parameters) -> Kept:
    count = len(task.train.pixels)
    rows = np.arange(count)
    if count > parameters.images:
        rows = np.sort(np.random.RandomState(task.seed).permutation(count)[: parameters.images])
    votes = np.diag(_whole_votes(task))[task.train.labels[rows]].astype(np.float32)
    return Kept(
        _ordered(task.train.pixels[rows], task.preprocess),
        votes,
        _to_pixels(task.preprocess),
        parameters.neighbours,
        tensor_shape(task.preprocess),
    )


def _whole_votes(task: Task) -> NDArray[np.float64]:
    """Return how much an image of each label counts, in whole numbers.

    Their sums are exact in float32, in whatever order they are added up: labels that are level are so in the ONNX file.
    """
    weights = np.asarray(task.class_weights or [1.0] * len(task.labels), np.float64)
    if task.class_weights is None:
        return weights
    return np.asarray(np.maximum(np.rint(weights / weights.max() * _MOST_VOTES), 1))


def _ordered(pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return pixels in the order that a tensor has them, as vectors."""
    values = pixels if preprocess.threshold is None else (pixels > preprocess.threshold).astype(np.uint8)
    values = values.reshape(len(values), preprocess.height, preprocess.width, preprocess.channels)
    if preprocess.layout == "nchw":
        values = values.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(values.reshape(len(values), -1))


def _to_pixels(preprocess: Preprocess) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return factor and summand of each value of a tensor that make it the pixel it was made of."""
    height, width, channels = preprocess.height, preprocess.width, preprocess.channels
    factor, summand = np.ones(channels), np.zeros(channels)
    if preprocess.threshold is None:
        factor = np.broadcast_to(np.asarray(preprocess.std) / preprocess.scale, channels)
        summand = np.broadcast_to(np.asarray(preprocess.mean) / preprocess.scale, channels)
    if preprocess.layout == "nchw":
        return np.repeat(factor, height * width), np.repeat(summand, height * width)
    return np.tile(factor, height * width), np.tile(summand, height * width)


NEIGHBOURS = Neighbours()
