"""The seam between the model repository and an index: what is known of a model, to find it by what it can do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flumen.interceptor.columns import Column, Kind

MODEL = "model"
"""What `kind` is of every entry."""

_TEXTS = {
    "kind": "always `model`",
    "sha256": "of the ONNX file",
    "data": "what it was evaluated with, in words",
    "data_sha256": "the fingerprint of that",
}
_MEASURES = {
    "accuracy": "share that is right",
    "accuracy_low": "the lower end of its 95 % interval",
    "accuracy_high": "the upper end",
    "precision": "as the article counts",
    "recall": "as the article counts",
    "f1": "as the article counts",
    "macro_f1": "mean of the classes' F1",
    "log_loss": "0 is best",
    "brier": "0 is best, 2 worst",
    "calibration_error": "how far confidence is off, on average",
    "robustness": "mean accuracy on disturbed images",
    "robust_noise": "mean accuracy on images with noise; likewise the following",
    "robust_blur": "",
    "robust_rotation": "",
    "robust_shift": "",
    "robust_scale_smaller": "",
    "robust_scale_larger": "",
    "robust_contrast": "",
    "robust_brighter": "",
    "robust_darker": "",
    "robust_inversion": "",
    "robust_jpeg": "",
}
COLUMNS: tuple[Column, ...] = (
    Column("id", Kind.STRING, "name@version", nullable=False),
    Column("model", Kind.STRING, "its name"),
    Column("model_version", Kind.INT32, "its version"),
    *(Column(name, Kind.STRING, doc) for name, doc in _TEXTS.items()),
    Column("labels", Kind.STRINGS, "what it can tell apart"),
    Column("classes", Kind.INT32, "how many of them"),
    Column("width", Kind.INT32, "of an image as it reads it, in pixels"),
    Column("height", Kind.INT32, "likewise"),
    Column("channels", Kind.INT32, "1 grey, 3 RGB"),
    Column("parameters", Kind.STRINGS, "of its training, as `rate=0.01`"),
    Column("images", Kind.INT64, "it was evaluated with"),
    Column("evaluated_at", Kind.TIMESTAMP, "when that was"),
    *(Column(name, Kind.DOUBLE, doc) for name, doc in _MEASURES.items()),
)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One version of a model in the index: its name, its version, and values by the names of `COLUMNS`.

    What is not known is left out, or None. `id`, `kind`, `model` and `model_version` need not be among the values.
    """

    model: str
    version: int
    values: Mapping[str, Any]

    @property
    def id(self) -> str:
        """What the index calls it, `name@version`."""
        return f"{self.model}@{self.version}"

    @property
    def row(self) -> dict[str, Any]:
        """Its columns, without those that are not known."""
        known = {name: value for name, value in self.values.items() if value is not None}
        own = {"id": self.id, "kind": MODEL, "model": self.model, "model_version": self.version}
        return known | own


class ModelIndex(Protocol):
    """Where versions of models are found by what they can do. It can be made again from the repository at any time."""

    def put(self, entries: Iterable[ModelEntry]) -> None:
        """Write entries, each in the place of the one of its id; they are found when this returns.

        Raises:
            StoreUnavailable: the server does not answer.
            StoreError: an entry is refused; the message says which and why. Others may be written.
            StoreClosed: it was closed.
        """

    def get(self, model: str, version: int) -> Mapping[str, Any] | None:
        """Return the row of a version, by column, or None; what is not known of it is left out."""

    def ids(self) -> Sequence[str]:
        """Return the ids of all entries, sorted."""

    def close(self) -> None:
        """Release connections. A second call does nothing."""
