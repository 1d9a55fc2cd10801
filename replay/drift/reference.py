"""What windows are compared with: a span of time, or what is known of the images that a model was made with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flumen.models.evaluation.calibration import Reliability
from flumen.models.evaluation.report import Report
from flumen.models.manifest import MEAN_EDGES, ColumnProfile, Manifest
from flumen.replay.errors import ReferenceUnusable

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Span:
    """From one time to another, which does not belong to it: microseconds since the epoch, UTC."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a column where it was not counted here: of numbers the bins' `edges`, of texts their `values`.

    `counts`: int64, one a bin or a value; of `missing` images it is null.
    """

    counts: Counts
    edges: NDArray[np.float64] | None = None
    values: tuple[str, ...] = ()
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Reference:
    """What windows are compared with: images that arrived in a `span`, else profiles of columns by their names.

    `text` says it in words. `missing` names what is not compared, and why. `accuracy`: of the model on the images of
    the reference, where profiles tell it.
    """

    text: str
    span: Span | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    missing: Sequence[str] = ()
    accuracy: float | None = None


def of_training(manifest: Manifest, reports: Sequence[Report]) -> Reference:
    """Return what a manifest and the newest evaluation of a model say of its images.

    Labels: what the model answered to the images that it was tested with, else the classes it learnt from. Confidence:
    from the evaluation. The other columns: from the rows of the training images, if they had any; else the mean
    luminance, from their pixels.

    Raises:
        ReferenceUnusable: nothing is known.
    """
    profiles: dict[str, Profile] = {}
    missing = []
    scores, profile = manifest.scores, manifest.profile
    columns = {} if profile is None else profile.columns or {}
    profiles |= {name: _of_column(column) for name, column in columns.items()}
    if not columns:
        missing.append(
            "other columns: the model's manifest knows no more, as it has not learnt from images in Kudu; give "
            "--reference FROM..TO for all of them"
        )
    if scores is not None and scores.images:
        predicted = np.array(scores.confusion, np.int64).sum(axis=0)
        profiles["label"] = Profile(predicted, values=manifest.labels)
    elif profile is not None:
        profiles["label"] = Profile(np.array(profile.class_counts, np.int64), values=manifest.labels)
    if reports:
        profiles["confidence"] = _of_confidence(reports[0].reliability)
    else:
        missing.append(f"confidence: {manifest} was not evaluated; `flumen evaluate {manifest}` does it")
    if "luminance_mean" in columns:
        pass
    elif profile is not None and profile.image_means is not None:
        profiles["luminance_mean"] = Profile(np.array(profile.image_means, np.int64), np.array(MEAN_EDGES))
    else:
        missing.append(
            "luminance_mean: the manifest has no image_means, as those of newly trained models have"
        )
    if not profiles:
        raise ReferenceUnusable(
            f"the manifest of {manifest} has neither scores nor a profile of its training images, and it was not "
            f"evaluated. Run `flumen evaluate {manifest}`, or give --reference FROM..TO, a time of which you know that "
            "all was well"
        )
    accuracy = scores.accuracy if scores is not None else None
    return Reference(f"the training of {manifest}", None, profiles, missing, accuracy)


def _of_column(column: ColumnProfile) -> Profile:
    counts = np.array(column.counts, np.int64)
    if column.starts is None:
        return Profile(counts, values=column.values or (), missing=column.missing)
    starts = np.array(column.starts)
    # A bin has its own beginning in it, and `edges` are of bins that have their ends. Below the first nothing was seen.
    edges = np.concatenate(([starts[0] - 1], np.nextafter(starts, -np.inf), [starts[-1] + 1]))
    return Profile(np.concatenate(([0], counts)), edges, missing=column.missing)


def _of_confidence(reliability: Reliability) -> Profile:
    edges = [reliability.bins[0].low, *(one.high for one in reliability.bins)]
    return Profile(np.array([one.images for one in reliability.bins], np.int64), np.array(edges))
