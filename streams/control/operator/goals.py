"""What a rollout waits for, and why a worker has not reached it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flumen.models.slot import NO_REVISION
from flumen.streams.control.operator.audit_log import describe_change
from flumen.streams.control.operator.fleet import FleetView
from flumen.streams.control.records import DesiredState, ModelRef, Refused, WorkerStatus

_HEARD_WITHIN_S = 5.0
"""How long a worker may take from one record of the control topic to the next."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What every worker shall have reached, with which version; and what became of it where one has not."""

    words: str
    state: DesiredState
    ref: ModelRef | None
    is_reached: Callable[[WorkerStatus], bool]
    otherwise: str


def ready(state: DesiredState, ref: ModelRef) -> Goal:
    """Return the goal that all have a version ready, and let no other model classify meanwhile."""
    return Goal(
        f"for all workers to be ready with {state.model}@{ref.version}",
        state,
        ref,
        # What a worker said before it heard of this was said of another try.
        lambda status: status.heard >= state.revision and ref in (status.prepared, status.champion),
        "The preparation is taken back, and nothing has changed",
    )


def serving(state: DesiredState, ref: ModelRef) -> Goal:
    """Return the goal that all classify with a version."""
    return Goal(
        f"for all workers to classify with {state.model}@{ref.version}",
        state,
        ref,
        lambda status: status.champion == ref and status.revision >= state.revision,
        f"The state stands at revision {state.revision}; `flumen models rollback` goes back",
    )


def scoring(state: DesiredState, ref: ModelRef | None) -> Goal:
    """Return the goal that all score a version in shadow, or none."""
    what = f"score {state.model}@{ref.version} in shadow" if ref else "score nothing in shadow"
    return Goal(
        f"for all workers to {what}",
        state,
        ref,
        lambda status: status.challenger == ref and status.heard >= state.revision,
        "The former challenger is put back",
    )


class Refusals:
    """Why workers do not do it, as their statuses say; held against what they said before it was written."""

    def __init__(self, before: Iterable[WorkerStatus]) -> None:
        self._before = {status.worker: status.refused for status in before}
        self._seen_s: dict[tuple[str, Refused], float] = {}

    def sure(
        self, waiting: Iterable[WorkerStatus], goal: Goal, now_s: float, *, is_last: bool
    ) -> dict[str, Refused]:
        """Return why workers that have not reached a goal never will, by worker.

        A record that a worker cannot even trust has no revision: it may be one that somebody forged just before. A
        worker that trusts the one behind it hears that next, so such a refusal counts once it lasts, or nothing more is
        waited for (`is_last`).
        """
        found = {
            status.worker: refused
            for status in waiting
            if (refused := self._refusal(status, goal)) is not None
        }
        self._seen_s = {one: self._seen_s.get(one, now_s) for one in found.items()}
        return {
            worker: refused
            for (worker, refused), since_s in self._seen_s.items()
            if is_last or refused.revision != NO_REVISION or now_s - since_s >= _HEARD_WITHIN_S
        }

    def _refusal(self, status: WorkerStatus, goal: Goal) -> Refused | None:
        """Return why a worker does not do it.

        That it refuses another version, as the champion that this one is to take the place of, is no reason.
        """
        refused = status.refused
        if refused is None:
            return None
        if refused.revision == goal.state.revision:
            return refused if refused.ref == goal.ref else None
        is_news = refused.revision == NO_REVISION and refused != self._before.get(status.worker)
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
