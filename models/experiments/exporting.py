"""What comes of a run that was computed: how good it is, and the model with its manifest."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Labelled
from flumen.models.errors import Diverged
from flumen.models.evaluation.measures import score
from flumen.models.experiments.answered import packed_answers
from flumen.models.experiments.jobs import Export, Exported, Result
from flumen.models.experiments.run import Measures
from flumen.models.manifest import Training
from flumen.models.trainers.trainer import Task, Trained, Trainer

_ROWS_A_CALL = 1000


@dataclass(frozen=True, slots=True)
class Measured:
    """How good a model is on a part, and what it answered; all of it is as in a run's record."""

    measures: Measures
    confusion: tuple[tuple[int, int, int], ...]
    answers: str


def measure(trained: Trained, part: Labelled, task: Task) -> Measured:
    """Return how good a model is on a part.

    Raises:
        Diverged: an answer is no number. The position of the highest of such would always be the first.
    """
    with np.errstate(all="ignore"):
        answers = [
            trained.probabilities(to_tensor(part.pixels[at : at + _ROWS_A_CALL], task.preprocess))
            for at in range(0, len(part.pixels), _ROWS_A_CALL)
        ]
    probabilities = np.concatenate(answers)
    if not np.isfinite(probabilities).all():
        raise Diverged("training failed: the weights are numbers, and the answers none. Choose a lower rate")
    predictions = probabilities.argmax(axis=1)
    found = score(predictions, part.labels.astype(np.int64), task.labels)
    confusion = tuple(
        (known, predicted, int(found.confusion[known, predicted]))
        for known, predicted in np.argwhere(found.confusion).tolist()
    )
    measures = Measures(found.accuracy, found.precision, found.recall, found.f1)
    return Measured(measures, confusion, packed_answers(part.labels, predictions))


def export(
    asked: Export,
    task: Task,
    trainer: Trainer,
    parameters: Any,
    trained: Trained,
    result: Result,
    test: Labelled,
) -> Exported:
    """Return the model with its manifest, and the report on the images to test on.

    Raises:
        ExportDiffers: its ONNX file does not answer as its trainer does.
    """
    from flumen.models.evaluation.report import scores_of
    from flumen.models.trainers.making import answers_and_report, export_model, training_parameters

    training = Training(
        data=asked.data,
        data_sha256=asked.data_sha256,
        images=len(task.train.labels),
        seed=task.seed,
        parameters={**training_parameters(task, trainer, parameters, trained), **asked.facts},
        duration_s=result.duration_s,
        software=dict(result.software),
    )
    content, manifest, classifier = export_model(asked.name, task, trained, training, test)
    _, report = answers_and_report(classifier, manifest, test)
    return Exported(content, replace(manifest, scores=scores_of(report)), report, trained.rounds)
