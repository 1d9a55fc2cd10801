"""From a data set to a model that a repository takes: train, export, check, evaluate, write the manifest."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Dataset, Labelled, test_ids
from flumen.models.errors import ExportDiffers
from flumen.models.evaluation.answers import Answers, ask
from flumen.models.evaluation.measures import Evaluation, score
from flumen.models.evaluation.report import Data, Report, make_report, scores_of
from flumen.models.manifest import (
    MAX_VALUE,
    MEAN_EDGES,
    UNREGISTERED,
    Golden,
    Manifest,
    ModelInput,
    ModelOutput,
    Profile,
    Training,
    tensor_shape,
)
from flumen.models.names import check_name
from flumen.models.runtime import OnnxClassifier
from flumen.models.structure import read_signature
from flumen.models.trainers.checks import check_arrays, check_labels, check_sizes, check_weights
from flumen.models.trainers.parameters import plain_values
from flumen.models.trainers.tensors import EMBEDDING_TENSOR, INPUT_TENSOR, OUTPUT_TENSOR
from flumen.models.trainers.trainer import DEFAULT_SEED, Progress, Task, Trained, Trainer

CHECKED_IMAGES = 1_000
CHECK_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Made:
    """A model that was made: its ONNX file, its manifest without a version, how good it is, and every round.

    `report`: all that its evaluation found, without a version too; `report_of` gives it one. `answers`: to each of the
    images to test on, to compare it with another model of the same images.
    """

    content: bytes
    manifest: Manifest
    evaluation: Evaluation
    report: Report
    rounds: tuple[Progress, ...]
    answers: Answers

    def report_of(self, version: int) -> Report:
        """Return the report as that of the version as which the model was registered."""
        return replace(self.report, version=version)


def make_model(
    name: str,
    dataset: Dataset,
    trainer: Trainer,
    parameters: Any,
    *,
    seed: int = DEFAULT_SEED,
    class_weights: tuple[float, ...] | None = None,
    report: Callable[[Progress], bool] = lambda _: True,
) -> Made:
    """Train a model, hold its ONNX file to what the trainer answers, and evaluate it on the test part.

    `report` is called after each round; where it returns False, the best round so far is the model.

    Raises:
        BadModelName: the name is not allowed.
        BadParameters: there are not as many class weights as labels, or they are not above 0.
        DatasetInvalid: the labels are not 0 to n, each at least once to learn from and once to test on, or have names
            of another number, or there is one only; or the images are no bytes, of different sizes, or not of the
            size of the model.
        Diverged, TrainingFailed: the weights left the range of numbers, or nothing can be learnt so.
        ExtraMissing: the trainer needs a package that is not installed.
        ExportDiffers: the ONNX file does not answer as the trainer does.
    """
    check_name(name)
    check_arrays(dataset)
    labels = check_labels(dataset)
    preprocess = dataset.preprocess or dataset.seen_by(trainer.preprocess(dataset.train.pixels))
    check_sizes(dataset, preprocess)
    check_weights(class_weights, labels)
    started = time.perf_counter()
    task = Task(dataset.train, dataset.validation, labels, preprocess, seed, report, class_weights)
    trained = trainer.train(task, parameters)
    duration_s = round(time.perf_counter() - started, 1)
    training = Training(
        data=dataset.fingerprint.text,
        data_sha256=dataset.fingerprint.sha256,
        images=len(dataset.train.labels),
        seed=seed,
        parameters=training_parameters(task, trainer, parameters, trained),
        duration_s=duration_s,
        software=software_of(trainer),
    )
    content, manifest, classifier = export_model(name, task, trained, training, dataset.test)
    answers, found = answers_and_report(classifier, manifest, dataset.test)
    evaluation = score(answers.predictions, answers.known, labels)
    scored = replace(manifest, scores=scores_of(found))
    return Made(content, scored, evaluation, found, trained.rounds, answers)


def export_model(
    name: str, task: Task, trained: Trained, training: Training, checked: Labelled
) -> tuple[bytes, Manifest, OnnxClassifier]:
    """Return what was trained as an ONNX file, with its manifest, which has no scores yet, and loaded.

    Golden are the first image of each label that there is among those that are `checked`: an output that no label
    belongs to has none.

    Raises:
        ExportDiffers: the ONNX file does not answer to the first 1,000 images of `checked` as the trainer does.
    """
    content = trained.to_onnx()
    preprocess = task.preprocess
    manifest = Manifest(
        name=name,
        version=UNREGISTERED,
        sha256=hashlib.sha256(content).hexdigest(),
        input=ModelInput(INPUT_TENSOR, tensor_shape(preprocess), "float32", preprocess),
        output=ModelOutput(OUTPUT_TENSOR, _embedding(content)),
        labels=task.labels,
        training=training,
        scores=None,
        profile=_profile(task.train, len(task.labels), preprocess.threshold),
        golden=(),
    )
    classifier = OnnxClassifier(content, manifest)
    check_export(trained, classifier, checked)
    return content, replace(manifest, golden=_golden(classifier, checked)), classifier


def _embedding(content: bytes) -> str | None:
    outputs = read_signature(content, "the file of the trainer").outputs
    return EMBEDDING_TENSOR if EMBEDDING_TENSOR in outputs else None


def answers_and_report(
    classifier: OnnxClassifier, manifest: Manifest, test: Labelled
) -> tuple[Answers, Report]:
    """Return what a model answers to the images to test on, and all that is measured of it.

    The manifest has to say what the model has learnt from; the report calls the images the test images of that.
    """
    ids = test_ids(test)
    pixels, known = test.pixels, test.labels.astype(np.int64)
    answers = Answers(ask(classifier, pixels), known, ids, manifest.labels)
    of = manifest.training.data if manifest.training else "images that are not known"
    about = Data(f"the test images of {of}", test.sha256, len(answers))
    return answers, make_report(manifest, answers, about, time.time_ns() // 1000)


def check_export(trained: Trained, classifier: OnnxClassifier, images: Labelled) -> None:
    """Check that a model's ONNX file answers the first 1,000 images as its trainer does.

    Raises:
        ExportDiffers: a label is another one, or a probability is further off than 1e-5.
    """
    tensor = to_tensor(images.pixels[:CHECKED_IMAGES], classifier.preprocess)
    expected, found = trained.probabilities(tensor), classifier.probabilities(tensor)
    if expected.shape != found.shape:
        raise ExportDiffers(
            f"the trainer answers with values of shape {expected.shape}, and its ONNX file {found.shape}"
        )
    others = int(np.sum(expected.argmax(axis=1) != found.argmax(axis=1)))
    # Not as the largest difference, which would be NaN where one of them is, and above nothing.
    far = int(np.sum(~(np.abs(expected - found) <= CHECK_TOLERANCE).all(axis=1)))
    if others or far:
        raise ExportDiffers(
            f"of {len(tensor):,} images, the ONNX file gives {others:,} another label than its trainer does, and "
            f"{far:,} a probability that is further off than {CHECK_TOLERANCE}. The model is not kept. Look at what "
            "the exporter makes of the trainer's operators"
        )


def training_parameters(
    task: Task, trainer: Trainer, parameters: Any, trained: Trained
) -> dict[str, int | float | str]:
    """Return what a manifest says of how a model was trained."""
    weights: dict[str, int | float | str] = {}
    if task.class_weights is not None:
        weights["class_weights"] = ",".join(f"{one:g}" for one in task.class_weights)
    if task.validation is not None:
        weights["validation_images"] = len(task.validation.labels)
    return {"trainer": trainer.name, **plain_values(parameters), **trained.facts, **weights}


def software_of(trainer: Trainer) -> dict[str, str]:
    """Return the versions of the libraries that decide on what a trainer makes, the kind of BLAS among them."""
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        **{name: version(name) for name in trainer.packages},
        "blas": ", ".join(
            sorted({f"{one['internal_api']} {one['version']} {one.get('architecture')}" for one in blas})
        ),
    }


def _profile(train_set: Labelled, classes: int, threshold: int | None) -> Profile:
    shares, values = _value_shares(train_set.pixels), np.arange(MAX_VALUE + 1)
    mean = float(shares @ values)
    return Profile(
        class_counts=tuple(np.bincount(train_set.labels, minlength=classes).tolist()),
        pixel_mean=mean,
        pixel_std=math.sqrt(float(shares @ (values - mean) ** 2)),
        foreground=None if threshold is None else float(shares[threshold + 1 :].sum()),
        image_means=_image_means(train_set.pixels),
    )


def _image_means(pixels: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return how many images have a mean value above each of `MEAN_EDGES` and at most the next; 0 is of the first."""
    counts = np.zeros(len(MEAN_EDGES) - 1, np.int64)
    for start in range(0, len(pixels), CHECKED_IMAGES):
        part = pixels[start : start + CHECKED_IMAGES]
        means = part.reshape(len(part), -1).mean(axis=1)
        counts += np.bincount(np.searchsorted(MEAN_EDGES[1:-1], means, side="left"), minlength=len(counts))
    return tuple(counts.tolist())


def _value_shares(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the share of each value 0 to 255: float64, 256. Some images at a time: all may be mapped, and many."""
    counts = np.zeros(MAX_VALUE + 1, np.int64)
    for start in range(0, len(pixels), CHECKED_IMAGES):
        counts += np.bincount(pixels[start : start + CHECKED_IMAGES].ravel(), minlength=len(counts))
    return np.asarray(counts / counts.sum())


def _golden(classifier: OnnxClassifier, test: Labelled) -> tuple[Golden, ...]:
    """Take the first image of each class, with the model's answer, right or wrong."""
    rows = np.unique(test.labels, return_index=True)[1].tolist()
    answers = classifier.probabilities(to_tensor(test.pixels[rows], classifier.preprocess))
    return tuple(
        Golden(test.pixels[row].tobytes(), tuple(answer.tolist()))
        for row, answer in zip(rows, answers, strict=True)
    )
