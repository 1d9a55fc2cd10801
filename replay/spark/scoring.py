"""What an executor of Spark does with images: one model a process, asked as on the live path."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from flumen.interceptor import Limits
from flumen.interceptor.classifier import Classifier
from flumen.interceptor.classify import answers_of
from flumen.interceptor.decoding import raster_shape
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.pictures import Pictures
from flumen.models.datasets.source import UNREADABLE
from flumen.models.repository import Repository
from flumen.replay.images.row_pixels import MOST_ROWS
from flumen.replay.images.seen import fitting, pixels_of
from flumen.replay.images.stored import READ_BYTES
from flumen.replay.scoring import answer_columns
from flumen.replay.scoring.stored_images import NO_ANSWER

NO_IMAGE = "its row holds no image"

ANSWERS = pa.schema(
    [
        ("prediction", pa.int32()),
        ("label", pa.string()),
        ("confidence", pa.float32()),
        ("probabilities", pa.binary()),
        ("embedding", pa.binary()),
        ("model", pa.string()),
        ("model_version", pa.int32()),
        ("error", pa.string()),
        ("reason", pa.string()),
    ]
)
"""What `Scorer.answers` gives; `reason` is of `flumen.models.datasets.source`, or says that the model gives none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A model that is asked, as a task of Spark carries it: where it is, and the sha256 of the file that is meant."""

    repository: str
    name: str
    version: int
    sha256: str
    limits: Limits = field(default_factory=Limits)


class Scorer:
    """Puts images to a model. One thread uses it."""

    def __init__(self, model: Classifier, limits: Limits) -> None:
        self._model = model
        self._pictures = Pictures(model.preprocess, limits)

    def answers(
        self, images: pa.BinaryArray, views: pa.BinaryArray | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield answers of `ANSWERS`, a row an image, in order, so many at once as their pixels allow.

        Args:
            images: files as they were published; null where there is none.
            views: what a model saw of them that sees images as this one does; null where that is not known. It is
                taken in place of the file where it fits.

        Raises:
            Exception: the model is to blame; what it raises.
        """
        shape = raster_shape(self._model.preprocess)
        step = max(1, min(MOST_ROWS, READ_BYTES // int(np.prod(shape))))
        for start in range(0, len(images), step):
            seen = None if views is None else views.slice(start, step)
            yield self._answers(images.slice(start, step), seen)

    def close(self) -> None:
        """End the process that decodes. A second call does nothing."""
        self._pictures.close()

    def _answers(self, images: pa.BinaryArray, views: pa.BinaryArray | None) -> pa.RecordBatch:
        preprocess, count = self._model.preprocess, len(images)
        why: dict[int, tuple[str, str]] = {}
        pixels = np.empty((count, *raster_shape(preprocess)), np.uint8)
        has_view = np.zeros(count, np.bool_) if views is None else fitting(views, preprocess)
        if views is not None and has_view.any():
            pixels[has_view] = pixels_of(views.filter(pa.array(has_view)), preprocess)
        files: dict[str, bytes] = {}
        for row in np.flatnonzero(~has_view).tolist():
            content = images[row].as_py()
            if content is None:
                why[row] = (UNREADABLE, NO_IMAGE)
            else:
                files[str(row)] = content
        decoded, whole, skipped = self._pictures.decode(list(files), list(files.values()))
        pixels[np.array([int(row) for row in files], np.int64)[whole]] = decoded
        why |= {int(skip.id): (skip.reason, skip.why) for skip in skipped}
        there = [row for row in range(count) if row not in why]
        (found, flaws), embeddings = answers_of(to_tensor(pixels[there], preprocess), self._model)
        why |= {there[place]: (NO_ANSWER, flaw) for place, flaw in flaws.items()}
        good = [place for place in range(len(there)) if place not in flaws]
        answers = answer_columns(found[good], None if embeddings is None else embeddings[good], self._model)
        return self._in_place(answers, [there[place] for place in good], why, count)

    def _in_place(
        self, answers: pa.RecordBatch, rows: list[int], why: dict[int, tuple[str, str]], count: int
    ) -> pa.RecordBatch:
        place = np.zeros(count, np.int64)
        place[rows] = np.arange(len(rows))
        missing = np.ones(count, np.bool_)
        missing[rows] = False
        at = pa.array(place, mask=missing)
        texts = [[why[row][part] if row in why else None for row in range(count)] for part in (1, 0)]
        columns: list[Any] = [
            *answers.take(at).columns,
            pa.array([self._model.name] * count, pa.string()),
            pa.array([self._model.version] * count, pa.int32()),
            *(pa.array(each, pa.string()) for each in texts),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=ANSWERS)


@functools.cache
def opened(asked: Asked) -> Scorer:
    """Return what puts images to a model; it is read, verified and loaded once in this process.

    Raises:
        ModelError: it cannot be had, or is not the one that is meant.
    """
    model = Repository(asked.repository).load(asked.name, asked.version, sha256=asked.sha256)
    return Scorer(model, asked.limits)
