"""Doing the parts of a job, one after another, as long as there are some that nobody does."""

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flumen.interceptor.classifier import Classifier
from flumen.replay.reclassify.parts import Counts, Part, Parts, PartTable, Progress
from flumen.replay.scoring import Scored, StoredImages
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


def work(
    images: StoredImages,
    model: Classifier,
    table: PartTable,
    parts: Parts,
    throttle: Throttle,
    report: Callable[[int], None] = lambda _: None,
    corrections: CurrentCorrections | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Progress:
    """Do parts of the job until all are done, by whomever; return what came of it.

    `report` is called with how many more images have been looked at here. Images that are deleted, by `corrections`,
    get no answer, also where that happens meanwhile: it is looked behind each write. `classified_at` of an answer is
    the moment as of which the job reads, so that a part that is done again gives the same rows.

    Raises:
        StoreError: Kudu cannot be read or written. What was claimed may be taken by others when its lease is over.
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
            parts.finish(part, _do(part, images, model, table, parts, throttle, report, corrections))
        except KeyboardInterrupt:
            parts.give_back(part)
            raise


def _do(
    part: Part,
    images: StoredImages,
    model: Classifier,
    table: PartTable,
    parts: Parts,
    throttle: Throttle,
    report: Callable[[int], None],
    corrections: CurrentCorrections | None,
) -> Counts:
    counts = Counts()
    for scored in images.scored({part.number: part.token}, model):
        left_out = Counter[str]()
        answers = _predictions(scored, model, parts.job.snapshot_us)
        same = scored.rows.num_rows - answers.num_rows
        if gone := _deleted(answers, corrections):
            answers = answers.filter(pc.invert(pc.is_in(answers.column("id"), pa.array(gone))))
        if answers.num_rows:
            table.write_answers(answers)
            gone += _deleted(answers, corrections)
        if gone:
            # Also what whoever did this part before had written, and was killed before it looked.
            table.remove_answers(gone)
        if gone:
            left_out[DELETED] += len(gone)
        for skip in scored.skipped:
            left_out[skip.reason] += 1 + skip.more
        seen = scored.rows.num_rows + left_out.total() - len(gone)
        answered = scored.rows.num_rows - same - len(gone)
        counts += Counts(seen, answered, same, tuple(left_out.items()))
        report(seen)
        parts.renew(part)
        throttle.pause()
    return counts


def _deleted(answers: pa.RecordBatch, corrections: CurrentCorrections | None) -> list[str]:
    if corrections is None:
        return []
    standings = corrections.look(answers.column("id").to_pylist())
    return [image_id for image_id, standing in standings.items() if standing.deleted]


def _predictions(scored: Scored, model: Classifier, classified_at: int) -> pa.RecordBatch:
    """Return rows for `predictions`; an image whose own answer is by this model needs none."""
    own = pc.and_(
        pc.equal(scored.rows.column("model"), model.name),
        pc.equal(scored.rows.column("model_version"), model.version),
    ).fill_null(False)
    count = scored.rows.num_rows
    rows = pa.RecordBatch.from_pydict(
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
    return rows.filter(pc.invert(own))
