"""Who computes which run, when several would: claims, leases, and taking over.

A claim is the insertion of a row under (run, data, attempt), which exactly one of several can make. Whoever made it
renews it: each time, `beat` rises by one. It is over where `beat` has not risen for `lease_s` seconds, **by the clock
of whoever watches it**: from when this one first saw it, not from what a time in the record says. So it does not matter
what the clocks of two machines show. Where the process that has it ran on this machine, and runs no more, it is over
at once. To take it over is to insert the next attempt, so that here too exactly one can.

An attempt that was taken over may still end, where its machine had only been cut off. Whichever ends first is the
result; the other one says in its own row that it has failed, so that a run is counted once. Nothing is lost, since a
setting determines its weights.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from flumen.models.errors import RunDiffers
from flumen.models.experiments.claimant import Claimant, this_process
from flumen.models.experiments.leases import Leases
from flumen.models.experiments.run import BRIEF, COLUMNS, Run, from_row, to_row
from flumen.models.experiments.run_table import KEYS, RunTable
from flumen.models.experiments.setting import Setting

LEASE_S = 60.0
RENEWALS_A_LEASE = 4


@dataclass(frozen=True, slots=True)
class Claim:
    """What came of a claim: the run is `ours` to compute, `stands` already, or is `held` by another."""

    outcome: Literal["ours", "stands", "held"]
    run: Run


class RunStore:
    """The runs that stand, and the claims to those that do not. It belongs to one thread.

    `lease_s`: how long a claim lasts that is not renewed. Every method may raise what the table raises, and
    `RunUnreadable`.
    """

    def __init__(
        self,
        table: RunTable,
        lease_s: float = LEASE_S,
        who: Claimant | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._lease_s = lease_s
        self._who = str(who or this_process())
        self._now = now
        self._leases = Leases(clock)
        self._claimed: Run | None = None

    @property
    def renewal_s(self) -> float:
        """How often a claim is to be renewed, seconds: a few attempts may fail."""
        return self._lease_s / RENEWALS_A_LEASE

    def claim(
        self, setting: Setting, data_sha256: str, experiment: str, snapshot_at: int | None = None
    ) -> Claim:
        """Claim a run, unless it stands or another has it in hand. `snapshot_at`: as the record has it.

        Raises:
            RunDiffers: one of that id stands there that was made with other parameters.
        """
        wanted = Run(
            run_id=setting.run_id,
            data_sha256=data_sha256,
            experiment=experiment,
            trainer=setting.trainer,
            outputs=setting.outputs,
            seed=setting.seed,
            parameters=setting.parameters,
            claimed_by=self._who,
            lease_s=self._lease_s,
            claimed_at=self._time(),
            snapshot_at=snapshot_at,
        )
        there = self._best(self._rows({"run_id": wanted.run_id, "data_sha256": data_sha256}, BRIEF))
        if there is not None:
            check_same(setting, there)
            if there.stands:
                return Claim("stands", there)
            if there.state != "failed" and not self._is_over(there):
                return Claim("held", there)
            wanted = replace(wanted, attempt=there.attempt + 1)
        self._claimed = wanted
        if self._table.insert(to_row(wanted)):
            return Claim("ours", wanted)
        # It may have been our own insertion, whose answer was lost on its way.
        (faster,) = self._rows({"run_id": wanted.run_id, "data_sha256": data_sha256}, BRIEF, wanted.attempt)
        return Claim("ours" if _is_same_claim(faster, wanted) else "held", faster)

    def renew(self, run: Run, rounds: int = 0) -> Run:
        """Go on holding a run that is ours; return it with the claim as it is now. `rounds`: how many are over.

        The table says that it is running, also where `run` knows its result already and its model is being made.
        """
        renewed = replace(run, beat=run.beat + 1, rounds=rounds, renewed_at=self._time())
        row = to_row(replace(renewed, state="running"))
        self._table.update({name: row[name] for name in (*KEYS, "beat", "state", "rounds", "renewed_at")})
        return renewed

    def finish(self, run: Run) -> Run:
        """Write what came of a run that is ours; return it, or what stands where another was faster to end it."""
        ended = replace(run, beat=run.beat + 1)
        first = self._best(self._rows({"run_id": run.run_id, "data_sha256": run.data_sha256}, BRIEF))
        if ended.stands and first is not None and first.stands and first.attempt != run.attempt:
            said = f"it was taken over, and attempt {first.attempt} stands"
            self._table.update(to_row(replace(ended, state="failed", error=said)))
            return first
        self._table.update(to_row(ended))
        return ended

    def give_back(self, run: Run) -> None:
        """Let others take at once a run that is ours. The table is not waited for where it does not answer."""
        failed = replace(run, state="failed", error="interrupted; it can be made again", beat=run.beat + 1)
        self._table.update(to_row(failed), patiently=False)

    def give_back_last(self) -> None:
        """Give back what was claimed last, unless it has ended: an interrupted `claim` did not say that it is ours."""
        last, self._claimed = self._claimed, None
        if last is None:
            return
        where = {"run_id": last.run_id, "data_sha256": last.data_sha256}
        for run in self._rows(where, BRIEF, last.attempt, patiently=False):
            if _is_same_claim(run, last) and run.state in ("claimed", "running"):
                self.give_back(run)

    def get(self, run_id: str, data_sha256: str = "") -> Sequence[Run]:
        """Return a run with all that is known of it, one for each selection of images: the attempt that stands."""
        where = {"run_id": run_id} | ({"data_sha256": data_sha256} if data_sha256 else {})
        return self._one_each(self._rows(where, COLUMNS))

    def list(self, experiment: str = "", data_sha256: str = "") -> Sequence[Run]:
        """Return runs without what may be long, each by the attempt that stands, sorted by id.

        Those of an experiment are also those that another one computed, and that it has joined.
        """
        if not experiment:
            return self._one_each(self._rows({"data_sha256": data_sha256} if data_sha256 else {}, BRIEF))
        own = self._rows({"experiment": experiment}, ("run_id", "data_sha256"))
        keys = {_key(run) for run in own} | {(run, data) for _, run, data in self._table.joined(experiment)}
        wanted = {data for _, data in keys if data_sha256 in ("", data)}
        found = [run for data in wanted for run in self._rows({"data_sha256": data}, BRIEF)]
        return self._one_each([run for run in found if _key(run) in keys])

    def experiments(self) -> Mapping[str, Sequence[Run]]:
        """Return every experiment with its runs, as `list` has them."""
        rows = self._rows({}, BRIEF)
        keys: dict[str, set[tuple[str, str]]] = {}
        for run in rows:
            keys.setdefault(run.experiment, set()).add(_key(run))
        for name, run_id, data in self._table.joined():
            keys.setdefault(name, set()).add((run_id, data))
        runs = self._one_each(rows)
        found = {name: [run for run in runs if _key(run) in keys[name]] for name in sorted(keys)}
        return {name: of_it for name, of_it in found.items() if of_it}

    def join(self, experiment: str, runs: Iterable[Run]) -> None:
        """Note that runs which stand are of an experiment, too, where another one computed them."""
        others = [_key(run) for run in runs if run.experiment != experiment]
        if others:
            self._table.join(experiment, others)

    def close(self) -> None:
        """Release connections. A second call does nothing."""
        self._table.close()

    def _rows(
        self,
        where: dict[str, str],
        columns: Sequence[str],
        attempt: int | None = None,
        *,
        patiently: bool = True,
    ) -> Sequence[Run]:
        runs = map(from_row, self._table.rows(where, columns, patiently=patiently))
        return [run for run in runs if attempt is None or run.attempt == attempt]

    def _one_each(self, runs: Sequence[Run]) -> Sequence[Run]:
        attempts: dict[tuple[str, str], list[Run]] = {}
        for run in runs:
            attempts.setdefault(_key(run), []).append(run)
        found = (self._best(attempts[key]) for key in sorted(attempts))
        return [run for run in found if run is not None]

    @staticmethod
    def _best(attempts: Sequence[Run]) -> Run | None:
        """Return the attempt that counts: the first that is a result, else the last."""
        return max(
            attempts, key=lambda run: (run.stands, -run.attempt if run.stands else run.attempt), default=None
        )

    def _is_over(self, run: Run) -> bool:
        claim = (run.run_id, run.data_sha256, run.attempt)
        return self._leases.is_over(claim, run.claimed_by, run.beat, run.lease_s)

    def _time(self) -> int:
        return int(self._now() * 1_000_000)


def _key(run: Run) -> tuple[str, str]:
    return run.run_id, run.data_sha256


def _is_same_claim(run: Run, claimed: Run) -> bool:
    return (run.claimed_by, run.claimed_at) == (claimed.claimed_by, claimed.claimed_at)


def check_same(wanted: Setting, there: Run) -> None:
    """Compare a setting with the run of its id: what both know has to be equal.

    Raises:
        RunDiffers: it was made with other parameters.
    """
    for name in wanted.parameters.keys() & there.parameters.keys():
        if wanted.parameters[name] != there.parameters[name]:
            raise RunDiffers(
                f"the run {there.run_id!r} stands in the table model_runs with {name} = {there.parameters[name]!r}, "
                f"and is wanted with {wanted.parameters[name]!r}. Another version of flumen made it; give that "
                "parameter another value in the grid, or use another table prefix"
            )
