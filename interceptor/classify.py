"""The last interceptor: from pixels to an answer, a whole batch in one call of the model."""

import numpy as np
from numpy.typing import NDArray

from interceptor.batch import Batch, Intercepted, partition
from interceptor.chain import Context
from interceptor.classifier import Classifier
from interceptor.columns import Column, Kind
from interceptor.errors import InterceptorError, Unclassifiable
from interceptor.preprocess import calls, to_tensor
from interceptor.reasons import about


class Classify:
    """Classifies `pixels`, and rejects an image for which the model's answer is no number."""

    columns = (
        Column("prediction", Kind.INT32, "the most probable class, by its position among the model's labels"),
        Column("label", Kind.STRING, "that class's label"),
        Column("confidence", Kind.FLOAT, "its probability, from 0 to 1"),
        Column("model", Kind.STRING, "the model that answered"),
        Column("model_version", Kind.INT32, "and its version"),
        Column("control_revision", Kind.INT64, "the control record that chose this model; 0 = none"),
        Column("classified_at", Kind.TIMESTAMP, "when it was classified"),
    )

    def intercept(self, batch: Batch, context: Context) -> Intercepted:
        """Add the columns, `tensor` (float32, the model's input) and `probabilities` (float32, n x labels).

        Raises:
            InterceptorError: no interceptor before it made `pixels`.
        """
        model = context.classifier
        if "pixels" not in batch.columns:
            raise InterceptorError("classify needs pixels; put decode before it in the setting interceptors")
        tensor = to_tensor(np.asarray(batch.columns["pixels"]), model.preprocess)
        probabilities = _probabilities(tensor, model)
        # A largest value among NaN is no answer: stored, it would read as one.
        mute = np.flatnonzero(~np.isfinite(probabilities).all(axis=1)).tolist()
        error = Unclassifiable(
            f"the model {model.name}@{model.version} answers with NaN or infinity; check that model"
        )
        step = partition(
            batch.with_columns(tensor=tensor, probabilities=probabilities),
            "classify",
            {row: about(batch.images[row], error) for row in mute},
        )
        return Intercepted(_with_answers(step.oks, context), step.errs)


def _probabilities(tensor: NDArray[np.float32], model: Classifier) -> NDArray[np.float32]:
    if not len(tensor):
        return np.empty((0, len(model.labels)), dtype=np.float32)
    return np.concatenate([model.probabilities(part) for part in calls(tensor)])


def _with_answers(batch: Batch, context: Context) -> Batch:
    model, count = context.classifier, len(batch)
    probabilities = np.asarray(batch.columns["probabilities"])
    prediction = probabilities.argmax(axis=1).astype(np.int32)
    return batch.with_columns(
        prediction=prediction,
        label=[model.labels[position] for position in prediction.tolist()],
        confidence=probabilities[np.arange(count), prediction],
        model=[model.name] * count,
        model_version=np.full(count, model.version, dtype=np.int32),
        control_revision=np.full(count, context.control_revision, dtype=np.int64),
        classified_at=np.full(count, context.classified_at, dtype=np.int64),
    )
