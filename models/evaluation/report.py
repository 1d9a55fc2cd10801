"""Everything that one evaluation of a model has found, as one record. It is JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from flumen.models.errors import ReportInvalid
from flumen.models.evaluation.answers import Answers
from flumen.models.evaluation.calibration import (
    Binning,
    Reliability,
    brier_scores,
    error_by_chance,
    log_losses,
    reliability,
)
from flumen.models.evaluation.comparison import Comparison
from flumen.models.evaluation.intervals import DRAWS, Interval, bootstrap, wilson
from flumen.models.evaluation.label_errors import Contested, Suspect, suspected_labels
from flumen.models.evaluation.measures import ClassScore, macro_f1_interval, score
from flumen.models.evaluation.mistakes import Mistake, most_confident_mistakes
from flumen.models.evaluation.robustness import Robustness
from flumen.models.manifest import Manifest, Scores

SCHEMA = 1
"""The newest schema of a report that is read here."""

MOST_KEPT = 100
"""Mistakes and suspected labels that a report holds, the first of each."""


@dataclass(frozen=True, slots=True)
class Data:
    """What a model was evaluated with: in words, its fingerprint, and how many images."""

    description: str
    sha256: str
    images: int


@dataclass(frozen=True, slots=True)
class Measures:
    """All numbers of one model on one set of images; each is explained where it is computed.

    `precision`, `recall` and `f1` are counted as the article does; `macro_*` in the usual way.
    """

    accuracy: float
    accuracy_interval: Interval
    precision: float
    recall: float
    f1: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    macro_f1_interval: Interval
    log_loss: float
    log_loss_interval: Interval
    brier: float
    brier_interval: Interval
    calibration_error: float
    calibration_error_equal_mass: float
    calibration_error_by_chance: float


@dataclass(frozen=True, slots=True)
class Against:
    """Another model on the same images, and what McNemar's test says of the two; this report's model is the first."""

    model: str
    version: int
    accuracy: float
    comparison: Comparison


# As a manifest: unknown keys are a later version's, and whatever may not be ignored makes SCHEMA rise.
@with_config(ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One evaluation of one version of a model.

    `evaluated_at`: microseconds since the epoch, UTC. `seed`, `draws`: of the bootstrap. `confusion[known][predicted]`
    counts images. `mistakes` and `suspects` are the first of `suspected` and of all that are wrong.
    """

    schema: Annotated[int, Field(ge=1)] = SCHEMA
    model: str
    version: int
    sha256: str
    data: Data
    evaluated_at: int
    seed: int
    draws: int
    labels: tuple[str, ...]
    measures: Measures
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: Reliability
    reliability_equal_mass: Reliability
    mistakes: tuple[Mistake, ...]
    suspected: int
    suspects: tuple[Suspect, ...]
    contested: tuple[Contested, ...] = ()
    robustness: Robustness | None = None
    against: tuple[Against, ...] = ()


def make_report(
    manifest: Manifest,
    answers: Answers,
    data: Data,
    evaluated_at: int,
    *,
    robustness: Robustness | None = None,
    against: Sequence[Against] = (),
    contested: Sequence[Contested] = (),
    seed: int = 0,
) -> Report:
    """Take every measure of a model's answers.

    Args:
        manifest: the model's.
        answers: its answers.
        data: what the images are.
        evaluated_at: now, in microseconds since the epoch, UTC.
        robustness: measured already, if at all.
        against: other models, compared already.
        contested: labels that it and other models contest.
        seed: of the bootstrap.
    """
    evaluation = score(answers.predictions, answers.known, tuple(answers.labels))
    suspects = suspected_labels(answers)
    losses, briers = log_losses(answers), brier_scores(answers)
    equal_width, equal_mass = (reliability(answers, binning) for binning in Binning)
    return Report(
        model=manifest.name,
        version=manifest.version,
        sha256=manifest.sha256,
        data=data,
        evaluated_at=evaluated_at,
        seed=seed,
        draws=DRAWS,
        labels=tuple(answers.labels),
        measures=Measures(
            accuracy=evaluation.accuracy,
            accuracy_interval=wilson(int(np.sum(answers.right)), len(answers)),
            precision=evaluation.precision,
            recall=evaluation.recall,
            f1=evaluation.f1,
            macro_precision=evaluation.macro_precision,
            macro_recall=evaluation.macro_recall,
            macro_f1=evaluation.macro_f1,
            macro_f1_interval=macro_f1_interval(evaluation.confusion, seed),
            log_loss=float(losses.mean()),
            log_loss_interval=bootstrap(losses, seed),
            brier=float(briers.mean()),
            brier_interval=bootstrap(briers, seed),
            calibration_error=equal_width.error,
            calibration_error_equal_mass=equal_mass.error,
            calibration_error_by_chance=error_by_chance(answers, seed=seed),
        ),
        classes=evaluation.classes,
        confusion=tuple(tuple(row) for row in evaluation.confusion.tolist()),
        reliability=equal_width,
        reliability_equal_mass=equal_mass,
        mistakes=most_confident_mistakes(answers, MOST_KEPT),
        suspected=len(suspects),
        suspects=suspects[:MOST_KEPT],
        contested=tuple(contested[:MOST_KEPT]),
        robustness=robustness,
        against=tuple(against),
    )


def scores_of(report: Report) -> Scores:
    """Return what a manifest keeps of a report."""
    measures = report.measures
    return Scores(
        data_sha256=report.data.sha256,
        images=report.data.images,
        accuracy=measures.accuracy,
        precision=measures.precision,
        recall=measures.recall,
        f1=measures.f1,
        confusion=report.confusion,
        accuracy_interval=(measures.accuracy_interval.low, measures.accuracy_interval.high),
        macro_f1=measures.macro_f1,
        log_loss=measures.log_loss,
        brier=measures.brier,
        calibration_error=measures.calibration_error,
        robustness=robustness_summary(report.robustness),
    )


def robustness_summary(robustness: Robustness | None) -> dict[str, float] | None:
    """Return the mean accuracy over the steps of each disturbance, by its name; None where it was not measured."""
    return {curve.disturbance: curve.mean for curve in robustness.curves} if robustness else None


@with_config(ConfigDict(extra="ignore", strict=True))
@dataclass(frozen=True, slots=True)
class _Schema:
    """What a report of any schema says of itself."""

    schema: Annotated[int, Field(ge=1)] = SCHEMA


_ADAPTER = TypeAdapter(Report)
_SCHEMA = TypeAdapter(_Schema)


def to_json(report: Report) -> bytes:
    """Return a report as JSON."""
    return _ADAPTER.dump_json(report) + b"\n"


def from_json(content: bytes, source: str) -> Report:
    """Read a report; `source` is what messages call it.

    Raises:
        ReportInvalid: it is none, or its schema is newer than this version of flumen reads.
    """
    try:
        schema = _SCHEMA.validate_json(content).schema
        if schema > SCHEMA:
            raise ReportInvalid(
                f"{source} has schema {schema}, and this version of flumen reads {SCHEMA} at most. Upgrade flumen here"
            )
        return _ADAPTER.validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise ReportInvalid(
            f"{source} is no report of an evaluation: {where}: {first['msg']}. `flumen evaluate` makes another"
        ) from error
