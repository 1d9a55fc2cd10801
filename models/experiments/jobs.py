"""What an engine is told of a run, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flumen.interceptor.classifier import Preprocess
from flumen.models.evaluation.report import Report
from flumen.models.experiments.run import Measures, Round, State
from flumen.models.experiments.setting import Value
from flumen.models.manifest import Manifest
from flumen.models.trainers.trainer import Progress


@dataclass(frozen=True, slots=True)
class Job:
    """A run to compute. `folder` holds the images as `open_arrays` maps them; `labels` has a name for each output."""

    trainer: str
    parameters: Mapping[str, Value]
    seed: int
    folder: Path
    labels: tuple[str, ...]
    preprocess: Preprocess


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run; all of it is as in its record."""

    state: State
    duration_s: float
    curves: tuple[Round, ...] = ()
    validation: Measures | None = None
    test: Measures | None = None
    confusion: tuple[tuple[int, int, int], ...] = ()
    answers: str = ""
    software: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """Asks for the model of a run that was computed, to be registered under this name.

    `data`, `data_sha256`: the images that it learnt from, in words, and their fingerprint. `facts`: what its manifest
    says of how it was made, beside the parameters.
    """

    name: str
    data: str
    data_sha256: str
    facts: Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Exported:
    """A model, the report on it, both without a version, and the rounds it took; or why there is none."""

    content: bytes = b""
    manifest: Manifest | None = None
    report: Report | None = None
    rounds: tuple[Progress, ...] = ()
    error: str | None = None
