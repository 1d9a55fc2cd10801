"""Doing the parts of a job, one after another, as long as there are some that nobody does."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flumen.interceptor.classifier import Classifier
from flumen.replay.reclassify.applying import Applying
from flumen.replay.reclassify.parts import Counts, Part, Parts, PartTable, Progress
from flumen.replay.scoring import Passed, Scored, StoredImages
from flumen.replay.scoring.scored import without
from flumen.stores.corrections import CurrentCorrections

DELETED = "that were deleted"
"""Reason for which an image has no answer, beside those of `flumen.replay.scoring`."""

LONGEST_PAUSE_S = 5.0
"""A claim has to be renewed while its holder pauses; what is owed beyond that is paid after the next images."""
_WAIT_S = 1.0


class Throttle:
    """Holds this process to a share of one core's time: 0.25 is a quarter of it, and None all it can get."""

    def __init__(self, share: float | None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._share = share
        self._sleep = sleep
        self._used, self._began = time.process_time(), time.monotonic()

    def pause(self) -> None:
        """Sleep for as long as is owed."""
        if self._share is None:
            return
        owed = (time.process_time() - self._used) / self._share - (time.monotonic() - self._began)
        if owed > 0:
            self._sleep(min(owed, LONGEST_PAUSE_S))


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is done with the images of a job.

    `answers`: where they are written to. `corrections`: images that are deleted by these get no answer, also where that
    happens meanwhile: it is looked behind each write. `passed` says which images the model is not asked about.
    `applying` makes answers the current ones; without it, they are written beside those.
    """

    images: StoredImages
    model: Classifier
    answers: PartTable
    corrections: CurrentCorrections | None = None
    passed: Passed | None = None
    applying: Applying | None = None


def work(
    task: Task,
    parts: Parts,
    throttle: Throttle,
    report: Callable[[int], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Progress:
    """Do parts of the job until all are done, by whomever; return what came of it.

    `report` is called with how many more images have been looked at here. `classified_at` of an answer is the moment as
    of which the job reads, so that a part that is done again gives the same rows.

    Raises:
        StoreError: a store cannot be read or written. What was claimed may be taken by others when its lease is over.
    """
    while True:
        part = parts.claim()
        if part is None:
            progress = parts.progress()
            if progress.done == parts.job.parts:
                return progress
            sleep(_WAIT_S)
            continue
        try:
            parts.finish(part, _do(part, task, parts, throttle, report))
        except KeyboardInterrupt:
            parts.give_back(part)
            raise


def _do(part: Part, task: Task, parts: Parts, throttle: Throttle, report: Callable[[int], None]) -> Counts:
    counts = Counts()
    for scored in task.images.scored({part.number: part.token}, task.model, task.passed):
        found = _written(scored, task, parts)
        counts += found
        report(found.images)
        parts.renew(part)
        throttle.pause()
    if task.applying is not None:
        counts += Counts(not_shown=tuple(task.applying.end_part().items()))
    return counts


def _written(scored: Scored, task: Task, parts: Parts) -> Counts:
    """Write the answers; return what came of these images."""
    reasons: dict[str, str] = {}
    """Why images have no answer, by id."""
    deleted = _deleted(scored.rows, task.corrections)
    if deleted:
        reasons = dict.fromkeys(deleted, DELETED)
        scored = without(scored, deleted)
        # Also what whoever did this part before had written, and was killed before it looked.
        task.answers.remove_answers(deleted)
        if task.applying is not None:
            task.applying.remove(deleted)
    answers = _predictions(scored, task.model, parts.job.snapshot_us)
    if answers.num_rows and task.applying is not None:
        applied = task.applying.apply(scored, parts.is_held)
        reasons |= applied.left_out
        answers = answers.filter(pc.is_in(answers.column("id"), pa.array(applied.kept_apart, pa.string())))
    if answers.num_rows:
        task.answers.write_answers(answers)
    if scored.rows.num_rows:
        meanwhile = _deleted(scored.rows, task.corrections)
        task.answers.remove_answers(meanwhile)
        if task.applying is not None:
            task.applying.remove(meanwhile)
        reasons |= dict.fromkeys(meanwhile, DELETED)
    left_out = Counter(reasons.values())
    for skip in scored.skipped:
        left_out[skip.reason] += 1 + skip.more
    images = (
        scored.passed + len(deleted) + scored.rows.num_rows + sum(1 + skip.more for skip in scored.skipped)
    )
    answered = images - scored.passed - left_out.total()
    return Counts(images, answered, scored.passed, tuple(left_out.items()))


def _deleted(rows: pa.RecordBatch, corrections: CurrentCorrections | None) -> list[str]:
    if corrections is None:
        return []
    standings = corrections.look(rows.column("id").to_pylist())
    return [image_id for image_id, standing in standings.items() if standing.deleted]


def _predictions(scored: Scored, model: Classifier, classified_at: int) -> pa.RecordBatch:
    """Return rows for `predictions`."""
    count = scored.rows.num_rows
    return pa.RecordBatch.from_pydict(
        {
            "id": scored.rows.column("id"),
            "model": pa.array([model.name] * count, pa.string()),
            "model_version": pa.array(np.full(count, model.version, np.int32)),
            "prediction": scored.answers.column("prediction"),
            "confidence": scored.answers.column("confidence"),
            "probabilities": scored.answers.column("probabilities"),
            "classified_at": pa.array(np.full(count, classified_at, np.int64)).cast(pa.timestamp("us")),
        }
    )
