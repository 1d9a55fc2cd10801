"""Changing the model of a whole fleet: write what is wanted, and wait until every worker has done it.

`activate` has two phases. First every worker loads and verifies the version while it goes on with the old one; only
when all are ready, all are told to let it classify. Whatever goes wrong in the first phase, nothing has changed.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from flumen.streams.control.operator.attendance import Attendance, say_idle
from flumen.streams.control.operator.fleet import Fleet, FleetView
from flumen.streams.control.operator.goals import (
    Goal,
    Refusals,
    ready,
    say_changed,
    say_refused,
    scoring,
    serving,
)
from flumen.streams.control.operator.standing import highest_revision
from flumen.streams.control.operator.writer import DesiredChange, StateWriter
from flumen.streams.control.records import Command, DesiredState, ModelRef, Refused
from flumen.streams.errors import (
    KafkaUnavailable,
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
    """Who changes a model and why, and whom it need not wait for.

    `timeout_s`: the seconds that a worker may get nothing done. `force`: go on without those that are silent, or that
    Kafka does not know as members of their group.
    """

    command: Command
    model: str
    actor: str
    reason: str
    timeout_s: float
    force: bool = False


@dataclass(frozen=True, slots=True)
class RolloutResult:
    """A change that every worker has made but those in `left_out`; the seconds are those of the two phases."""

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
        # Whoever certainly takes no images is left out before the rollout would end because of it.
        grace_s = min(fleet.silent_after_s, order.timeout_s)
        self._attendance = Attendance(lambda: fleet.members(order.model), grace_s, order.force)
        self._left_out: set[str] = set()

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
            return self._result(view.desired, self._wait(serving(view.desired, ref)))
        base, prepared, _ = self._prepared(view, ref, standing)
        prepare_s = time.monotonic() - started
        challenger = None if base.challenger == ref else base.challenger
        state = self._writer.write(replace(base, champion=ref, challenger=challenger), prepared)
        view = self._wait(serving(state, ref))
        return self._result(state, view, prepare_s, time.monotonic() - started - prepare_s)

    def prepare(self, view: FleetView, ref: ModelRef, standing: ModelRef) -> RolloutResult:
        """Let every worker have a version ready: the first phase of `activate` alone, which the next one begins with.

        Takes and raises the same as `activate`.
        """
        self._begin(view)
        started = time.monotonic()
        _, prepared, view = self._prepared(view, ref, standing)
        return self._result(prepared, view, time.monotonic() - started)

    def shadow(self, view: FleetView, ref: ModelRef | None, standing: ModelRef) -> RolloutResult:
        """Let a version be scored in shadow, or none. Where a worker refuses it, the former challenger is put back.

        Takes and raises the same as `activate`.
        """
        self._begin(view)
        if view.desired is None and ref is None:
            return self._result(None, view)
        if view.desired and not view.conflict and view.desired.challenger == ref:
            goal = replace(
                scoring(view.desired, ref), otherwise="Nothing was written; it stays the challenger"
            )
            return self._result(view.desired, self._wait(goal))
        base = self._unchanged(view, standing)
        state = self._writer.write(replace(base, challenger=ref), view.desired, highest_revision(view))
        try:
            return self._result(state, self._wait(scoring(state, ref)))
        except StateChanged:
            raise
        except BaseException:
            self._undo(
                replace(base, reason=f"{ref.version if ref else 'none'} is no challenger everywhere"), state
            )
            raise

    def _prepared(
        self, view: FleetView, ref: ModelRef, standing: ModelRef
    ) -> tuple[DesiredChange, DesiredState, FleetView]:
        """Return once all are ready: the state without it, the one that was written, and the fleet."""
        base = self._unchanged(view, standing)
        prepared = self._writer.write(replace(base, prepare=ref), view.desired, highest_revision(view))
        try:
            goal = ready(prepared, ref)
            view = self._wait(goal)
            self._heed_interruption(goal)
        except StateChanged:
            raise
        except BaseException:  # whatever it was, nothing is left standing
            self._undo(replace(base, reason=f"{ref.version} was not prepared everywhere"), prepared)
            raise
        return base, prepared, view

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
        attendance, timeout_s = self._attendance, self._order.timeout_s
        attendance.begin()
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
            late = [seen for seen in view.workers if seen.is_live and not goal.is_reached(seen.status)]
            absent = attendance.absent(late)
            waiting = [seen for seen in late if seen.status.worker not in absent]
            idle = attendance.idle(waiting, timeout_s)
            is_late = bool(idle) or (not waiting and attendance.waited_s > timeout_s)
            self._refuse_refused(
                view,
                goal,
                refusals.sure((seen.status for seen in waiting), goal, time.monotonic(), is_last=is_late),
            )
            self._refuse_silent(view, goal.otherwise)
            self._refuse_too_new(view, goal.otherwise)
            # A broker says that a transaction is committed before readers see it.
            if not waiting and view.revision >= goal.state.revision:
                self._left_out = absent
                return view
            self._heed_interruption(goal)
            if is_late:
                listed = ", ".join(seen.status.worker for seen, _ in idle) or "whoever reads the audit log"
                raise RolloutTimedOut(
                    f"waited {timeout_s:g} s {goal.words}, and not so far: {listed}. {goal.otherwise}. Look at "
                    "`flumen models status` and at their logs; --timeout waits longer, and --force goes on without "
                    "those that Kafka does not know as members of their group"
                    + say_idle(attendance, idle, goal.state.revision)
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

    def _refuse_refused(self, view: FleetView, goal: Goal, sure: Mapping[str, Refused]) -> None:
        refusing = self._attendance.counting([seen for seen in view.workers if seen.status.worker in sure])
        if told := {seen.status.worker: sure[seen.status.worker] for seen in refusing}:
            raise WorkerRefused(say_refused(told, view, goal))

    def _refuse_silent(self, view: FleetView, otherwise: str) -> None:
        if silent := self._attendance.holding_up(view.silent):
            listed = ", ".join(
                f"{seen.status.worker} ({seen.age_s:.0f} s; {self._attendance.describe(seen)})"
                for seen in silent
            )
            raise WorkerSilent(
                f"not heard of any more: {listed}. {otherwise}. Start them again, or look whether they are dead. Kafka "
                "takes a dead one off its group after session.timeout.ms (45 s): then this goes on without it, if it "
                "named its group, and --force at once; they are forgotten"
            )

    def _refuse_too_new(self, view: FleetView, otherwise: str) -> None:
        live = [seen for seen in view.workers if seen.is_too_new and seen.is_live]
        if too_new := self._attendance.counting(live):
            listed = ", ".join(seen.status.worker for seen in too_new)
            refused = too_new[0].status.refused
            why = refused.message if refused else ""
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

    def _result(
        self, state: DesiredState | None, view: FleetView, prepare_s: float = 0.0, swap_s: float = 0.0
    ) -> RolloutResult:
        left_out = {*self._left_out, *(seen.status.worker for seen in view.silent)}
        workers = (status.worker for status in view.live if status.worker not in left_out)
        return RolloutResult(state, tuple(workers), tuple(sorted(left_out)), prepare_s, swap_s)
