"""Computing the runs of an experiment by an engine, whatever others compute of it meanwhile."""

import collections
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from flumen.models.errors import ModelError
from flumen.models.experiments.data import Images
from flumen.models.experiments.engine import Ended, Engine, Message
from flumen.models.experiments.jobs import Exported, Job, Result
from flumen.models.experiments.keeping import Keeper
from flumen.models.experiments.run import Round, Run
from flumen.models.experiments.run_store import RunStore, check_same
from flumen.models.experiments.setting import Setting

_MOST_TRIES = 2
_POLL_S = 0.5
_ASK_AGAIN_S = 3.0
"""How often is looked whether a run that another has in hand stands by now."""


class Watcher(Protocol):
    """Is told how an experiment goes on."""

    def ended(self, run: Run, *, here: bool) -> None:
        """Take note of a run that stands, or has failed; `here`: it was computed by this process, and now."""

    def progress(self, run: Run, last: Round) -> None:
        """Take note of a round of a run that is over."""

    def waits(self, held: int) -> None:
        """Take note that nothing is left but so many runs that others have in hand."""


@dataclass(slots=True)
class Scheduler:
    """Computes settings, each by whoever claims it first. It belongs to one thread.

    `folder` holds the images as `open_arrays` maps them. Runs are claimed as the `engine` has room for them.
    """

    store: RunStore
    images: Images
    folder: Path
    experiment: str
    keeper: Keeper
    watcher: Watcher
    engine: Engine
    _in_hand: dict[str, Run] = field(init=False, default_factory=dict)
    _results: dict[str, Run] = field(init=False, default_factory=dict)
    _tries: "collections.Counter[str]" = field(init=False, default_factory=collections.Counter)
    _renewed: float = field(init=False, default=0.0)

    def compute(self, settings: Sequence[Setting]) -> list[Run]:
        """Return what came of every setting, in order, once each stands or has failed twice here.

        Whatever ends it, the engine is closed, and others may take at once what was in hand.

        Raises:
            RunDiffers: a run of one of these ids stands there that was made with other parameters.
            EngineUnavailable, ExperimentFailed: the engine can compute nothing any more.
        """
        try:
            self._compute(settings)
        except BaseException as error:
            self.engine.close()
            if not getattr(error, "retriable", False):
                self._give_back()
            raise
        self.engine.close()
        return [self._results[setting.run_id] for setting in settings]

    def _compute(self, settings: Sequence[Setting]) -> None:
        wanted = collections.deque(self.engine.in_order(self._not_standing(settings)))
        by_id = {setting.run_id: setting for setting in wanted}
        held: list[Setting] = []
        self._tries.clear()
        self._renewed = asked = time.monotonic()
        while wanted or held or self._in_hand:
            while wanted and self.engine.has_room:
                if not self._begin(setting := wanted.popleft()):
                    held.append(setting)
                self._renew_in_time()  # to start all processes of a large machine may take longer than a lease
            if not self._in_hand and held:
                self.watcher.waits(len(held))
                time.sleep(_POLL_S)
            for run_id, message in self.engine.messages(_POLL_S) if self._in_hand else ():
                self._take(run_id, message)
                if isinstance(message, Ended) and self._tries[run_id] < _MOST_TRIES:
                    wanted.append(by_id[run_id])
            self._renew_in_time()
            if held and time.monotonic() - asked > _ASK_AGAIN_S:
                asked = time.monotonic()
                wanted.extend(held)
                held.clear()

    def _not_standing(self, settings: Sequence[Setting]) -> list[Setting]:
        """Return the settings whose runs do not stand, and take note of those that do: one request for all."""
        there = {run.run_id: run for run in self.store.list(data_sha256=self.images.sha256) if run.stands}
        self.keeper.know(there.values())
        self.store.join(self.experiment, [there[each.run_id] for each in settings if each.run_id in there])
        for setting in settings:
            if (run := there.get(setting.run_id)) and setting.run_id not in self._results:
                check_same(setting, run)
                self._note(run, here=False)
        return [setting for setting in settings if setting.run_id not in there]

    def _begin(self, setting: Setting) -> bool:
        """Begin a run, unless it stands; return False where another has it in hand."""
        claim = self.store.claim(setting, self.images.sha256, self.experiment, self.images.snapshot_at)
        if claim.outcome == "held":
            return False
        if claim.outcome == "stands":
            self.store.join(self.experiment, [claim.run])
            self._note(claim.run, here=False)
            return True
        started = replace(claim.run, started_at=_microseconds(), machine=self.engine.machine)
        self._in_hand[setting.run_id] = started
        unused = (f"unused-{number}" for number in range(len(self.images.labels), setting.outputs))
        labels = (*self.images.labels, *unused)
        self.engine.begin(
            setting.run_id,
            Job(
                setting.trainer,
                dict(setting.parameters),
                setting.seed,
                self.folder,
                labels,
                self.images.preprocess,
            ),
        )
        return True

    def _take(self, run_id: str, message: Message) -> None:
        run = self._in_hand[run_id]
        match message:
            case Round():
                self._in_hand[run_id] = replace(run, rounds=message.number)
                self.watcher.progress(run, message)
            case Result():
                self._in_hand[run_id] = run = _with_result(run, message)
                if self.keeper.wants(run):
                    self.engine.export(run_id, self.keeper.request(run))
                else:
                    self.engine.release(run_id)
                    self._end(run_id)
            case Exported():
                self.engine.release(run_id)
                # A better one may have ended while it was made.
                if self.keeper.wants(run):
                    self._register(run_id, message)
                else:
                    self._end(run_id)
            case Ended():
                self._tries[run_id] += 1
                if run.state == "done" and self._tries[run_id] == _MOST_TRIES:
                    self._end(run_id, error=f"the model was not kept: {message.reason}")
                else:
                    self._end(run_id, state="failed", error=message.reason)

    def _register(self, run_id: str, exported: Exported) -> None:
        run = self._in_hand[run_id]
        try:
            kept = self.keeper.register(exported)
        except ModelError as error:
            self._end(run_id, error=f"the model was not kept: {error}")
            return
        name = exported.manifest.name if exported.manifest else None
        self._in_hand[run_id] = replace(run, model=name, model_version=kept.version, model_sha256=kept.sha256)
        self.keeper.know([self._in_hand[run_id]])
        self._end(run_id, **({"error": kept.missing} if kept.missing else {}))

    def _end(self, run_id: str, **changes: object) -> None:
        """Write what came of a run. It stays in hand until that is done."""
        run = replace(self._in_hand[run_id], ended_at=_microseconds(), **changes)  # type: ignore[arg-type]
        stands = self.store.finish(run)
        self.store.join(self.experiment, [stands])
        del self._in_hand[run_id]
        self._note(stands, here=stands.attempt == run.attempt)

    def _note(self, run: Run, *, here: bool) -> None:
        self._results[run.run_id] = run
        self.watcher.ended(run, here=here)

    def _renew_in_time(self) -> None:
        if time.monotonic() - self._renewed > self.store.renewal_s:
            self._renewed = time.monotonic()
            for run_id, run in self._in_hand.items():
                self._in_hand[run_id] = self.store.renew(run, rounds=run.rounds)

    def _give_back(self) -> None:
        """Let others take what is in hand. Where the store does not answer, the leases end by themselves."""
        try:
            for run in self._in_hand.values():
                self.store.give_back(run)
            self.store.give_back_last()
        except Exception as error:
            if not getattr(error, "retriable", False):
                raise
            return
        self._in_hand.clear()


def _with_result(run: Run, result: Result) -> Run:
    return replace(
        run,
        state=result.state,
        duration_s=result.duration_s,
        rounds=result.curves[-1].number if result.curves else run.rounds,
        curves=result.curves,
        validation=result.validation,
        test=result.test,
        confusion=result.confusion,
        answers=result.answers,
        software=result.software,
        error=result.error,
    )


def _microseconds() -> int:
    return time.time_ns() // 1000
