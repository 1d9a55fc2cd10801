"""What comes of a run that was computed: how good it is, and the model with its manifest."""

import hashlib
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Labelled
from flumen.models.evaluation.measures import score
from flumen.models.experiments.local.jobs import Export, Exported, Result
from flumen.models.experiments.run import Measures
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
from flumen.models.trainers.trainer import Task, Trained

_ROWS_A_CALL = 1000
_CHECKED_IMAGES = 1000
_TOLERANCE = 1e-5


def measure(
    trained: Trained, part: Labelled, task: Task
) -> tuple[Measures, tuple[tuple[int, int, int], ...]]:
    """Return how good a model is on a part, and its confusion: known label, predicted label, how many."""
    answers = [
        trained.probabilities(to_tensor(part.pixels[at : at + _ROWS_A_CALL], task.preprocess))
        for at in range(0, len(part.pixels), _ROWS_A_CALL)
    ]
    predictions = np.concatenate(answers).argmax(axis=1)
    found = score(predictions, part.labels.astype(np.int64), task.labels)
    confusion = tuple(
        (known, predicted, int(found.confusion[known, predicted]))
        for known, predicted in np.argwhere(found.confusion).tolist()
    )
    return Measures(found.accuracy, found.precision, found.recall, found.f1), confusion


def export(asked: Export, task: Task, parameters: Any, trained: Trained, result: Result) -> Exported:
    """Return the model with its manifest, where its ONNX file answers as its trainer does."""
    from flumen.models.runtime import OnnxClassifier
    from flumen.models.trainers.making import INPUT_TENSOR, OUTPUT_TENSOR

    content = trained.to_onnx()
    pixels = task.train.pixels
    manifest = Manifest(
        name=asked.name,
        version=UNREGISTERED,
        sha256=hashlib.sha256(content).hexdigest(),
        input=ModelInput(INPUT_TENSOR, tensor_shape(task.preprocess), "float32", task.preprocess),
        output=ModelOutput(OUTPUT_TENSOR),
        labels=task.labels,
        training=Training(
            data=f"{len(pixels)} images of {pixels.shape[2]}x{pixels.shape[1]}{', RGB' if pixels.ndim > 3 else ''}",  # noqa: PLR2004
            data_sha256=asked.data_sha256,
            images=len(pixels),
            seed=task.seed,
            parameters={**{name: _plain(value) for name, value in asdict(parameters).items()}, **asked.facts},
            duration_s=result.duration_s,
            software=dict(result.software),
        ),
        scores=_scores(asked, task, result),
        profile=Profile(
            class_counts=tuple(np.bincount(task.train.labels, minlength=len(task.labels)).tolist()),
            pixel_mean=float(pixels.mean()),
            pixel_std=float(pixels.std()),
            foreground=None
            if task.preprocess.threshold is None
            else float((pixels > task.preprocess.threshold).mean()),
        ),
        golden=(),
    )
    classifier = OnnxClassifier(content, manifest)
    tensor = to_tensor(pixels[:_CHECKED_IMAGES], task.preprocess)
    answers, expected = classifier.probabilities(tensor), trained.probabilities(tensor)
    if not (np.abs(answers - expected) <= _TOLERANCE).all():
        return Exported(error="its ONNX file answers otherwise than its trainer; the model is not kept")
    # The first image of each label that there is: an output that no label belongs to has none.
    rows = np.unique(task.train.labels[:_CHECKED_IMAGES], return_index=True)[1].tolist()
    golden = tuple(Golden(pixels[row].tobytes(), tuple(answers[row].tolist())) for row in rows)
    return Exported(content, replace(manifest, golden=golden))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else value


def _scores(asked: Export, task: Task, result: Result) -> Scores | None:
    if result.test is None:
        return None
    confusion = np.zeros((len(task.labels), len(task.labels)), np.int64)
    for known, predicted, count in result.confusion:
        confusion[known, predicted] = count
    return Scores(
        data_sha256=asked.tested_sha256,
        images=int(confusion.sum()),
        **asdict(result.test),
        confusion=tuple(map(tuple, confusion.tolist())),
    )
