"""Changing the model of a whole fleet: write what is wanted, and wait until every worker has done it.

`activate` has two phases. First every worker loads and verifies the version while it goes on with the old one; only
when all are ready, all are told to let it classify. Whatever goes wrong in the first phase, nothing has changed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from flumen.models.repository import CHAMPION, Repository
from flumen.models.slot import NO_REVISION
from flumen.streams.control.operator.fleet import Fleet, FleetView
from flumen.streams.control.operator.goals import Goal, Refusals, say_changed, say_refused
from flumen.streams.control.operator.writer import DesiredChange, StateWriter
from flumen.streams.control.records import MAX_FIRST_REVISION, Command, DesiredState, ModelRef
from flumen.streams.errors import (
    KafkaUnavailable,
    NoModel,
    RecordTooNew,
    RolloutInterrupted,
    RolloutTimedOut,
    StateChanged,
    WorkerRefused,
    WorkerSilent,
    WorkerTooNew,
)

_LOOK_EVERY_S = 0.25
_SEEN_WITHIN_S = 10.0
_NOTHING_WRITTEN = "Nothing was written"

Show = Callable[[FleetView, str], None]
"""Takes the fleet, and what it is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Who changes a model and why, how many seconds a phase may take, and whether to go on without silent workers."""

    command: Command
    model: str
    actor: str
    reason: str
    timeout_s: float
    force: bool = False


@dataclass(frozen=True, slots=True)
class RolloutResult:
    """A change that every worker has made. `left_out` are silent ones; the seconds are those of the two phases."""

    state: DesiredState | None
    workers: tuple[str, ...]
    left_out: tuple[str, ...]
    prepare_s: float = 0.0
    swap_s: float = 0.0


class Rollout:
    """Carries out one order on the fleet of one model."""

    def __init__(
        self,
        fleet: Fleet,
        writer: StateWriter,
        order: Order,
        show: Show,
        is_interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Make one. `is_interrupted` is asked wherever it can end in order: never in the middle of a write."""
        self._fleet = fleet
        self._writer = writer
        self._order = order
        self._show = show
        self._is_interrupted = is_interrupted

    def activate(self, view: FleetView, ref: ModelRef, standing: ModelRef) -> RolloutResult:
        """Let a version classify, on every worker or on none.

        Args:
            view: the fleet, settled, for which the version was chosen.
            ref: the version.
            standing: the champion of a model that nobody has written a state of.

        Raises:
            RolloutFailed: the subclass is the reason. In the first phase nothing has changed then; in the second the
                state stands, and the message names the workers where it did not take effect.
            StateChanged: somebody else has written a state meanwhile; his stands.
            RecordTooNew: a later version of flumen has written what counts; nothing was written.
            RolloutInterrupted: as with every other error, what the first phase has written is taken back.
            KafkaUnavailable: no broker answers.
        """
        self._begin(view)
        started = time.monotonic()
        if (
            view.desired
            and not view.conflict
            and (view.desired.champion, view.desired.prepare) == (ref, None)
        ):
            return _result(view.desired, self._wait(self._serving(view.desired, ref)))
        base = self._unchanged(view, standing)
        prepared = self._writer.write(replace(base, prepare=ref), view.desired, _highest(view))
        try:
            goal = self._ready(prepared, ref)
            self._wait(goal)
            self._heed_interruption(goal)
        except StateChanged:
            raise
        except BaseException:  # whatever it was, nothing is left standing
            self._undo(replace(base, reason=f"{ref.version} was not prepared everywhere"), prepared)
            raise
        prepare_s = time.monotonic() - started
        challenger = None if base.challenger == ref else base.challenger
        state = self._writer.write(replace(base, champion=ref, challenger=challenger), prepared)
        view = self._wait(self._serving(state, ref))
        return _result(state, view, prepare_s, time.monotonic() - started - prepare_s)

    def shadow(self, view: FleetView, ref: ModelRef | None, standing: ModelRef) -> RolloutResult:
        """Let a version be scored in shadow, or none. Where a worker refuses it, the former challenger is put back.

        Takes and raises the same as `activate`.
        """
        self._begin(view)
        if view.desired is None and ref is None:
            return _result(None, view)
        if view.desired and not view.conflict and view.desired.challenger == ref:
            goal = replace(
                self._scoring(view.desired, ref), otherwise="Nothing was written; it stays the challenger"
            )
            return _result(view.desired, self._wait(goal))
        base = self._unchanged(view, standing)
        state = self._writer.write(replace(base, challenger=ref), view.desired, _highest(view))
        try:
            return _result(state, self._wait(self._scoring(state, ref)))
        except StateChanged:
            raise
        except BaseException:
            self._undo(
                replace(base, reason=f"{ref.version if ref else 'none'} is no challenger everywhere"), state
            )
            raise

    def _unchanged(self, view: FleetView, standing: ModelRef) -> DesiredChange:
        """Return the state as it is, to be written with changes. What somebody left half prepared is given up."""
        desired = view.desired
        return DesiredChange(
            command=self._order.command,
            model=self._order.model,
            champion=desired.champion if desired else standing,
            challenger=desired.challenger if desired else None,
            prepare=None,
            actor=self._order.actor,
            reason=self._order.reason,
        )

    def _wait(self, goal: Goal) -> FleetView:
        deadline = time.monotonic() + self._order.timeout_s
        refusals = Refusals(self._fleet.view(self._order.model).live)
        while True:
            view = self._fleet.view(self._order.model)
            self._show(view, goal.words)
            if view.too_new:
                raise StateChanged(
                    f"a later version of flumen changed {view.model} meanwhile: {view.too_new}"
                )
            if view.desired and view.revision >= goal.state.revision and view.desired != goal.state:
                raise StateChanged(say_changed(view.desired, goal))
            waiting = [status for status in view.live if not goal.is_reached(status)]
            is_late = time.monotonic() > deadline
            if sure := refusals.sure(waiting, goal, time.monotonic(), is_last=is_late):
                raise WorkerRefused(say_refused(sure, view, goal))
            self._refuse_silent(view, goal.otherwise)
            self._refuse_too_new(view, goal.otherwise)
            # A broker says that a transaction is committed before readers see it.
            if not waiting and view.revision >= goal.state.revision:
                return view
            self._heed_interruption(goal)
            if is_late:
                listed = ", ".join(status.worker for status in waiting) or "whoever reads the audit log"
                raise RolloutTimedOut(
                    f"waited {self._order.timeout_s:g} s {goal.words}, and not so far: {listed}. {goal.otherwise}. "
                    "Look at `flumen models status` and at their logs; --timeout waits longer"
                )
            self._fleet.listen(_LOOK_EVERY_S)

    def _heed_interruption(self, goal: Goal) -> None:
        if self._is_interrupted():
            raise RolloutInterrupted(f"interrupted while this waited {goal.words}. {goal.otherwise}")

    def _begin(self, view: FleetView) -> None:
        if view.too_new:
            raise RecordTooNew(f"what the workers of {view.model} shall run cannot be read: {view.too_new}")
        self._refuse_too_new(view, _NOTHING_WRITTEN)
        self._refuse_silent(view, _NOTHING_WRITTEN)
        if self._is_interrupted():
            raise RolloutInterrupted(f"interrupted. {_NOTHING_WRITTEN}")

    def _refuse_silent(self, view: FleetView, otherwise: str) -> None:
        if view.silent and not self._order.force:
            listed = ", ".join(f"{seen.status.worker} ({seen.age_s:.0f} s)" for seen in view.silent)
            raise WorkerSilent(
                f"not heard of any more: {listed}. {otherwise}. Start them again, or look whether they are dead: "
                "then --force goes on without them, and they are forgotten"
            )

    def _refuse_too_new(self, view: FleetView, otherwise: str) -> None:
        too_new = [seen.status for seen in view.workers if seen.is_too_new and seen.is_live]
        if too_new:
            listed = ", ".join(status.worker for status in too_new)
            why = too_new[0].refused.message if too_new[0].refused else ""
            raise WorkerTooNew(f"what these workers say cannot be read: {listed}. {otherwise}. {why}")

    def _undo(self, change: DesiredChange, written: DesiredState) -> None:
        """Take back what was written.

        Raises:
            StateChanged: somebody else has decided meanwhile, and that stands.
            KafkaUnavailable: it could not be taken back; the message says which revision stands.
        """
        try:
            state = self._writer.write(change, written)
        except KafkaUnavailable as error:
            raise KafkaUnavailable(
                f"revision {written.revision} of {change.model} could not be taken back, and stands: {error}"
            ) from error
        until = time.monotonic() + _SEEN_WITHIN_S
        while self._fleet.view(change.model).revision < state.revision and time.monotonic() < until:
            self._fleet.listen(_LOOK_EVERY_S)

    def _ready(self, state: DesiredState, ref: ModelRef) -> Goal:
        return Goal(
            f"for all workers to be ready with {self._order.model}@{ref.version}",
            state,
            ref,
            # What a worker said before it heard of this was said of another try.
            lambda status: status.heard >= state.revision and ref in (status.prepared, status.champion),
            "The preparation is taken back, and nothing has changed",
        )

    def _serving(self, state: DesiredState, ref: ModelRef) -> Goal:
        return Goal(
            f"for all workers to classify with {self._order.model}@{ref.version}",
            state,
            ref,
            lambda status: status.champion == ref and status.revision >= state.revision,
            f"The state stands at revision {state.revision}; `flumen models rollback` goes back",
        )

    def _scoring(self, state: DesiredState, ref: ModelRef | None) -> Goal:
        what = f"score {self._order.model}@{ref.version} in shadow" if ref else "score nothing in shadow"
        return Goal(
            f"for all workers to {what}",
            state,
            ref,
            lambda status: status.challenger == ref and status.heard >= state.revision,
            "The former challenger is put back",
        )


def standing_champion(view: FleetView, repository: Repository) -> ModelRef:
    """Return the champion of a model without a state: the workers', where all have the same, else the alias's.

    Raises:
        NoModel: there is neither.
        ModelError: the repository does not answer, or the alias is damaged.
    """
    if view.desired is not None:
        return view.desired.champion
    running = {status.champion for status in view.live if status.champion is not None}
    if len(running) == 1:
        return running.pop()
    version = repository.alias(view.model, CHAMPION)
    if version is None:
        raise NoModel(
            f"{view.model} has no champion in {repository.url}, and no worker runs it. Make a first one there: "
            "`flumen models register` and `flumen train` do where there is none"
        )
    return ModelRef(version, repository.manifest(view.model, version).sha256)


def _highest(view: FleetView) -> int:
    """Return the highest revision that a worker knows: more than the audit log's where that was made anew.

    Whoever may write to the status topic may say any: with one that no log may begin with, nobody would follow it.
    """
    known = (max(seen.status.heard, seen.status.revision) for seen in view.workers)
    return max((revision for revision in known if revision < MAX_FIRST_REVISION), default=NO_REVISION)


def _result(
    state: DesiredState | None, view: FleetView, prepare_s: float = 0, swap_s: float = 0
) -> RolloutResult:
    return RolloutResult(
        state,
        tuple(status.worker for status in view.live),
        tuple(seen.status.worker for seen in view.silent),
        prepare_s,
        swap_s,
    )
