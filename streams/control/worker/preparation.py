"""From what is desired to what runs: models are loaded in a thread of their own, and published between two batches."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import structlog

from flumen.interceptor.classifier import Classifier
from flumen.models.errors import RepositoryUnavailable, VerifierUnavailable
from flumen.models.slot import NO_REVISION, CurrentSlot, Serving
from flumen.streams.control.records import DesiredState, ModelRef, Refused, WorkerState
from flumen.streams.control.worker.throttle import NICENESS

log = structlog.get_logger(__name__)

_RETRY_S = 5.0

Load = Callable[[ModelRef], Classifier]
"""Reads, verifies and warms up a version; raises ModelError where it refuses it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a worker runs, at one moment; as in `WorkerStatus`."""

    state: WorkerState
    champion: ModelRef | None = None
    challenger: ModelRef | None = None
    prepared: ModelRef | None = None
    refused: Refused | None = None
    heard: int = NO_REVISION
    revision: int = NO_REVISION
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told, in few microseconds: all but the first while others wait.

    `changed`: the picture is another one. `published`: this serves now, and that did before. `challenged`: the
    challenger, or None. `publishing`: as `published`, before any batch can be taken on it: who sees an answer of a
    model, or its revision, finds told what is told here.
    """

    changed: Callable[[], None] = lambda: None
    published: Callable[[Serving, Serving], None] = lambda _serving, _former: None
    challenged: Callable[[Classifier | None], None] = lambda _challenger: None
    publishing: Callable[[Serving, Serving], None] = lambda _serving, _former: None


@dataclass(frozen=True, slots=True)
class _LoadFailure:
    """Why a model is not in memory, and whether it may be there later. Not the exception: that holds all it has met."""

    refused: Refused
    may_pass: bool


@dataclass(slots=True)
class _Stock:
    """The models in memory, and why others are not; by what was asked for."""

    loaded: dict[ModelRef, Classifier]
    refused: dict[ModelRef, _LoadFailure] = field(default_factory=dict)


class Preparation:
    """Holds what is desired against what is there. Its methods may be called from any thread."""

    def __init__(
        self,
        load: Load,
        slot: CurrentSlot,
        listeners: Listeners,
        retry_s: float = _RETRY_S,
        steps: Callable[[], int] = lambda: 0,
    ) -> None:
        """Begin with what the slot holds.

        `retry_s`: until a load is tried again that may succeed then. `steps` counts those of all loads so far.
        """
        current = slot.current
        champion = ModelRef(current.classifier.version, current.sha256)
        self._load = load
        self._slot = slot
        self._listeners = listeners
        self._retry_s = retry_s
        self._steps = steps
        self._stock = _Stock({champion: current.classifier})
        self._champion = champion
        self._wanted: DesiredState | None = None
        self._refused_record: Refused | None = None
        self._ending = False
        self._change = threading.Condition()

    def want(self, state: DesiredState) -> None:
        """Take a new state: a champion that is in memory serves the next batch, what is not is loaded."""
        with self._change:
            self._wanted = state
            self._refused_record = None
            self._stock.refused.clear()
            self._settle()
            self._change.notify()
        self._listeners.changed()

    def refuse(self, ref: ModelRef, error: Exception) -> None:
        """Note that a model that is wanted was refused; it is not tried again, unless that may help."""
        refused = Refused.because(error, ref)
        may_pass = isinstance(error, RepositoryUnavailable | VerifierUnavailable)
        with self._change:
            if ref in self._needed():
                self._stock.refused[ref] = _LoadFailure(refused, may_pass)
        log.warning(
            "model refused; the old one serves on",
            version=ref.version,
            reason=refused.reason,
            message=refused.message,
        )
        self._listeners.changed()

    def refuse_record(self, refused: Refused | None) -> None:
        """Note that a control record was refused, or that none is any more."""
        with self._change:
            self._refused_record = refused
        self._listeners.changed()

    def picture(self) -> Picture:
        """Return what runs now."""
        with self._change:
            wanted, loaded = self._wanted, self._stock.loaded
            return Picture(
                self._state(),
                self._champion,
                wanted.challenger if wanted and wanted.challenger in loaded else None,
                wanted.prepare if wanted and wanted.prepare in loaded else None,
                self._refusal() or self._refused_record,
                wanted.revision if wanted else NO_REVISION,
                self._slot.current.revision,
                self._steps(),
            )

    def run(self) -> None:
        """Load what is missing, one after another, until `end`: the body of a thread.

        How the hot path keeps its machine meanwhile: one model at a time is loaded, so at most the champion, the
        challenger, the prepared one and a fourth are in memory; the load rests between its steps, here and in the
        process that verifies, so that both take no more than `prepare_share` of one core (`CpuThrottle`); each step
        releases the interpreter's lock; and the thread gives way to the worker's others where they want its core
        (`stay_behind`).
        """
        while True:
            ref = self._wait_for_work()
            if ref is None:
                return
            self._listeners.changed()
            try:
                classifier = self._load(ref)
            except Exception as error:  # noqa: BLE001 - whatever a file does to the libraries, the old model serves on
                if not self._ending:  # else it was cut off
                    self.refuse(ref, error)
                continue
            with self._change:
                if ref in self._needed():
                    self._stock.loaded[ref] = classifier
                    self._settle()
            del classifier
            self._listeners.changed()

    def end(self) -> None:
        """Let `run` return when the load in hand is done."""
        with self._change:
            self._ending = True
            self._change.notify()

    def _wait_for_work(self) -> ModelRef | None:
        with self._change:
            while not self._ending:
                ref = next(self._missing(), None)
                if ref is not None:
                    return ref
                passing = [ref for ref, refusal in self._stock.refused.items() if refusal.may_pass]
                if not self._change.wait(self._retry_s if passing else None):
                    for ref in passing:
                        self._stock.refused.pop(ref, None)
            return None

    def _settle(self) -> None:
        """Publish the champion if it is there, and let go of what nobody needs."""
        wanted, loaded = self._wanted, self._stock.loaded
        if wanted is None:
            return
        champion = loaded.get(wanted.champion)
        if champion is not None and self._slot.current.revision != wanted.revision:
            former = self._slot.current
            since = former.since if wanted.champion == self._champion else wanted.revision
            serving = Serving(champion, wanted.champion.sha256, wanted.revision, since)
            self._listeners.publishing(serving, former)
            self._slot.publish(serving)
            self._champion = wanted.champion
            self._listeners.published(serving, former)
        needed = {self._champion, *self._needed()}
        self._stock.loaded = {ref: classifier for ref, classifier in loaded.items() if ref in needed}
        self._listeners.challenged(loaded.get(wanted.challenger) if wanted.challenger else None)

    def _needed(self) -> list[ModelRef]:
        """Return what is desired, the most urgent first."""
        wanted = self._wanted
        refs = (wanted.champion, wanted.prepare, wanted.challenger) if wanted else ()
        return [ref for ref in refs if ref is not None]

    def _missing(self) -> Iterator[ModelRef]:
        return (
            ref for ref in self._needed() if ref not in self._stock.loaded and ref not in self._stock.refused
        )

    def _refusal(self) -> Refused | None:
        """Return why something is not there that is wanted: first what somebody waits for to be prepared."""
        wanted = self._wanted
        if wanted is None:
            return None
        for ref in (wanted.prepare, wanted.champion, wanted.challenger):
            refusal = self._stock.refused.get(ref) if ref else None
            if refusal is not None:
                return replace(refusal.refused, revision=wanted.revision)
        return None

    def _state(self) -> WorkerState:
        if self._refusal() is not None:
            return WorkerState.REFUSED
        if next(self._missing(), None) is not None:
            return WorkerState.PREPARING
        if self._wanted is not None and self._wanted.prepare is not None:
            return WorkerState.READY
        return WorkerState.SERVING


def stay_behind(ort_threads: int) -> None:
    """Let this thread have what the others leave, where the system can say so of one thread.

    `ort_threads`: a session's own threads inherit its maker's place for ever, so that with more than one it stays.
    """
    if sys.platform == "linux" and ort_threads == 1:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
