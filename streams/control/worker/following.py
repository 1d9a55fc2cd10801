"""A worker under control: what it follows, what it runs and what it says of itself, from start to stop."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import structlog

from flumen.models.processes.verifier import Verifier
from flumen.models.slot import CurrentSlot, Serving
from flumen.streams.control.records import DesiredState, Refused
from flumen.streams.control.worker.loading import First, Loader
from flumen.streams.control.worker.preparation import Listeners, Preparation, stay_behind
from flumen.streams.control.worker.reader import ControlReader
from flumen.streams.control.worker.status import StatusReporter, worker_id
from flumen.streams.control.worker.throttle import CpuThrottle
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.live.drift_watch import DriftWatch
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.shadow import Shadow
from flumen.streams.settings import Settings

log = structlog.get_logger(__name__)

_END_S = 5.0

Result = TypeVar("Result")


class UntilDone(Protocol):
    """Makes a call again and again while what it asks does not answer, and returns what it returns."""

    def __call__(self, call: Callable[[], Result]) -> Result:
        """Call, from a thread that may wait."""


@dataclass(frozen=True, slots=True)
class Control:
    """What the live path sees of it. `broken` fails with what nobody foresaw in one of the threads."""

    slot: CurrentSlot
    reporter: StatusReporter
    drift: DriftWatch
    broken: "Future[None]"


@contextmanager
def following(
    settings: Settings,
    metrics: Metrics,
    shadow: Shadow,
    verifier: Verifier,
    hanging: list[str],
    until_done: UntilDone,
) -> Iterator[Control]:
    """Read the control topic to its end and load the model it names; then follow it for the block.

    Threads that do not end with it, such as one that waits for a model's answer, are added to `hanging` by their names.
    Models have to pass `verifier`, which ends with this. `until_done` makes a call until the model repository answers.
    Meanwhile the worker's status says that it starts.

    Raises:
        NoModel: there is no verified model to classify with.
        KafkaUnavailable, TopicMissing: the control topic cannot be read.
        CancelledError: `until_done` was told to give up.
    """
    if not settings.control_public_keys:
        log.warning(
            "control records are taken unsigned: whoever may write to the control topic or the audit log chooses "
            "the model; `flumen keys new` makes keys for FLUMEN_CONTROL_PUBLIC_KEYS",
            topic=settings.control_topic,
        )
    broken: Future[None] = Future()
    thread = partial(_thread, broken, hanging)
    reporter = StatusReporter(settings, worker_id(settings), metrics.stored, time.monotonic)
    drift = DriftWatch(settings, metrics, reporter.wake)
    reporter.show_drift(lambda: drift.status)
    reporter.show_end_to_end(metrics.end_to_end)
    with ExitStack() as stack:
        stack.push(lambda kind, *_: reporter.say_goodbye(in_order=kind in (None, CancelledError)))
        stack.enter_context(thread("status", reporter.run, reporter.end))
        reader = ControlReader(settings, TopicReader(settings))
        stack.callback(reader.close)
        reader.read_to_end()
        loader = until_done(partial(Loader, settings, metrics, verifier))
        stack.callback(loader.close)

        def begin() -> tuple[First, DesiredState | None, Refused | None]:
            state, refused = reader.newest()  # others may have changed it while the repository was waited for
            return loader.first(state), state, refused

        first, state, refused = until_done(begin)
        metrics.serve(first.serving.classifier)
        slot = CurrentSlot(first.serving)
        listeners = Listeners(reporter.wake, _tell, shadow.challenge, partial(_count, metrics))
        stopping = threading.Event()
        throttle = CpuThrottle(settings.prepare_share, stopping.wait, loader.worked_s)
        load = partial(loader.load, throttle=throttle)
        preparation = Preparation(load, slot, listeners, steps=lambda: throttle.steps)
        if state is not None:
            preparation.want(state)
            if first.refused is not None:
                preparation.refuse(state.champion, first.refused)
        if refused is not None:
            preparation.refuse_record(refused)
        del first  # else it would keep the first model in memory for ever
        reporter.show(preparation.picture)
        behind = partial(stay_behind, settings.inference_threads)
        stack.enter_context(thread("shadow", shadow.run, shadow.end, behind))
        loader.stay_behind()
        end_preparing = partial(_end_preparing, preparation, loader)
        stack.enter_context(thread("prepare", preparation.run, end_preparing, behind))
        stack.callback(stopping.set)  # before that thread is waited for: it may be resting
        follow = partial(reader.follow, preparation.want, preparation.refuse_record)
        stack.enter_context(thread("control", follow, reader.end))
        yield Control(slot, reporter, drift, broken)


def _end_preparing(preparation: Preparation, loader: Loader) -> None:
    """Let nothing more be loaded, and what is being loaded be left."""
    preparation.end()
    loader.close()


def _count(metrics: Metrics, serving: Serving, former: Serving) -> None:
    """Count that another model is about to classify."""
    if serving.classifier is not former.classifier:
        metrics.serve(serving.classifier)
        metrics.swaps.inc()


def _tell(serving: Serving, former: Serving) -> None:
    """Say that another model classifies."""
    new, old = serving.classifier, former.classifier
    if new is not old:
        log.info(
            "another model classifies from now on",
            model=new.name,
            version=new.version,
            former=old.version,
            revision=serving.revision,
        )


@contextmanager
def _thread(
    broken: "Future[None]",
    hanging: list[str],
    name: str,
    run: Callable[[], None],
    end: Callable[[], None],
    prepare: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Run a thread for the block. One that does not end, for a model that never answers, ends with the process."""

    def body() -> None:
        try:
            prepare()
            run()
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the worker, whatever it is
            with suppress(InvalidStateError):
                broken.set_exception(error)

    thread = threading.Thread(target=body, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end()
        thread.join(_END_S)
        if thread.is_alive():
            hanging.append(name)
