"""The record of a run: what was made with, how it went, what came of it, and who has it in hand."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flumen.models.errors import RunUnreadable
from flumen.models.experiments.setting import Value

SCHEMA = 1
"""The newest schema of a record that is read here. A key that is added has a default; what an older version may not
ignore makes it rise."""

State = Literal["claimed", "running", "done", "diverged", "failed"]
STATES: tuple[State, ...] = ("claimed", "running", "done", "diverged", "failed")
STANDING: tuple[State, ...] = ("done", "diverged")
"""What is a result, and is not computed again. A run that failed is to be made again: its machine was to blame."""

Row = Mapping[str, str | int | float | None]
"""A record as a table holds it: a plain value for each column."""

_MEASURES = ("accuracy", "precision", "recall", "f1")
_JSON = ("parameters", "curves", "confusion", "software")
_MOST_ROUNDS_KEPT = 1_000
_LONG = ("curves", "confusion", "answers", "software", "error")
"""What no table of runs shows."""


@dataclass(frozen=True, slots=True)
class Round:
    """How training stood after a round. `loss`: None where it was no number. `accuracy`: on the validation part."""

    number: int
    loss: float | None
    accuracy: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Measures:
    """How good a model is on one part of the images, 0..1; `precision`, `recall` and `f1` as the article counts."""

    accuracy: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt at one setting on one selection of images; the three first fields are its key.

    `parameters`: all of the trainer's. `claimed_by`: the process that has it in hand, or had. `beat` counts the
    renewals of its claim, which is over where `lease_s` seconds pass without one. Times are microseconds since the
    epoch by the clock of that process, for people; nothing is decided by them. `snapshot_at`: the moment from which its
    images were taken, where they stand in a table; whoever goes on with the experiment takes them from there.
    `rounds`: how many are over. `curves`: at most about 1,000 of them, evenly spaced. `confusion`: known label,
    predicted label, and how many of the test images, where there are any. `answers`: to each test image, as
    `answered.py` packs them. `error`: what was said by the trainer that diverged, or by what failed.
    """

    run_id: str
    data_sha256: str
    attempt: int = 1
    schema: int = SCHEMA
    experiment: str = ""
    trainer: str = ""
    outputs: int = 0
    seed: int = 0
    parameters: Mapping[str, Value] = field(default_factory=dict)
    state: State = "claimed"
    claimed_by: str = ""
    beat: int = 0
    lease_s: float = 60.0
    claimed_at: int | None = None
    renewed_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    snapshot_at: int | None = None
    duration_s: float | None = None
    rounds: int = 0
    curves: tuple[Round, ...] = ()
    validation: Measures | None = None
    test: Measures | None = None
    confusion: tuple[tuple[int, int, int], ...] = ()
    answers: str = ""
    model: str | None = None
    model_version: int | None = None
    model_sha256: str | None = None
    machine: str = ""
    software: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def stands(self) -> bool:
        """Whether it is a result."""
        return self.state in STANDING

    @property
    def accuracy(self) -> float | None:
        """What runs are compared by: the accuracy on the validation part, or where there is none on the test images.

        None of a run that diverged: its measures are those of what its rounds had left before, which is no model.
        """
        if self.state == "diverged":
            return None
        measures = self.validation or self.test
        return measures.accuracy if measures else None

    @property
    def reference(self) -> str | None:
        """The model that was made of it, as `NAME@VERSION`."""
        return f"{self.model}@{self.model_version}" if self.model and self.model_version else None


def to_row(run: Run) -> dict[str, str | int | float | None]:
    """Return a record as plain values, a column each: measures one by one, the rest of what is nested as JSON."""
    row: dict[str, Any] = {each.name: getattr(run, each.name) for each in dataclasses.fields(run)}
    row["curves"] = [dataclasses.astuple(one) for one in thinned(run.curves)]
    for part in ("validation", "test"):
        measures = row.pop(part)
        row |= {f"{part}_{name}": measures and getattr(measures, name) for name in _MEASURES}
    for name in _JSON:
        row[name] = json.dumps(row[name], separators=(",", ":"))
    return row


def from_row(row: Mapping[str, Any]) -> Run:
    """Return the record that a table holds. Columns that are not known are ignored, others have their defaults.

    Raises:
        RunUnreadable: it is damaged, or of a schema that is not known here.
    """
    known = {name: value for name, value in row.items() if value is not None}
    which = f"run {known.get('run_id')!r}, attempt {known.get('attempt')}"
    if known.get("schema", SCHEMA) > SCHEMA:
        raise RunUnreadable(
            f"{which} has schema {known['schema']}, and this version of flumen reads up to {SCHEMA}: upgrade it"
        )
    try:
        nested = {name: json.loads(known[name]) for name in _JSON if name in known}
        names = {each.name for each in dataclasses.fields(Run)} - set(_JSON)
        return Run(
            **{name: value for name, value in known.items() if name in names},
            parameters={name: _value(value) for name, value in nested.get("parameters", {}).items()},
            curves=tuple(Round(*one[:4]) for one in nested.get("curves", [])),
            confusion=tuple((int(a), int(b), int(count)) for a, b, count in nested.get("confusion", [])),
            software=nested.get("software", {}),
            validation=_measures(known, "validation"),
            test=_measures(known, "test"),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise RunUnreadable(f"{which} cannot be read: {error}. Its record was damaged") from error


def thinned(rounds: tuple[Round, ...]) -> tuple[Round, ...]:
    """Return rounds that are few enough to be kept, the last among them."""
    step = -(-len(rounds) // _MOST_ROUNDS_KEPT) or 1
    return rounds[::-1][::step][::-1]


def _value(value: Any) -> Value:
    return tuple(value) if isinstance(value, list) else value


def _measures(row: Mapping[str, Any], part: str) -> Measures | None:
    values = [row.get(f"{part}_{name}") for name in _MEASURES]
    return None if any(value is None for value in values) else Measures(*map(float, values))  # type: ignore[arg-type]


COLUMNS = tuple(to_row(Run(run_id="", data_sha256="")))
"""All columns of a record."""

BRIEF = tuple(name for name in COLUMNS if name not in _LONG)
"""Those without what may be long."""
