"""A challenger in shadow: asked about images the champion has answered, never in its way.

Its answers are at most once. They are given after an image is stored and acknowledged, in a thread of their own that
gives way to all others; what comes while it is behind is dropped and counted, and so is what is in hand when the
worker stops, the challenger fails or a store does not answer. An image that is delivered again loses its answer in Solr
until it is asked about again.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, Full, Queue
from zlib import crc32

import structlog

from flumen.interceptor import Batch, Classifier, Context, Limits, Preprocess, intercept
from flumen.interceptor.classify import Classify
from flumen.interceptor.decode import Decode
from flumen.models.processes.decoder import GuardedDecoder
from flumen.stores import AnswerSink
from flumen.stores.corrections import CurrentCorrections
from flumen.streams.live.metrics import Metrics

log = structlog.get_logger(__name__)

_WAITING = 1
"""Samples that wait while one is scored. With different input sizes they hold their images' bytes."""

_BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class _Question:
    """What a challenger is asked about, and what its answers are compared with.

    `batch` has the images and the champion's `label`. Where the challenger reads the same pixels, it has the champion's
    `pixels`, which `decoded_for` describes, and no bytes; else the bytes alone, to be decoded anew.
    """

    challenger: Classifier
    batch: Batch
    decoded_for: Preprocess


class Shadow:
    """Scores samples of the batches that are offered, and keeps the answers."""

    def __init__(
        self,
        sinks: Sequence[AnswerSink],
        limits: Limits,
        metrics: Metrics,
        sample: float,
        clock: Callable[[], float] = time.time,
        corrections: CurrentCorrections | None = None,
    ) -> None:
        """Make one. `sample` is the share of the images to ask about, by their ids: the same ones at every worker.

        Of images that `corrections` say are deleted, no answers are kept.
        """
        self._sinks = sinks
        self._limits = limits
        self._decoder = GuardedDecoder(measures=False)
        self._metrics = metrics
        self._below = int(sample * 2**32)
        self._clock = clock
        self._challenger: Classifier | None = None
        self._questions: Queue[_Question | None] = Queue(_WAITING)
        self._told: set[tuple[str, int, str]] = set()
        self._corrections = corrections
        self._not_looked_up: set[str] = set()

    def challenge(self, challenger: Classifier | None) -> None:
        """Ask this model from now on, or none."""
        self._challenger = challenger

    def offer(self, batch: Batch, champion: Classifier) -> None:
        """Have a sample of a batch scored that is in every store. Returns at once, and never raises."""
        challenger = self._challenger
        if challenger is None or not len(batch) or not batch.columns.keys() >= {"pixels", "label"}:
            return
        rows = [row for row, image in enumerate(batch.images) if crc32(image.id.encode()) < self._below]
        if not rows:
            return
        same_picture = challenger.preprocess.picture == champion.preprocess.picture
        question = _Question(
            challenger, _sampled(batch, rows, keep_bytes=not same_picture), champion.preprocess
        )
        try:
            self._questions.put_nowait(question)
        except Full:
            self._metrics.shadow_dropped.labels(_BEHIND).inc(len(rows))

    def run(self) -> None:
        """Answer until `end`: the body of a thread."""
        try:
            while (question := self._questions.get()) is not None:
                self._answer(question)
                del question  # a challenger goes with its last question
        finally:
            self._decoder.close()
            for sink in self._sinks:
                sink.close()

    def end(self) -> None:
        """Let `run` return after the question in hand; what waits is dropped."""
        self._challenger = None
        while True:
            try:
                self._questions.put_nowait(None)
            except Full:
                with suppress(Empty):
                    self._questions.get_nowait()
            else:
                return

    def _answer(self, question: _Question) -> None:
        model = question.challenger
        started = time.perf_counter()
        try:
            answers = self._score(question)
            self._not_looked_up |= {image.id for image in answers.images}
            try:
                for sink in self._sinks:
                    sink.connect()
                    sink.write(answers)
            finally:
                self._remove_deleted()  # some may be there also where a write has failed
        except Exception as error:  # noqa: BLE001 - whatever a challenger or its stores do, the champion goes on
            # What was sent may still arrive: these are looked up once more, with the next ones.
            self._not_looked_up |= {image.id for image in question.batch.images}
            self._note_lost(model, error, len(question.batch))
            return
        differs = sum(answers.columns["disagreement"])
        self._metrics.shadow_disagreements.labels(model.name, model.version).inc(differs)
        self._metrics.shadow_images.labels(model.name, model.version).inc(len(answers))
        self._metrics.shadow_seconds.observe(time.perf_counter() - started)

    def _remove_deleted(self) -> None:
        """Take out answers for images that were deleted while they were asked about: `docs/corrections.md` says why so.

        Those of a store that does not answer now are looked up with the next ones.
        """
        if self._corrections is not None:
            found = self._corrections.look(self._not_looked_up)
            # Of the others it is known now that whoever deletes them later finds their answers.
            self._not_looked_up = {image_id for image_id, standing in found.items() if standing.deleted}
            for sink in self._sinks if self._not_looked_up else ():
                sink.connect()
                sink.remove(list(self._not_looked_up))
        self._not_looked_up.clear()

    def _score(self, question: _Question) -> Batch:
        model, asked = question.challenger, question.batch
        context = Context(model, int(self._clock() * 1_000_000), self._limits, decoder=self._decoder)
        same_picture = model.preprocess.picture == question.decoded_for.picture
        step = intercept(asked, context, (Classify(),) if same_picture else (Decode(), Classify()))
        for reject in step.errs:
            self._note_lost(model, reject.error, 1)
        champions = step.oks.columns["champion"]
        differs = [ours != theirs for ours, theirs in zip(step.oks.columns["label"], champions, strict=True)]
        return step.oks.with_columns(disagreement=differs)

    def _note_lost(self, model: Classifier, error: Exception, images: int) -> None:
        reason = type(error).__name__
        self._metrics.shadow_dropped.labels(reason).inc(images)
        if (model.name, model.version, reason) not in self._told:
            self._told.add((model.name, model.version, reason))
            log.warning(
                "the challenger's answers are lost; said once for this reason",
                version=model.version,
                reason=reason,
                message=str(error),
            )


def _sampled(batch: Batch, rows: list[int], *, keep_bytes: bool) -> Batch:
    """Return the rows with what a challenger needs of them, and nothing that would keep the rest in memory."""
    columns = {"champion": batch.columns["label"]}
    images = [batch.images[row] for row in rows]
    if not keep_bytes:
        columns["pixels"] = batch.columns["pixels"]
        images = [replace(image, content=b"", origin=None) for image in images]
    taken = Batch(batch.images, columns).take(rows)
    return Batch(images, taken.columns)
