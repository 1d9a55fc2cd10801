"""What a model answers of stored images, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flumen.interceptor.classifier import Classifier
from flumen.interceptor.classify import Embeddings, embedding_cells, most_probable
from flumen.models.datasets.source import Skip


@dataclass(frozen=True, slots=True)
class Scored:
    """Some images with what the model answers.

    `rows`: the id and the columns that were asked for, as they stand in Kudu. `answers`, row by row: `prediction`
    (int32), `label` (string), `confidence` (float32), `probabilities` (binary: float32, little-endian, one a label) and
    `embedding` (binary, likewise; null where the model names none).
    `pixels`: what the model saw of each, uint8, n x height x width [x 3]. `skipped`: what has no answer, and why.
    `ended`: the number of the token whose last rows these are or were; None before that. `passed`: how many images the
    model was not asked about.
    """

    rows: pa.RecordBatch
    answers: pa.RecordBatch
    pixels: NDArray[np.uint8]
    skipped: Sequence[Skip] = ()
    ended: int | None = None
    passed: int = 0


def without(scored: Scored, ids: Sequence[str]) -> Scored:
    """Return what was scored, less these images."""
    kept = pc.invert(pc.is_in(scored.rows.column("id"), pa.array(ids, pa.string())))
    pixels = scored.pixels[kept.to_numpy(zero_copy_only=False)]
    return replace(scored, rows=scored.rows.filter(kept), answers=scored.answers.filter(kept), pixels=pixels)


def answer_columns(
    probabilities: NDArray[np.float32], embeddings: Embeddings | None, model: Classifier
) -> pa.RecordBatch:
    """Return `answers` of `Scored`, of what a model answers: n x labels, and n embeddings where it gives any."""
    prediction, confidence = most_probable(probabilities)
    cells = np.ascontiguousarray(probabilities, "<f4")
    width = cells.itemsize * cells.shape[1]
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(cells), [None, pa.py_buffer(cells)])
    return pa.RecordBatch.from_arrays(
        [
            pa.array(prediction),
            pa.array(list(model.labels), pa.string()).take(pa.array(prediction)),
            pa.array(confidence, pa.float32()),
            fixed.cast(pa.binary()),
            pa.nulls(len(cells), pa.binary())
            if embeddings is None
            else pa.array(embedding_cells(embeddings), pa.binary()),
        ],
        names=["prediction", "label", "confidence", "probabilities", "embedding"],
    )
