"""What Kafka tells of now: the workers by their topics, swaps by the audit log, how far the group is by its offsets."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from flumen.console.now.readings import Backlog, FleetReading, Swap
from flumen.console.times import microseconds
from flumen.streams.control.operator.audit_log import Change, describe_change, read_audit_log
from flumen.streams.control.operator.fleet import Fleet, FleetView
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.settings import Settings

MOST_SWAPS = 20
MOST_MODELS = 20
_LISTEN_S = 1.0
_READ_AGAIN_S = 10.0
"""A swap takes effect with the first images behind it, and then the audit log says so."""


@contextmanager
def fleet_of(settings: Settings) -> Iterator[Callable[[], FleetReading]]:
    """Follow the fleet, and give what goes on listening; it blocks for a second.

    Raises:
        StreamError: Kafka does not answer, or no worker has made the topics yet.
    """
    with Fleet(settings) as fleet:
        known: tuple[object, float, Sequence[Swap]] = (None, 0.0, ())

        def listen() -> FleetReading:
            nonlocal known
            fleet.listen(_LISTEN_S)
            views = [fleet.view(model) for model in fleet.models()[:MOST_MODELS]]
            running = [(view.model, view.revision, _running(view)) for view in views]
            former, read_at, swaps = known
            # The audit log is read whole: only where it may have something new.
            is_awaited = bool(swaps) and swaps[0].took_effect_at is None
            if former != running or (is_awaited and time.monotonic() - read_at >= _READ_AGAIN_S):
                swaps = swaps_of(settings, [view.model for view in views])
                known = running, time.monotonic(), swaps
            return FleetReading(views, swaps)

        yield listen


@contextmanager
def backlog_of(settings: Settings) -> Iterator[Callable[[], Backlog]]:
    """Give what asks how far the workers' group is in the images' topic.

    Raises:
        StreamError: Kafka does not answer, or there is no such topic.
    """
    with closing(TopicReader(settings)) as reader:
        yield lambda: Backlog(time.monotonic(), reader.partitions(settings.images_topic))


def swaps_of(settings: Settings, models: Sequence[str]) -> Sequence[Swap]:
    """Return when the last champions of these models took the place of others, the newest first.

    Raises:
        StreamError: Kafka does not answer.
    """
    swaps = [
        _swap(change)
        for model in models
        for change in read_audit_log(settings, model).changes
        if change.counts and change.former is not None and change.former.champion != change.state.champion
    ]
    return sorted(swaps, key=lambda swap: swap.at, reverse=True)[:MOST_SWAPS]


def _running(view: FleetView) -> tuple[object, ...]:
    return tuple((seen.status.worker, seen.status.revision, seen.status.champion) for seen in view.workers)


def _swap(change: Change) -> Swap:
    state = change.state
    return Swap(
        at=microseconds(state.at),
        took_effect_at=min((microseconds(effect.at) for effect in change.effects), default=None),
        model=state.model,
        change=describe_change(state, change.former),
        by=state.actor,
        reason=state.reason,
        workers=len({effect.worker for effect in change.effects}),
    )
