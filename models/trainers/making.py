"""From a data set to a model that a repository takes: train, export, evaluate, write the manifest."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.errors import DatasetInvalid
from flumen.models.evaluation.measures import Evaluation, evaluate
from flumen.models.manifest import (
    UNREGISTERED,
    Golden,
    Manifest,
    ModelInput,
    ModelOutput,
    Profile,
    Scores,
    Training,
    tensor_shape,
)
from flumen.models.names import check_name
from flumen.models.runtime import OnnxClassifier
from flumen.models.trainers.network import (
    MOMENTUM,
    Epoch,
    Parameters,
    preprocess_of,
    train,
)

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

INPUT_TENSOR = "image"
OUTPUT_TENSOR = "probabilities"
OPSET = 13
"""The lowest that has everything the network needs: the widest choice of runtimes."""


def make_model(
    name: str, dataset: Dataset, parameters: Parameters, on_epoch: Callable[[Epoch], None]
) -> tuple[bytes, Manifest, Evaluation]:
    """Train a model; return its ONNX file, its manifest without a version, and how good it is.

    Raises:
        BadModelName: the name is not allowed.
        DatasetInvalid: the labels are not 0 to n, each at least once to learn from and once to test on, or have names
            of another number.
        TrainingFailed: the weights left the range of numbers.
    """
    check_name(name)
    labels = _labels(dataset)
    started = time.perf_counter()
    network = train(dataset, parameters, on_epoch)
    duration_s = round(time.perf_counter() - started, 1)
    preprocess = preprocess_of(dataset)
    content = export(network, tensor_shape(preprocess))
    manifest = Manifest(
        name=name,
        version=UNREGISTERED,
        sha256=hashlib.sha256(content).hexdigest(),
        input=ModelInput(INPUT_TENSOR, tensor_shape(preprocess), "float32", preprocess),
        output=ModelOutput(OUTPUT_TENSOR),
        labels=labels,
        training=_training(dataset.train, parameters, duration_s),
        scores=None,
        profile=_profile(dataset.train, len(labels), preprocess.threshold),
        golden=(),
    )
    classifier = OnnxClassifier(content, manifest)
    evaluation = evaluate(classifier, dataset.test.pixels, dataset.test.labels)
    manifest = replace(
        manifest, scores=_scores(dataset.test, evaluation), golden=_golden(classifier, dataset.test)
    )
    return content, manifest, evaluation


def export(network: "MLPClassifier", shape: tuple[int, ...]) -> bytes:
    """Return a network as ONNX: `image` float32 [n, *shape] in, `probabilities` float32 [n, classes] out."""
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


def _labels(dataset: Dataset) -> tuple[str, ...]:
    learnt, tested = np.unique(dataset.train.labels).tolist(), np.unique(dataset.test.labels).tolist()
    if not learnt == tested == list(range(len(learnt))):
        raise DatasetInvalid(
            f"the labels to learn from are {learnt}, those to test on {tested}; both must be 0, 1, 2, ..."
        )
    if dataset.labels and len(dataset.labels) != len(learnt):
        raise DatasetInvalid(f"there are {len(learnt)} labels, and {len(dataset.labels)} names for them")
    return dataset.labels or tuple(map(str, learnt))


def _training(train_set: Labelled, parameters: Parameters, duration_s: float) -> Training:
    count, height, width, *colours = train_set.pixels.shape
    return Training(
        data=f"{count} images of {width}x{height}{', RGB' if colours else ''}",
        data_sha256=train_set.sha256,
        images=count,
        seed=parameters.seed,
        parameters={
            "rate": parameters.rate,
            "epochs": parameters.epochs,
            "batch_size": parameters.batch_size,
            "momentum": MOMENTUM,
            "l2": parameters.l2,
            "updater": "nesterov",
            "hidden": "-".join(map(str, parameters.hidden)),
            "activation": "relu",
            "loss": "negative log likelihood of softmax",
            "init": "glorot uniform",
        },
        duration_s=duration_s,
        software=_software(),
    )


def _software() -> dict[str, str]:
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        **{name: version(name) for name in ("numpy", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")},
        "blas": ", ".join(
            sorted({f"{one['internal_api']} {one['version']} {one.get('architecture')}" for one in blas})
        ),
    }


def _scores(test: Labelled, evaluation: Evaluation) -> Scores:
    return Scores(
        data_sha256=test.sha256,
        images=evaluation.images,
        accuracy=evaluation.accuracy,
        precision=evaluation.precision,
        recall=evaluation.recall,
        f1=evaluation.f1,
        confusion=tuple(tuple(row) for row in evaluation.confusion.tolist()),
    )


def _profile(train_set: Labelled, classes: int, threshold: int | None) -> Profile:
    return Profile(
        class_counts=tuple(np.bincount(train_set.labels, minlength=classes).tolist()),
        pixel_mean=float(train_set.pixels.mean()),
        pixel_std=float(train_set.pixels.std()),
        foreground=None if threshold is None else float((train_set.pixels > threshold).mean()),
    )


def _golden(classifier: OnnxClassifier, test: Labelled) -> tuple[Golden, ...]:
    """Take the first test image of each class, with the model's answer, right or wrong."""
    rows = [int(np.argmax(test.labels == label)) for label in range(len(classifier.labels))]
    answers = classifier.probabilities(to_tensor(test.pixels[rows], classifier.preprocess))
    return tuple(
        Golden(test.pixels[row].tobytes(), tuple(answer.tolist()))
        for row, answer in zip(rows, answers, strict=True)
    )
