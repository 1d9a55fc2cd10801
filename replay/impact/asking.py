"""Two models asked about the same stored images, in one scan."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.interceptor import Limits
from flumen.interceptor.classifier import Classifier
from flumen.models.repository import Repository
from flumen.replay.errors import BadQuery, NothingToCompare
from flumen.replay.images.seen import VIEW, known_pictures
from flumen.replay.images.stored import ORIGINAL, Moment
from flumen.replay.impact.answered import NO_LABEL, Answered
from flumen.replay.impact.measuring import Impact, Reading, Tally
from flumen.replay.impact.stored_answers import NO_ANSWER, OF_IMAGES, StoredAnswers
from flumen.replay.scoring import Choice, StoredImages
from flumen.stores.kudu import KuduReader

MOST_PICTURES = 200
"""Images that are answered otherwise and may be shown: the surest of the new model."""

_KNOWN = "knownlabel"
_THREADS = 2


@dataclass(slots=True)
class _Asker:
    """One model, how its images are seen, and what it has answered already. `stored` counts what was taken of that."""

    model: Classifier
    images: StoredImages
    answers: StoredAnswers
    stored: int = 0

    def ask(self, rows: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.float32], dict[str, str]]:
        """Return the class of each row, `NO_ANSWER` where there is none, its confidence, and why there is none."""
        classes, confidences = self.answers.of(rows)
        asked = classes == NO_ANSWER
        self.stored += int((~asked).sum())
        if not asked.any():
            return classes, confidences, {}
        scored = self.images.answered(rows if asked.all() else rows.filter(pa.array(asked)), self.model)
        ids = rows.column("id").to_pylist()
        place = {ids[row]: row for row in np.flatnonzero(asked).tolist()}
        at = np.array([place[image_id] for image_id in scored.rows.column("id").to_pylist()], np.int64)
        classes[at] = scored.answers.column("prediction").to_numpy(zero_copy_only=False)
        confidences[at] = scored.answers.column("confidence").to_numpy(zero_copy_only=False)
        return classes, confidences, {skip.id: skip.reason for skip in scored.skipped}


def ask_both(
    tables: KuduReader,
    repository: Repository,
    models: tuple[tuple[str, int], tuple[str, int]],
    choice: Choice,
    columns: Sequence[str],
    *,
    limits: Limits | None = None,
    pictures: int = 0,
    report: Callable[[int], None] = lambda _: None,
) -> Impact:
    """Ask both models about the images of a choice, as they are at this moment; memory does not grow with them.

    What a model has answered already, and is stored, is taken from there.

    Args:
        tables: Kudu.
        repository: where both models are.
        models: name and version of the old one and of the new one.
        choice: which images.
        columns: of the images, to be compared by.
        limits: of decoding.
        pictures: so many of the images that are answered otherwise are read once more, to be shown.
        report: called with how many more answers there are, of two for each image.

    Raises:
        BadQuery: the condition is none, or a column is not there, or is none that slices are made of.
        NothingToCompare: the models have no class in common, or there is no image that both answer.
        StoreError, ModelError: Kudu cannot be read, or a model not be loaded.
    """
    schema = tables.schema("images")
    _check_columns(schema, columns)
    loaded = [repository.load(*model) for model in models]
    if not set(loaded[0].labels) & set(loaded[1].labels):
        raise NothingToCompare(
            f"{loaded[0]} and {loaded[1]} have no class in common; compare two models of the same task"
        )
    beside = (*OF_IMAGES, *VIEW, *ORIGINAL) if loaded[0].preprocess != loaded[1].preprocess else OF_IMAGES
    wanted = dict.fromkeys([*columns, *(name for name in (_KNOWN, *beside) if name in schema.names)])
    with ExitStack() as open_images:
        now_us = time.time_ns() // 1000
        first, second = (
            open_images.enter_context(
                StoredImages(
                    tables,
                    choice,
                    model.preprocess,
                    tuple(wanted),
                    limits=limits,
                    picture_of=known_pictures(repository, model.preprocess),
                    threads=_THREADS,
                    snapshot_us=now_us,
                )
            )
            for model in loaded
        )
        plan = first.plan()
        moment = Moment(tables, plan.snapshot_us, _THREADS)
        has_predictions = "predictions" in tables.tables()
        askers = [
            _Asker(model, images, StoredAnswers(moment, images, model, has_predictions))
            for model, images in zip(loaded, (first, second), strict=True)
        ]
        answers = _Answers(loaded[0].labels, loaded[1].labels, columns)
        tally, skipped = Tally(answers.labels), Counter[str]()
        with closing(first.pieces(dict(enumerate(plan.tokens)))) as reading:
            for rows in reading:
                (old, old_sure, old_skipped), (new, new_sure, new_skipped) = (
                    each.ask(rows) for each in askers
                )
                tally.add(answers.joined(rows, old, old_sure, new, new_sure))
                skipped.update((old_skipped | new_skipped).values())
                report(2 * rows.num_rows)
        shown = [each.id for each in tally.affected[: min(pictures, MOST_PICTURES)]]
        return tally.impact(
            Reading(
                population=sum(plan.answered.values()) or plan.rows,
                snapshot_us=plan.snapshot_us,
                skipped=dict(skipped),
                newest_us=plan.newest_us,
                stored=(askers[0].stored, askers[1].stored),
            ),
            second.seen(shown) if shown else {},
        )


class _Answers:
    """Puts the answers of two models together, as positions of the classes of both."""

    def __init__(self, old: Sequence[str], new: Sequence[str], columns: Sequence[str]) -> None:
        self.labels = tuple(dict.fromkeys([*old, *new]))
        place = {label: number for number, label in enumerate(self.labels)}
        self._old, self._new = (np.array([place[each] for each in labels], np.int64) for labels in (old, new))
        # The number of a known label is that of a class; between models of other classes it says nothing.
        self._are_the_same = tuple(old) == tuple(new)
        self._columns = columns

    def joined(
        self,
        rows: pa.RecordBatch,
        old: NDArray[np.int64],
        old_sure: NDArray[np.float32],
        new: NDArray[np.int64],
        new_sure: NDArray[np.float32],
    ) -> Answered:
        """Return the answers to the rows that both have answered."""
        both = (old != NO_ANSWER) & (new != NO_ANSWER)
        kept = rows if both.all() else rows.filter(pa.array(both))
        known = np.full(kept.num_rows, NO_LABEL, np.int64)
        if self._are_the_same and _KNOWN in kept.schema.names:
            numbers = kept.column(_KNOWN).fill_null(NO_LABEL).to_numpy(zero_copy_only=False).astype(np.int64)
            known = np.where((numbers >= 0) & (numbers < len(self.labels)), numbers, NO_LABEL)
        return Answered(
            ids=kept.column("id").to_pylist(),
            old=self._old[old[both]],
            new=self._new[new[both]],
            old_confidence=old_sure[both],
            new_confidence=new_sure[both],
            known=known,
            columns={name: kept.column(name) for name in self._columns if name != _KNOWN},
        )


def _check_columns(schema: pa.Schema, columns: Sequence[str]) -> None:
    for name in columns:
        if name in schema.names and (
            pa.types.is_nested(schema.field(name).type) or pa.types.is_binary(schema.field(name).type)
        ):
            raise BadQuery(
                f"no slices are made of {name!r}: its values are lists or bytes; name another column"
            )
