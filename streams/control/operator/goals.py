"""What a rollout waits for, and why a worker has not reached it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flumen.streams.control.operator.audit_log import describe_change
from flumen.streams.control.operator.fleet import FleetView
from flumen.streams.control.records import NO_REVISION, DesiredState, ModelRef, Refused, WorkerStatus


@dataclass(frozen=True, slots=True)
class Goal:
    """What every worker shall have reached, with which version; and what became of it where one has not."""

    words: str
    state: DesiredState
    ref: ModelRef | None
    is_reached: Callable[[WorkerStatus], bool]
    otherwise: str


def refusal(status: WorkerStatus, goal: Goal, before: Mapping[str, Refused | None]) -> Refused | None:
    """Return why a worker does not do it. A record that it cannot even trust has no revision: then it must be news.

    That it refuses another version, as the champion that this one is to take the place of, is no reason.
    """
    refused = status.refused
    if refused is None:
        return None
    if refused.revision == goal.state.revision:
        return refused if refused.ref == goal.ref else None
    is_news = refused.revision == NO_REVISION and refused != before.get(status.worker)
    return refused if is_news and status.heard < goal.state.revision else None


def say_changed(newest: DesiredState, goal: Goal) -> str:
    """Say who has changed what, while something else was waited for."""
    return (
        f"{newest.actor} changed {newest.model} to revision {newest.revision} while this waited {goal.words}: "
        f"{describe_change(newest, goal.state)} ({newest.reason or 'no reason given'}). "
        "That stands. Look at `flumen models history`, then decide anew"
    )


def say_refused(refusals: Mapping[str, Refused], view: FleetView, goal: Goal) -> str:
    """Say which workers refused, and why; what became of it; and each one's reason."""
    listed = "".join(f"\n  {worker}: {one.reason}: {one.message}" for worker, one in sorted(refusals.items()))
    return f"{len(refusals)} of {len(view.live)} workers refused. {goal.otherwise}.{listed}"
