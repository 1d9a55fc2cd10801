"""Answers that a model has given already: those that an image is stored with, and those of `predictions`."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flumen.interceptor.classifier import Classifier
from flumen.replay.images.stored import Moment
from flumen.replay.scoring import StoredImages
from flumen.replay.scoring.sample import groups
from flumen.stores.kudu import Predicate

OF_IMAGES = ("model", "model_version", "prediction", "confidence", "ingested_at")
"""Columns of the images that say what was answered, and since when they are what they are."""

NO_ANSWER = -1
TRIED = 64
"""So many answers that are stored are asked for anew: another model of the same name would have given others."""

_PREDICTIONS = ("id", "prediction", "confidence", "classified_at")


class StoredAnswers:
    """Finds what one model has answered, as it stood at a moment. One thread uses it.

    It is believed once some of it was asked for anew and was the same to the last bit. Of `predictions` an answer
    counts that was given after its image had arrived: a later image of the same id has none there yet.
    """

    def __init__(
        self, moment: Moment, images: StoredImages, model: Classifier, has_predictions: bool
    ) -> None:
        self._moment = moment
        self._images = images
        self._model = model
        self._predicates = [
            Predicate("model", "=", (model.name,)),
            Predicate("model_version", "=", (model.version,)),
        ]
        self._has_predictions = has_predictions and self._any()
        self._is_believed: bool | None = None

    def of(self, rows: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the class of each row, `NO_ANSWER` where none is stored, and the confidence: both n."""
        classes = np.full(rows.num_rows, NO_ANSWER, np.int64)
        confidences = np.zeros(rows.num_rows, np.float32)
        if self._is_believed is False or not set(OF_IMAGES) <= set(rows.schema.names):
            return classes, confidences
        self._of_images(rows, classes, confidences)
        if self._has_predictions:
            self._of_predictions(rows, classes, confidences)
        if self._is_believed is None:
            self._try(rows, classes, confidences)
        if not self._is_believed:
            classes[:] = NO_ANSWER
        return classes, confidences

    def _of_images(
        self, rows: pa.RecordBatch, classes: NDArray[np.int64], confidences: NDArray[np.float32]
    ) -> None:
        ours = pc.and_(
            pc.equal(rows.column("model"), self._model.name),
            pc.equal(rows.column("model_version"), self._model.version),
        )
        self._take(rows, ours.fill_null(False).to_numpy(zero_copy_only=False), classes, confidences)

    def _of_predictions(
        self, rows: pa.RecordBatch, classes: NDArray[np.int64], confidences: NDArray[np.float32]
    ) -> None:
        ids = rows.column("id").to_pylist()
        arrived = rows.column("ingested_at").cast(pa.int64()).to_pylist()
        place = {ids[row]: row for row in np.flatnonzero(classes == NO_ANSWER).tolist()}
        for group in groups(sorted(place)):
            asked = [Predicate("id", "in", group), *self._predicates]
            for found in self._moment.rows("predictions", _PREDICTIONS, asked):
                at = np.array([place[image_id] for image_id in found.column("id").to_pylist()], np.int64)
                given = found.column("classified_at").cast(pa.int64()).to_pylist()
                later = [
                    arrived[row] is not None and when is not None and when > arrived[row]
                    for row, when in zip(at.tolist(), given, strict=True)
                ]
                some_classes = np.full(len(at), NO_ANSWER, np.int64)
                some_confidences = np.zeros(len(at), np.float32)
                self._take(found, np.array(later, np.bool_), some_classes, some_confidences)
                classes[at], confidences[at] = some_classes, some_confidences

    def _take(
        self,
        rows: pa.RecordBatch,
        ours: NDArray[np.bool_],
        classes: NDArray[np.int64],
        confidences: NDArray[np.float32],
    ) -> None:
        answers = rows.column("prediction").fill_null(NO_ANSWER).to_numpy(zero_copy_only=False)
        sure = rows.column("confidence").cast(pa.float32()).to_numpy(zero_copy_only=False)
        good = ours & (answers >= 0) & (answers < len(self._model.labels)) & np.isfinite(sure)
        classes[good] = answers[good]
        confidences[good] = sure[good]

    def _try(
        self, rows: pa.RecordBatch, classes: NDArray[np.int64], confidences: NDArray[np.float32]
    ) -> None:
        tried = np.flatnonzero(classes != NO_ANSWER)[:TRIED]
        if not len(tried):
            return
        anew = self._images.answered(rows.take(pa.array(tried)), self._model)
        if not anew.rows.num_rows:
            return
        place = dict(zip(rows.column("id").take(pa.array(tried)).to_pylist(), tried.tolist(), strict=True))
        at = _places(place, anew.rows.column("id").to_pylist())
        same_class = classes[at] == anew.answers.column("prediction").to_numpy(zero_copy_only=False)
        same_sure = confidences[at] == anew.answers.column("confidence").to_numpy(zero_copy_only=False)
        self._is_believed = bool((same_class & same_sure).all())

    def _any(self) -> bool:
        rows = self._moment.rows("predictions", ("id",), self._predicates)
        try:
            return any(batch.num_rows for batch in rows)
        finally:
            rows.close()  # type: ignore[attr-defined] # a generator


def _places(place: dict[str, int], ids: Sequence[str]) -> NDArray[np.int64]:
    return np.array([place[image_id] for image_id in ids], np.int64)
