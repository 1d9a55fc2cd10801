"""What comes of a run that was computed: how good it is, and the model with its manifest."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Labelled
from flumen.models.evaluation.measures import score
from flumen.models.experiments.local.jobs import Export, Exported, Result
from flumen.models.experiments.run import Measures
from flumen.models.manifest import Scores, Training
from flumen.models.trainers.trainer import Task, Trained, Trainer

_ROWS_A_CALL = 1000


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


def export(
    asked: Export,
    task: Task,
    trainer: Trainer,
    parameters: Any,
    trained: Trained,
    result: Result,
    test: Labelled,
) -> Exported:
    """Return the model with its manifest.

    Raises:
        ExportDiffers: its ONNX file does not answer as its trainer does.
    """
    from flumen.models.trainers.making import export_model, training_parameters

    training = Training(
        data=asked.data,
        data_sha256=asked.data_sha256,
        images=len(task.train.labels),
        seed=task.seed,
        parameters={**training_parameters(task, trainer, parameters, trained), **asked.facts},
        duration_s=result.duration_s,
        software=dict(result.software),
    )
    content, manifest, _ = export_model(asked.name, task, trained, training, test)
    return Exported(content, replace(manifest, scores=_scores(asked, task, result)))


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
