"""The last interceptor: from pixels to an answer, a whole batch in one call of the model."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.answers import Answers, Checked, Tensor, checked, joined, no_answer
from flumen.interceptor.batch import Batch, Intercepted, partition
from flumen.interceptor.chain import Context
from flumen.interceptor.classifier import Classifier, Embedding
from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.errors import BadAnswer, InterceptorError
from flumen.interceptor.preprocess import calls, to_tensor
from flumen.interceptor.reasons import about

EMBEDDING = "embedding"

Embeddings = NDArray[np.float32]
"""n x dimensions; NaN in the rows of images that the model fails at."""


class Classify:
    """Classifies `pixels`, and rejects an image to which the model gives no answer."""

    columns = (
        Column("prediction", Kind.INT32, "the most probable class, by its position among the model's labels"),
        Column("label", Kind.STRING, "that class's label"),
        Column("confidence", Kind.FLOAT, "its probability, from 0 to 1"),
        Column("model", Kind.STRING, "the model that answered"),
        Column("model_version", Kind.INT32, "and its version"),
        Column("control_revision", Kind.INT64, "the control record that chose this model; 0 = none"),
        Column("classified_at", Kind.TIMESTAMP, "when it was classified"),
        Column(
            EMBEDDING,
            Kind.BINARY,
            "the output that the model names as its embedding: float32, little-endian; null where it names none",
        ),
    )

    def intercept(self, batch: Batch, context: Context) -> Intercepted:
        """Add the columns, `tensor` (float32, the model's input) and `probabilities` (float32, n x labels).

        Of a model that names no embedding there is no column of them.

        Raises:
            InterceptorError: no interceptor before it made `pixels`.
        """
        model = context.classifier
        if "pixels" not in batch.columns:
            raise InterceptorError("classify needs pixels; put decode before it in the setting interceptors")
        tensor = to_tensor(np.asarray(batch.columns["pixels"]), model.preprocess)
        (probabilities, flaws), embeddings = answers_of(tensor, model)
        # The largest of values that are no distribution is no answer: stored, it would read as one.
        errors = {
            row: BadAnswer(
                f"the model {model.name}@{model.version} answers with {flaw}. Go back to another version of it, or "
                "mend it, and replay this image"
            )
            for row, flaw in flaws.items()
        }
        batch = batch.with_columns(tensor=tensor, probabilities=probabilities)
        if embeddings is not None:
            batch = batch.with_columns(embedding=_cells(embeddings))
        step = partition(
            batch,
            "classify",
            {row: about(batch.images[row], error) for row, error in errors.items()},
        )
        return Intercepted(_with_answers(step.oks, context), step.errs)


def answers_of(tensor: Tensor, model: Classifier) -> tuple[Checked, Embeddings | None]:
    """Return what `probabilities_of` does, and the embeddings of the same run; None where the model names none.

    Raises as `probabilities_of`.
    """
    # Not by isinstance, which takes longer than a small batch's own steps do.
    size: int | None = getattr(model, "embedding_size", None)
    embeddings = None if size is None else np.full((len(tensor), size), np.nan, np.float32)
    return _in_calls(tensor, model, embeddings), embeddings


def probabilities_of(tensor: Tensor, model: Classifier) -> Checked:
    """Return what a model answers, n x labels, and what is wrong with the answers that are none, by row.

    Raises:
        Exception: the model fails at an image of zeros as well: it is to blame, not the images.
    """
    return _in_calls(tensor, model, None)


def _in_calls(tensor: Tensor, model: Classifier, embeddings: Embeddings | None) -> Checked:
    """Ask a model about so many images at once as one call takes."""
    parts = []
    start = 0
    for part in calls(tensor):
        end = start + len(part)
        parts.append(_answers(part, model, None if embeddings is None else embeddings[start:end]))
        start = end
    return joined(parts) if parts else no_answer(0, len(model.labels), "")


def _answers(tensor: Tensor, model: Classifier, embeddings: Embeddings | None) -> Checked:
    """Ask a model; where it fails, ask about ever smaller parts until single images are to blame."""
    try:
        return checked(_asked(tensor, model, embeddings), len(tensor), len(model.labels))
    except Exception as error:  # noqa: BLE001 - what a model does to its library is not known here
        if len(tensor) == 1:
            model.probabilities(np.zeros_like(tensor))  # raises where it is the model that is to blame
            return no_answer(1, len(model.labels), f"an error: {error}")
    middle = len(tensor) // 2
    return joined(
        _answers(tensor[some], model, None if embeddings is None else embeddings[some])
        for some in (slice(None, middle), slice(middle, None))
    )


def _asked(tensor: Tensor, model: Classifier, embeddings: Embeddings | None) -> Answers:
    """Return a model's probabilities; what it says beside them goes into `embeddings`."""
    if embeddings is None:
        return model.probabilities(tensor)
    probabilities, embeddings[:] = cast("Embedding", model).with_embeddings(tensor)
    return probabilities


def _cells(embeddings: Embeddings) -> list[bytes | None]:
    """Return each row as bytes; None where a value of it is no number."""
    width = 4 * embeddings.shape[1]
    content = embeddings.astype("<f4", copy=False).tobytes()
    finite = np.asarray(np.isfinite(embeddings).all(axis=1)).tolist()
    return [content[row * width : (row + 1) * width] if good else None for row, good in enumerate(finite)]


def most_probable(probabilities: Answers) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return of each row the class of the largest probability, and that probability."""
    prediction = probabilities.argmax(axis=1).astype(np.int32)
    return prediction, probabilities[np.arange(len(probabilities)), prediction]


def _with_answers(batch: Batch, context: Context) -> Batch:
    model, count = context.classifier, len(batch)
    prediction, confidence = most_probable(np.asarray(batch.columns["probabilities"]))
    return batch.with_columns(
        prediction=prediction,
        label=[model.labels[position] for position in prediction.tolist()],
        confidence=confidence,
        model=[model.name] * count,
        model_version=np.full(count, model.version, dtype=np.int32),
        control_revision=np.full(count, context.control_revision, dtype=np.int64),
        classified_at=np.full(count, context.classified_at, dtype=np.int64),
    )
